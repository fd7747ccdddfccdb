"""Ctrl-C at any moment of a call: later calls work or say that they do not, and nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from softadastra import Client, ClientOptions, InvalidStateError
from tests.interrupts import every_interrupt, in_time


def batch(client: Client) -> None:
    with client.batch() as writes:
        writes.put("k", "new")
        writes.put("l", "new")


CALLS: dict[str, Callable[[Client], object]] = {
    "put": lambda client: client.put("k", "new"),
    "batch": batch,
    "remove": lambda client: client.remove("k"),
}


def state_of(client: Client) -> dict[str, object]:
    return {key: client.get(key) for key in ("k", "l")}


@pytest.mark.parametrize("auto_flush", [True, False])
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupted_write_has_happened_as_a_whole_or_not_or_the_node_says_so(
    tmp_path, call, auto_flush
):
    """An interrupt that came in the lead once left it taken: all later calls hung."""
    old = {"k": "old", "l": None}
    new = {
        "put": {"k": "new", "l": None},
        "batch": {"k": "new", "l": "new"},
        "remove": {"k": None, "l": None},
    }[call]
    writes = 2 if call == "batch" else 1
    for interrupts in every_interrupt():
        path = tmp_path / f"{interrupts.at}.wal"
        options = ClientOptions.persistent("node-a", path, auto_flush=auto_flush)
        client = Client(options).open()
        client.put("k", "old")
        returned = False
        with interrupts:
            CALLS[call](client)
            returned = True

        seen = in_time(partial(state_of, client))
        later = in_time(partial(client.put, "later", 1))
        assert in_time(client.close) is None
        with Client(options) as again:
            found = state_of(again)
            used = 1 + writes * (found == new) + ("later" in again)
            assert again.put("last", 1).sync_id == f"node-a-{used + 1}"
        if isinstance(later, Exception):
            assert isinstance(later, InvalidStateError), later
            assert "writes no more" in later.message
            assert not returned
            assert found in (old, new)
        else:
            assert found == seen
            assert found == new if returned else found in (old, new)


@pytest.mark.parametrize("auto_flush", [True, False])
def test_an_interrupted_close_is_closed_by_itself_or_by_the_next_close(tmp_path, auto_flush):
    for interrupts in every_interrupt():
        path = tmp_path / f"{interrupts.at}.wal"
        options = ClientOptions.persistent("node-a", path, auto_flush=auto_flush)
        client = Client(options).open()
        client.put("k", 1)
        with interrupts:
            client.close()

        assert in_time(client.close) is None
        assert not client.is_open
        with Client(options) as again:
            assert again.get("k") == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a file that was open for reading
@pytest.mark.parametrize("auto_flush", [True, False])
def test_an_interrupted_open_leaves_no_lock_behind(tmp_path, auto_flush):
    options = ClientOptions.persistent("node-a", tmp_path / "node.wal", auto_flush=auto_flush)
    with Client(options) as client:
        client.put("k", 1)
    for interrupts in every_interrupt(step=5):
        client = Client(options)
        with interrupts:
            client.open()

        assert in_time(client.open) is client
        assert client.get("k") == 1
        assert in_time(client.close) is None
        Client(options).open().close()


def test_an_interrupted_start_or_stop_of_the_transport_can_be_done_again():
    """A socket that was opened and lost once made the end of its context wait for ever."""
    options = ClientOptions.memory_only("node-a").with_local_transport(0)
    for interrupts in every_interrupt(step=5):
        client = Client(options).open()
        with interrupts:
            client.start_transport()
            client.stop_transport()

        assert in_time(client.start_transport) is None
        assert client.transport_running
        assert in_time(client.close) is None

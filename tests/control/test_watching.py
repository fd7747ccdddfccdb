"""A node of another process is watched as the one in this process is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions
from softadastra.control import server, watching
from softadastra.control.operations import Operations
from softadastra.control.remote import RemoteNode, find_node
from softadastra.control.remote_watch import RemoteWatch
from softadastra.control.unreachable import NodeGoneError, NodeSilentError
from softadastra.errors import (
    InvalidArgumentError,
    InvalidStateError,
    PositionLostError,
    WatchOverflowError,
)
from softadastra.types import Change
from tests.eventually import DEADLINE_SECONDS, eventually


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.wal"


@pytest.fixture
def client(log: Path) -> Iterator[Client]:
    with Client(ClientOptions.persistent("node-a", log)) as client:
        yield client


@pytest.fixture
def remote(client: Client, log: Path) -> Iterator[RemoteNode]:
    found = find_node(log, node_id="node-a")
    assert found is not None
    with closing(found):
        yield found


def next_of(watch: RemoteWatch) -> Change:
    change = watch.get(DEADLINE_SECONDS)
    assert change is not None
    return change


def all_of(watch: RemoteWatch, until: str) -> list[Change | None]:
    """Read up to a key; None stands for what was missed."""
    found: list[Change | None] = []
    while True:
        try:
            change = next_of(watch)
        except WatchOverflowError:
            found.append(None)
        else:
            found.append(change)
            if change.key == until:
                return found


def watching_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "softadastra-control-command"]


def test_changes_are_the_same_both_ways(client: Client, remote: RemoteNode) -> None:
    nodes: list[Operations] = [client, remote]  # as mypy sees it, both are the same
    with nodes[0].watch("k/") as here, nodes[1].watch("k/") as there:
        client.put("k/1", {"n": [1, b"\xff", None]})
        client.put("other", 1)
        client.put("k/2", None)
        client.remove("k/1")
        for _ in range(3):
            change = here.get(DEADLINE_SECONDS)

            assert change is not None
            assert there.get(DEADLINE_SECONDS) == change
            assert there.position == change.position
        assert there.get(0) is None
        assert there.get(0.05) is None


def test_a_position_goes_on_where_it_was_given(client: Client, remote: RemoteNode) -> None:
    client.put("a", 1)
    with remote.watch(since="beginning") as watch:
        assert next_of(watch).key == "a"
        client.put("b", 2)
        assert next_of(watch).key == "b"
        position = watch.position
    client.put("c", 3)

    with remote.watch(since=position) as watch:
        assert next_of(watch).key == "c"
        assert watch.get(0.05) is None
    with client.watch(since=position) as here:
        assert next(here).key == "c"


def test_a_watch_begins_with_a_place_to_go_on_from(client: Client, remote: RemoteNode) -> None:
    """Who leaves before anything has changed goes on from there too."""
    with remote.watch() as watch:
        position = watch.position
    client.put("k", 1)

    with remote.watch(since=position) as watch:
        assert next_of(watch).key == "k"


def test_the_place_moves_on_while_nothing_changes_that_is_wanted(
    client: Client, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the place of who wants few keys would be lost when what came since is collected."""
    monkeypatch.setattr(watching, "PLACE_SECONDS", 0.0)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    with remote.watch("wanted/") as watch:
        client.put("other", 1)
        with client.watch() as here:
            expected = here.position

        def has_moved() -> bool:
            assert watch.get(0.05) is None
            return watch.position == expected

        eventually(has_moved)


def test_what_cannot_be_watched_is_refused_as_here(client: Client, remote: RemoteNode) -> None:
    with Client(ClientOptions.memory_only("node-b")) as other:
        other.put("k", 1)
        with other.watch() as elsewhere:
            position = elsewhere.position
    with pytest.raises(InvalidArgumentError, match="not a position"):
        remote.watch(since="yesterday")
    with pytest.raises(PositionLostError, match="does not have"):
        remote.watch(since=position)
    assert remote.size() == 0


def test_who_reads_too_slowly_is_told_so_and_holds_up_nobody(
    client: Client, remote: RemoteNode
) -> None:
    value = "x" * 10_000
    with remote.watch() as watch:
        begin = time.monotonic()
        for number in range(1_000):
            client.put(f"k/{number % 500}", value + str(number))
        client.put("last", 1)
        assert time.monotonic() - begin < DEADLINE_SECONDS

        found = all_of(watch, "last")

    assert None in found
    seen = {change.key: change.value for change in found if change is not None}
    assert seen == dict(client.items())


def test_a_watch_that_nobody_reads_takes_bounded_memory(client: Client, remote: RemoteNode) -> None:
    value = "x" * 100_000
    with remote.watch():
        for number in range(400):
            client.put(f"k/{number}", value + str(number))
        (watcher,) = client._opened().committer.watchers._watchers

        assert watcher._bytes <= watching.BYTES_MAX
        assert sum(each.size_bytes for each in watcher._taken) <= watching.BYTES_MAX


def test_a_watch_ends_with_its_command(client: Client, remote: RemoteNode) -> None:
    with remote.watch():
        assert client._opened().committer.watchers.is_any
    eventually(lambda: not client._opened().committer.watchers.is_any)
    eventually(lambda: len(watching_threads()) <= 1)


def test_a_node_that_is_closed_tells_all_that_changed_before(
    client: Client, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "END_SECONDS", DEADLINE_SECONDS)
    with remote.watch() as watch:
        for number in range(50):
            client.put(f"k/{number}", number)
        begin = time.monotonic()
        client.close()
        took = time.monotonic() - begin

        assert [next_of(watch).value for _ in range(50)] == list(range(50))
        with pytest.raises(NodeGoneError, match="has ended"):
            watch.get(DEADLINE_SECONDS)
    assert took < DEADLINE_SECONDS / 2, "it waited for who does not leave by itself"


def test_a_node_that_hangs_is_told_from_one_where_nothing_changes(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.05)
    found = find_node(log, node_id="node-a", silence=0.5)
    assert found is not None
    with closing(found), found.watch() as watch:
        assert watch.get(1.0) is None
        monkeypatch.setattr(server._Connection, "tell_alive", lambda *_: None)
        with pytest.raises(NodeSilentError):
            watch.get(DEADLINE_SECONDS)


def test_watches_are_bounded_so_that_others_find_a_place(
    client: Client, remote: RemoteNode, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WATCHES_MAX", 2)
    with remote.watch(), remote.watch():
        with pytest.raises(InvalidStateError, match="2 commands that watch already"):
            remote.watch()
        assert remote.size() == 0

    def is_free() -> bool:
        try:
            with remote.watch():
                return True
        except InvalidStateError:
            return False

    eventually(is_free)

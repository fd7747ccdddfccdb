"""The public face of one node, without a network."""

from __future__ import annotations

import copy
import errno
import gc
import math
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from softadastra import (
    AlreadyExistsError,
    Client,
    ClientOptions,
    InvalidArgumentError,
    InvalidStateError,
    NotFoundError,
    Peer,
    SoftadastraError,
    StorageError,
    StoreError,
    StoreLockedError,
    TransportError,
)
from softadastra.runtime.reactor import Reactor
from softadastra.store.changes import OWN
from softadastra.store.origins import Origin
from tests.wal.logs import has_unsynced

WRONG_PEERS = ["some", None, -1, True, 1.0, [5], [["node-b"]], b"all"]
"""What `wait_synced` cannot wait for."""


@pytest.fixture
def client():
    with Client(ClientOptions.memory_only("node-a")) as node:
        yield node


@pytest.fixture
def wal(tmp_path):
    return tmp_path / "node.wal"


def test_put_then_get(client):
    result = client.put("message/1", "hello")

    assert client.get("message/1") == "hello"
    assert (result.key, result.sync_id, result.version, result.status) == (
        "message/1",
        "node-a-1",
        1,
        "created",
    )


def test_modify_stores_what_its_function_makes_of_the_value(client):
    first = client.modify("k", lambda value: [*value, 1], [0])
    second = client.modify("k", lambda value: value.append(2) or value)

    assert client["k"] == [0, 1, 2]
    assert (first.status, second.status, second.version) == ("created", "updated", 2)
    assert client.modify("k", lambda value: value).status == "unchanged"
    assert client.modify("absent", lambda value: [value]).key == "absent"
    assert client["absent"] == [None]


def test_a_modify_whose_function_raises_or_gives_what_cannot_be_stored_changes_nothing(client):
    client["k"] = 1
    with pytest.raises(ZeroDivisionError):
        client.modify("k", lambda value: value / 0)
    with pytest.raises(InvalidArgumentError):
        client.modify("k", lambda value: object())

    assert client["k"] == 1
    assert client.sync_state().last_submitted_version == 1


@pytest.mark.parametrize("change", [lambda node: node.put("k", 10), lambda node: node.remove("k")])
@pytest.mark.parametrize("auto_flush", [True, False])
def test_modify_makes_it_anew_of_what_came_in_between(wal, auto_flush, change):
    with Client(ClientOptions.persistent("node-a", wal, auto_flush=auto_flush)) as node:
        node["k"] = 1
        seen: list[int | None] = []

        def function(value):
            if not seen:
                change(node)
            seen.append(value)
            return (value or 0) + 1

        node.modify("k", function)

        assert seen[0] == 1
        assert node["k"] == (seen[1] or 0) + 1
        assert len(seen) == 2


@pytest.mark.parametrize("auto_flush", [True, False])
def test_what_threads_add_by_modify_adds_up(wal, auto_flush):
    all_have_read = threading.Barrier(3)
    with Client(ClientOptions.persistent("node-a", wal, auto_flush=auto_flush)) as node:

        def add() -> None:
            is_first = iter([True])

            def function(count):
                if next(is_first, False):
                    all_have_read.wait(30)
                return count + 1

            node.modify("count", function, 0)

        threads = [threading.Thread(target=add) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert node["count"] == 3


def test_put_of_the_same_value_is_unchanged_and_writes_nothing(client):
    client.put("k", [1, 2])

    again = client.put("k", (1, 2))

    assert (again.status, again.version, again.sync_id) == ("unchanged", 1, "node-a-1")
    assert client.sync_state().outbox_size == 1


def test_entry_says_where_a_value_came_from(client):
    client.put("k", 1)
    client.put("k", 2)

    entry = client.entry("k")

    assert entry is not None
    assert (entry.key, entry.value, entry.version) == ("k", 2, 2)
    assert (entry.origin, entry.sync_id) == ("node-a", "node-a-2")
    assert abs(entry.timestamp_ms - datetime.now(UTC).timestamp() * 1000) < 60_000
    assert client.entry("absent") is None


def test_remove_gives_whether_there_was_something(client):
    client.put("k", 1)

    assert client.remove("k") is True
    assert client.remove("k") is False
    assert client.get("k") is None
    assert client.entry("k") is None
    assert client.sync_state().outbox_size == 2


def test_none_is_a_value_and_absence_is_the_default(client):
    client.put("k", None)

    assert client.get("k", "default") is None
    assert client.get("absent", "default") == "default"
    assert client.contains("k")
    assert not client.contains("absent")


def test_a_client_is_a_mutable_mapping(client):
    client["b"] = 2
    client.update({"a": 1, "c": 3})
    del client["b"]

    assert dict(client) == {"a": 1, "c": 3}
    assert list(client) == list(client.keys()) == ["a", "c"]
    assert list(client.items()) == [("a", 1), ("c", 3)]
    assert list(client.values()) == [1, 3]
    assert (len(client), client.size(), "a" in client, "b" in client) == (2, 2, True, False)
    assert client.pop("a") == 1
    assert client.setdefault("d", 4) == 4
    client.clear()
    assert client.is_empty
    assert client  # true also when it is empty


def test_a_client_is_cleared_in_records_of_many_removes(client):
    """As the mapping protocol has it, one by one, each had to pass over all that were removed."""
    count = 2_500
    with client.batch() as batch:
        for number in range(count):
            batch.put(f"k/{number}", number)
    writes = client._opened().committer.write
    records: list[int] = []

    def counted(asked, guard=None):
        records.append(len(asked))
        return writes(asked, guard)

    client._opened().committer.write = counted
    client.clear()

    assert list(client) == []
    assert records == [1_024, 1_024, count - 2_048]


def test_a_missing_key_raises_not_found_which_is_a_key_error(client):
    with pytest.raises(NotFoundError) as missing:
        client["absent"]

    assert (missing.value.code, missing.value.context) == ("not_found", {"key": "absent"})
    assert "absent" in str(missing.value)
    with pytest.raises(KeyError):
        del client["absent"]
    with pytest.raises(KeyError):
        client.pop("absent")


def test_keys_and_items_by_prefix_are_in_order(client):
    for key in ("user/2", "user/10", "user", "user/1", "zebra", "userx"):
        client[key] = key.upper()

    assert list(client.keys("user/")) == ["user/1", "user/10", "user/2"]
    assert dict(client.items("user/")) == {k: k.upper() for k in ("user/1", "user/10", "user/2")}
    assert len(client.keys("user/")) == 3
    assert "user/1" in client.keys("user/")
    assert "zebra" not in client.keys("user/")
    assert ("user/1", "USER/1") in client.items("user/")
    assert ("user/1", "other") not in client.items("user/")
    assert list(client.keys("absent")) == []
    assert client.keys() == {"user/2", "user/10", "user", "user/1", "zebra", "userx"}


def test_a_scan_goes_on_while_keys_come_and_go(client):
    client.update({f"k{i:05d}": i for i in range(2_000)})

    seen = []
    for position, key in enumerate(client.keys("k")):
        seen.append(key)
        if position == 100:
            client.remove("k01999")
            client.put("k01500x", 1)

    assert seen == sorted(seen)
    assert "k01500x" in seen
    assert "k01999" not in seen
    assert len(seen) == 2_000


VALUES = [
    "",
    "text",
    "\U0001f600",
    b"",
    b"\x00\xff",
    0,
    -(2**63),
    2**64 - 1,
    1.5,
    math.inf,
    True,
    None,
    [],
    {},
    [1, ["a", {"b": [None]}]],
    {"a": {"b": [1, 2.5, b"x"]}},
    datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC),
    datetime(1901, 1, 1, tzinfo=timezone(timedelta(hours=5))),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_goes_in_comes_out_equal_also_after_reopening(value, wal):
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        node.put("k", value)
        assert node.get("k") == value
        assert type(node.get("k")) is type(value)

    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert node.get("k") == value


def test_a_tuple_comes_out_as_a_list(client):
    client.put("k", (1, (2, 3)))

    assert client.get("k") == [1, [2, 3]]


def test_what_is_read_is_a_copy(client):
    client.put("k", {"list": [1]})

    client.get("k")["list"].append(2)

    assert client.get("k") == {"list": [1]}


class Unknown:
    pass


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


BAD_KEYS = ["", None, 1, math.nan, b"bytes", "x" * 1025, "é" * 513, "\ud800", ("a",)]
BAD_VALUES = [
    {1, 2},
    Unknown(),
    2**64,
    -(2**63) - 1,
    {1: "int key"},
    {math.nan: 1},
    {None: 1},
    deep(9),
    datetime(2026, 1, 1),
    "\ud800",
    1j,
    [Unknown()],
    lambda: 1,
    "x" * 1_048_576,
    b"x" * 1_048_577,
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda k: repr(k)[:20])
def test_a_bad_key_is_refused_and_nothing_changes(client, key):
    before = client.digest(), client.sync_state()

    with pytest.raises(InvalidArgumentError) as refusal:
        client.put(key, 1)

    assert refusal.value.code == "invalid_argument"
    assert "key" in refusal.value.message
    assert (client.digest(), client.sync_state()) == before
    assert not client.contains(key)
    with pytest.raises(ValueError):
        client.get(key)
    with pytest.raises(ValueError):
        client.remove(key)


@pytest.mark.parametrize("value", BAD_VALUES, ids=lambda v: repr(v)[:20])
def test_a_bad_value_is_refused_and_nothing_changes(client, value):
    before = client.digest(), client.sync_state()

    with pytest.raises(InvalidArgumentError) as refusal:
        client.put("k", value)

    assert len(refusal.value.message) < 500
    assert (client.digest(), client.sync_state()) == before


def test_sizes_at_the_limit_are_taken():
    options = ClientOptions.memory_only("n", max_key_bytes=4, max_value_bytes=10)
    with Client(options) as node:
        node.put("éé", b"x" * 8)  # 2 bytes of header

        with pytest.raises(InvalidArgumentError):
            node.put("ééx", 1)
        with pytest.raises(InvalidArgumentError):
            node.put("k", b"x" * 9)


# batch()


def test_a_batch_happens_at_its_end(client):
    with client.batch() as batch:
        batch.put("a", 1)
        batch["b"] = 2
        batch.put("a", 3)
        batch.remove("absent")
        assert client.is_empty
        assert len(batch) == 4

    assert dict(client) == {"a": 3, "b": 2}
    assert [r and r.sync_id for r in batch.results] == ["node-a-1", "node-a-2", "node-a-3", None]


@pytest.mark.parametrize("bad", [("", 1), ("k", Unknown())])
def test_of_a_failing_batch_nothing_is_kept(client, bad):
    with pytest.raises(InvalidArgumentError), client.batch() as batch:
        batch.put("a", 1)
        batch.put(*bad)

    assert client.is_empty
    assert client.sync_state().outbox_size == 0
    client.put("b", 2)
    assert client.entry("b").sync_id == "node-a-1"


def test_an_exception_in_the_block_discards_the_batch(client):
    with pytest.raises(ZeroDivisionError), client.batch() as batch:
        batch.put("a", 1)
        raise ZeroDivisionError

    assert client.is_empty


def test_a_batch_is_used_once_and_inside_its_block(client):
    batch = client.batch()
    with pytest.raises(InvalidStateError):
        batch.put("a", 1)
    with batch:
        batch.put("a", 1)
    with pytest.raises(InvalidStateError):
        batch.put("b", 1)
    with pytest.raises(InvalidStateError), batch:
        pass


def test_a_batch_is_one_record_of_the_log(wal):
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        with node.batch() as batch:
            for i in range(100):
                batch.put(f"k{i}", i)
    whole = wal.read_bytes()

    for cut in (50, 100, 500):  # into the record, which the mark of the close follows
        wal.write_bytes(whole[:-cut])
        with Client(ClientOptions.persistent("node-a", wal)) as node:
            assert node.size() == 0
        wal.write_bytes(whole)


# Life cycle.


def test_every_call_on_a_closed_client_says_so():
    node = Client(ClientOptions.memory_only("node-a"))
    calls = [
        lambda: node.put("k", 1),
        lambda: node.get("k"),
        lambda: node["k"],
        lambda: node.remove("k"),
        lambda: node.entry("k"),
        lambda: node.contains("k"),
        lambda: node.size(),
        lambda: node.is_empty,
        lambda: node.keys(),
        lambda: node.items(),
        lambda: list(node),
        lambda: node.batch(),
        lambda: node.digest(),
        lambda: node.tick(),
        lambda: node.sync_state(),
        lambda: node.retry_expired(),
        lambda: node.prune_completed(),
        lambda: node.requeue_failed(),
        lambda: node.queue_pending(),
        lambda: node.wait_synced(0),
        lambda: node.start_transport(),
        lambda: node.stop_transport(),
        lambda: node.connect(Peer.local("b", 1)),
        lambda: node.disconnect("b"),
        lambda: node.forget("b"),
        lambda: node.peers(),
        lambda: node.node_info(),
        lambda: node.refresh_node_info(),
    ]
    for opened_before in (False, True):
        if opened_before:
            node.open()
            node.close()
        for call in calls:
            with pytest.raises(InvalidStateError) as refusal:
                call()
            assert "not open" in str(refusal.value)
    assert (node.is_open, node.transport_running, node.transport_port) == (False, False, None)


def test_open_and_close_may_be_called_again():
    node = Client(ClientOptions.memory_only("node-a"))

    assert node.open() is node.open()
    node.close()
    node.close()
    with node:
        assert node.is_open
    assert not node.is_open


def test_an_unclosed_client_warns_and_is_closed(wal):
    node = Client(ClientOptions.persistent("node-a", wal)).open()
    with pytest.warns(ResourceWarning):
        del node
        gc.collect()

    Client(ClientOptions.persistent("node-a", wal)).open().close()


def test_a_client_that_is_open_when_its_program_ends_is_closed_while_its_threads_run(wal):
    """Later they stand still, and the end of the program waited for ever for a lock of one."""
    program = f"""
import atexit
atexit.register(lambda: print(node.is_open, "softadastra-reactor" in threads()))
import threading
threads = lambda: [thread.name for thread in threading.enumerate()]
from softadastra import Client, ClientOptions
options = ClientOptions.persistent("node-a", {str(wal)!r}, auto_flush=False)
node = Client(options.with_local_transport()).open()
node.start_transport()
node.put("k", 1)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout == "False False\n"
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert node.get("k") == 1


def test_a_client_is_neither_copied_nor_pickled(client):
    with pytest.raises(TypeError):
        copy.copy(client)
    with pytest.raises(TypeError):
        pickle.dumps(client)


def test_wrong_options_are_refused_at_open_with_every_problem():
    node = Client(ClientOptions.memory_only("", transport_port=70_000, sync_window=0))

    with pytest.raises(InvalidArgumentError) as refusal:
        node.open()

    for name in ("node_id", "transport_port", "sync_window"):
        assert name in refusal.value.message
    assert not node.is_open


def test_options_that_are_changed_while_a_client_is_open_change_nothing_of_it():
    """What is set behind the check of the whole, as an address, would be used unchecked."""
    options = ClientOptions.memory_only("node-a").with_local_transport()
    with Client(options) as node, socket.create_server(("127.0.0.1", 0)) as taken:
        options.node_id = "node-b"
        options.transport_port = taken.getsockname()[1]
        node.start_transport()

        assert node.node_info().node_id == "node-a"
        with pytest.raises(TransportError) as refusal:
            node.connect(Peer.local("node-a", 1))

    assert "is this node itself" in refusal.value.message
    assert node.options is options
    with node.open():
        assert node.node_info().node_id == "node-b"


def test_policies_that_no_greeting_can_say_are_refused_where_there_may_be_peers():
    """They were taken, and every peer refused the greeting."""
    policies = {f"{number}/": "manual" for number in range(1_000)}
    options = ClientOptions.memory_only("node-a", conflict_policies=policies)

    with pytest.raises(InvalidArgumentError, match="the limit is 4096"):
        Client(options.with_local_transport()).open()
    with Client(options) as node:
        assert node.put("1/k", 1).status == "created"


def test_node_info_describes_the_node():
    options = ClientOptions.memory_only("node-a").with_metadata("Till 3", "1.2.3")
    with Client(options) as node:
        info = node.node_info()

        assert (info.node_id, info.display_name, info.version) == ("node-a", "Till 3", "1.2.3")
        assert info.label == "Till 3"
        assert info.hostname
        assert info.has_capability("store")
        assert not info.has_capability("transport")
        assert node.refresh_node_info().uptime_ms >= info.uptime_ms


def test_the_uptime_goes_on(monkeypatch):
    with Client(ClientOptions.memory_only("node-a")) as node:
        before = node.node_info().uptime_ms
        opened = node._node
        assert opened is not None
        now = opened.now()
        monkeypatch.setattr(opened, "now", lambda: now._replace(wall_ms=now.wall_ms + 60_000))

        assert node.node_info().uptime_ms >= before + 60_000


# The log.


def test_everything_survives_a_restart(wal):
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        node.update({f"k{i}": i for i in range(10)})
        node.remove("k3")
        node.put("k4", "again")
        before = node.digest(), dict(node), node.sync_state(), node.entry("k4")

    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert (node.digest(), dict(node), node.sync_state(), node.entry("k4")) == before
        assert node.put("new", 1).sync_id == "node-a-13"


def stamp(node: Client) -> int:
    entry = node.entry("k")
    assert entry is not None
    return entry.timestamp_ms


def test_the_clock_does_not_go_back_over_a_restart(wal, monkeypatch):
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        node.put("k", 1)
        first = stamp(node)
    real = __import__("time").time_ns
    monkeypatch.setattr("time.time_ns", lambda: real() - 10**15)

    with Client(ClientOptions.persistent("node-a", wal)) as node:
        node.put("k", 2)

        assert stamp(node) >= first


@pytest.mark.parametrize("auto_flush", [True, False])
def test_a_program_that_changes_its_directory_goes_on_with_the_same_log(
    tmp_path, monkeypatch, auto_flush
):
    """A rewritten log was once put into the new directory, and the one at its path stayed old."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    options = ClientOptions.persistent("node-a", "node-a.wal", auto_flush=auto_flush)
    with Client(options) as node:
        node.put("k", "before")
        monkeypatch.chdir("elsewhere")
        node.compact()
        node.put("k", "after")

    assert not list(tmp_path.joinpath("elsewhere").iterdir())
    monkeypatch.chdir(tmp_path)
    with Client(options) as node:
        assert node.get("k") == "after"


def test_a_missing_directory_is_created(tmp_path):
    path = tmp_path / "deep" / "er" / "node.wal"

    with Client(ClientOptions.persistent("node-a", path)) as node:
        node.put("k", 1)

    assert path.exists()


def test_an_unwritable_directory_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError) as refusal:
        Client(ClientOptions.persistent("node-a", tmp_path / "file" / "node.wal")).open()

    assert isinstance(refusal.value, OSError)
    assert refusal.value.errno
    assert "file" in str(refusal.value)


def test_a_second_client_on_the_same_wal_is_told_who_holds_it(wal):
    with Client(ClientOptions.persistent("node-a", wal)) as holder:
        holder.put("k", 1)
        with pytest.raises(StoreLockedError) as refusal:
            Client(ClientOptions.persistent("node-b", wal)).open()

        assert str(os.getpid()) in refusal.value.message
        assert "node-a" in refusal.value.message
        assert holder.get("k") == 1


def test_a_link_to_the_wal_has_the_lock_of_the_wal(wal):
    link = wal.with_name("link.wal")
    link.symlink_to(wal.name)
    with Client(ClientOptions.persistent("node-a", wal)):
        with pytest.raises(StoreLockedError):
            Client(ClientOptions.persistent("node-a", link)).open()


def test_a_rewritten_log_takes_the_place_of_the_log_and_not_of_a_link_to_it(wal):
    link = wal.with_name("link.wal")
    link.symlink_to(wal.name)
    with Client(ClientOptions.persistent("node-a", link)) as node:
        node.put("k", 1)
        node.compact()
        node.put("k", 2)

    assert link.is_symlink()
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert node.get("k") == 2


def test_the_wal_of_another_node_is_refused(wal):
    Client(ClientOptions.persistent("node-a", wal)).open().close()

    with pytest.raises(StoreError) as refusal:
        Client(ClientOptions.persistent("node-b", wal)).open()

    assert "node-a" in refusal.value.message
    assert "node-b" in refusal.value.message


def test_a_failed_open_leaves_the_client_closed_and_the_lock_free(wal):
    wal.write_bytes(b"not a log at all" * 1000)
    node = Client(ClientOptions.persistent("node-a", wal))
    with pytest.raises(StoreError):
        node.open()
    assert not node.is_open

    wal.unlink()
    node.open().close()


def test_without_auto_flush_writes_are_kept_and_synced_in_time(wal):
    with Client(ClientOptions.fast("node-a", wal, flush_interval=0.01)) as node:
        node.put("k", 1)
    with Client(ClientOptions.fast("node-a", wal)) as node:
        assert node.get("k") == 1


def test_without_auto_flush_a_reactor_does_not_wake_itself_to_sync_what_it_takes_in(
    tmp_path, monkeypatch
):
    wakers: list[str] = []
    wake = Reactor.wake

    def noted(reactor: Reactor) -> None:
        wakers.append(threading.current_thread().name)
        wake(reactor)

    monkeypatch.setattr(Reactor, "wake", noted)
    options = [
        ClientOptions.persistent(name, tmp_path / name, auto_flush=False).with_local_transport(0)
        for name in ("node-a", "node-b")
    ]
    with Client(options[0]) as a, Client(options[1]) as b, b.watch() as changes:
        a.start_transport()
        b.start_transport()
        assert b.transport_port is not None
        a.connect(Peer.local("node-b", b.transport_port))
        a.put("k", 1)
        assert changes.get(30) is not None
        assert a.wait_synced(30)

    assert "MainThread" in wakers
    assert "softadastra-reactor" not in wakers


def test_without_auto_flush_syncs_go_on_while_writes_go_on(wal):
    """A sync that came between two looks at one flag once was the last one for ever."""
    options = ClientOptions.fast("node-a", wal, flush_interval=0.001)
    with Client(options) as node:
        assert node._node is not None
        log = node._node._log
        assert log is not None
        for burst in range(50):
            for i in range(200):
                node.put(f"k{i}", burst)
            deadline = time.monotonic() + 10
            while has_unsynced(log):
                assert time.monotonic() < deadline, f"unsynced after burst {burst}"


# Threads.


def test_threads_share_a_node(wal):
    def work(name):
        for i in range(100):
            results.append(node.put(f"{name}/{i}", i).sync_id)

    results: list[str] = []
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        digest = node.digest()

    assert len(set(results)) == 800
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert (node.size(), node.digest()) == (800, digest)


def test_two_threads_that_write_one_key_get_versions_in_order():
    def work():
        for i in range(500):
            versions.append(node.put("k", (threading.get_ident(), i)).version)

    versions: list[int] = []
    with Client(ClientOptions.memory_only("node-a")) as node:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(versions) == list(range(1, 1_001))


# Sync without a network.


def test_a_network_that_is_not_there_raises_from_no_write(client):
    client.put("k", 1)

    assert client.tick().batch_size == 0
    assert client.peers() == []
    state = client.sync_state()
    assert (state.outbox_size, state.queued_count, state.failed_count) == (1, 1, 0)
    assert client.prune_completed() == 0
    assert client.wait_synced(timeout=0.01) is False


def test_transport_that_is_disabled_says_so(client):
    with pytest.raises(TransportError) as refusal:
        client.start_transport()

    assert "transport is disabled" in refusal.value.message
    assert isinstance(refusal.value, ConnectionError)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("auto_flush", [True, False])
def test_a_transport_that_cannot_start_leaves_the_port_free_and_the_node_at_work(wal, auto_flush):
    """What failed after the bind once kept the port until the process ended."""
    port = free_port()
    options = ClientOptions.persistent("a", wal, auto_flush=auto_flush, flush_interval=0.01)
    options = options.with_local_transport(port)
    options.peers = (Peer.local("b", 1),)
    with Client(options) as node:
        assert node._node is not None
        log = node._node._log
        assert log is not None

        def refuse(*_):
            raise StorageError("disk full", errno=errno.ENOSPC)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(log), "append", refuse)
            with pytest.raises(StorageError):
                node.start_transport()
        assert (node.transport_running, node.transport_port) == (False, None)
        socket.create_server(("127.0.0.1", port)).close()

        node.put("k", 1)
        deadline = time.monotonic() + 10
        while has_unsynced(log):
            assert time.monotonic() < deadline, "nobody syncs any more"
        node.start_transport()
        assert node.transport_port == port


def test_a_peer_that_is_this_node_itself_is_refused_before_anything_is_bound():
    port = free_port()
    options = ClientOptions.memory_only("a").with_local_transport(port)
    options.peers = (Peer.local("a", 1),)
    with Client(options) as node:
        with pytest.raises(TransportError, match="this node itself"):
            node.start_transport()

        assert (node.transport_running, node.transport_port) == (False, None)
        socket.create_server(("127.0.0.1", port)).close()


def test_who_waits_for_a_peer_is_let_go_when_the_client_closes():
    """A wait without a time-out must not outlive the node."""
    node = Client(ClientOptions.memory_only("a").with_local_transport(0)).open()
    node.start_transport()
    node.put("k", 1)
    assert node._node is not None
    waiters = node._node.committer.changed
    outcomes: list[object] = []

    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]

    def connect():
        with pytest.raises(TransportError, match="the transport was stopped") as refusal:
            node.connect(Peer.local("b", port), timeout=60)
        outcomes.append(refusal.value.code)

    threads = [
        threading.Thread(target=lambda: outcomes.append(node.wait_synced(None))),
        threading.Thread(target=connect),
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(waiters._wakes) < 2:
        assert time.monotonic() < deadline
    node.close()
    for thread in threads:
        thread.join(10)
    silent.close()

    assert sorted(map(str, outcomes)) == ["False", "transport_error"]


def test_connect_before_the_transport_runs_is_an_invalid_state():
    with Client(ClientOptions.memory_only("a").with_local_transport(0)) as node:
        with pytest.raises(InvalidStateError):
            node.connect(Peer.local("b", 4042))


@pytest.mark.parametrize("node_id", ["a\n", "\x1b[31m", "b" * 256, "\u00e9" * 128])
def test_a_peer_whose_name_no_node_can_have_is_refused_and_not_registered(client, node_id):
    for peer in (Peer(node_id, "127.0.0.1", 4042), f"{node_id}@127.0.0.1:4042"):
        with pytest.raises(InvalidArgumentError, match="no node can be called"):
            client.connect(peer)

    assert client.peers() == []


def test_unknown_peers_are_not_found(client):
    with pytest.raises(NotFoundError):
        client.forget("nobody")
    with pytest.raises(NotFoundError):
        client.disconnect("nobody")


@pytest.mark.parametrize("name", ["at", "node@home"])
@pytest.mark.parametrize("named", [lambda peer: peer.node_id, str, lambda peer: peer])
def test_a_peer_is_forgotten_however_it_is_named(wal, name, named):
    peer = Peer.local(name, free_port())
    with Client(ClientOptions.persistent("node-a", wal).with_local_transport()) as node:
        node.start_transport()
        with pytest.raises(TransportError):
            node.connect(peer)
        node.disconnect(named(peer))

        node.forget(named(peer))

        assert node.peers() == []
    with Client(ClientOptions.persistent("node-a", wal)) as node:
        assert node.peers() == []


def test_wait_synced_with_nothing_written_is_true(client):
    assert client.wait_synced(timeout=0) is True


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        *(({"peers": peers}, "expected 'all', 'any', a number") for peers in WRONG_PEERS),
        *(({"up_to": up_to}, "expected the number of a write") for up_to in ("x", -1, 1.0, True)),
    ],
)
def test_wait_synced_refuses_what_names_no_peers_and_no_write(client, wrong, words):
    client.put("k", 1)

    with pytest.raises(InvalidArgumentError, match=words):
        client.wait_synced(0, **wrong)


@pytest.mark.parametrize("prefix", [5, None, b"k"])
def test_a_prefix_that_is_no_text_is_refused_before_anything_is_read(client, prefix):
    for view in (client.keys, client.items):
        with pytest.raises(InvalidArgumentError, match="a prefix is a str"):
            view(prefix)


@pytest.mark.parametrize("peer", [5, None, b"node-b", ["node-b"]])
def test_what_names_no_peer_is_refused_before_any_is_looked_for(client, peer):
    for call in (client.disconnect, client.forget):
        with pytest.raises(InvalidArgumentError, match="a known peer is named by its node id"):
            call(peer)


def test_held_writes_are_counted_and_released():
    with Client(ClientOptions.memory_only("a", auto_queue=False)) as node:
        node.put("k", 1)
        assert (node.sync_state().held_count, node.sync_state().queued_count) == (1, 0)

        assert node.queue_pending() == 1

        assert (node.sync_state().held_count, node.sync_state().queued_count) == (0, 1)


def test_every_error_of_the_package_has_the_one_root():
    for error in (InvalidArgumentError, StoreLockedError, TransportError, NotFoundError):
        assert issubclass(error, SoftadastraError)


def own_origin(node: Client) -> Origin:
    assert node._node is not None
    return node._node.replica.origins[OWN]


def test_a_copied_log_takes_a_new_incarnation_before_its_first_write(tmp_path):
    """The original may go on, and the two must not give out the same numbers."""
    original, copied = tmp_path / "a.wal", tmp_path / "copy" / "a.wal"
    with Client(ClientOptions.persistent("node-a", original)) as node:
        node.put("k", 1)
        before = own_origin(node)
    copied.parent.mkdir()
    shutil.copyfile(original, copied)

    with Client(ClientOptions.persistent("node-a", copied)) as node:
        renewed = own_origin(node)
        assert node.put("l", 2).sync_id == "node-a-2"
        assert node.sync_state().queued_count == 2
    with Client(ClientOptions.persistent("node-a", copied)) as node:
        assert own_origin(node) == renewed
        assert dict(node) == {"k": 1, "l": 2}
    with Client(ClientOptions.persistent("node-a", original)) as node:
        assert own_origin(node) == before

    assert renewed.node_id == "node-a"
    assert renewed != before


def test_a_backup_under_load_holds_all_that_was_written_before_and_is_another_incarnation(tmp_path):
    stop = threading.Event()
    with Client(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
        node.put("first", 0)

        def write() -> None:
            number = 0
            while not stop.is_set():
                node.put(f"k{number}", "x" * 1_000)
                number += 1

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        for number in range(5):
            node.put("before", number)
            node.backup(tmp_path / "backups" / f"{number}.wal")
        stop.set()
        for writer in writers:
            writer.join()
        before = own_origin(node)

    for number in range(5):
        copy = tmp_path / "backups" / f"{number}.wal"
        with Client(ClientOptions.persistent("node-a", copy)) as restored:
            assert restored["first"] == 0
            assert restored["before"] == number
            assert own_origin(restored) != before
    assert (
        sorted(path.name for path in (tmp_path / "backups").iterdir() if "new" in path.name) == []
    )


def test_a_backup_is_another_incarnation_also_in_the_very_file_of_the_original(tmp_path):
    """A file that takes the place of a removed one often gets its number too."""
    original, backup = tmp_path / "a.wal", tmp_path / "backup.wal"
    with Client(ClientOptions.persistent("node-a", original)) as node:
        node.put("k", 1)
        before = own_origin(node)
        node.backup(backup)

    original.write_bytes(backup.read_bytes())

    with Client(ClientOptions.persistent("node-a", original)) as node:
        renewed = own_origin(node)
        assert renewed != before
        assert dict(node) == {"k": 1}
    with Client(ClientOptions.persistent("node-a", original)) as node:
        assert own_origin(node) == renewed


@pytest.mark.parametrize("path", ["", ".", "a\0b", "\ud800", b"copy.wal", 7, None])
def test_a_backup_to_what_is_no_path_of_a_file_is_refused(tmp_path, path):
    with Client(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
        with pytest.raises(InvalidArgumentError, match="a file has a path"):
            node.backup(path)


def test_a_backup_overwrites_nothing_and_needs_a_log(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("precious")
    with Client(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
        with pytest.raises(AlreadyExistsError, match="back up to a new file"):
            node.backup(taken)
    with Client(ClientOptions.memory_only("node-b")) as node:
        with pytest.raises(InvalidStateError, match="no log"):
            node.backup(tmp_path / "b.wal")

    assert taken.read_text() == "precious"


def test_a_backup_is_not_put_where_the_log_is_rewritten(tmp_path):
    """It would be removed by the next compaction, or when the log is opened again."""
    path = tmp_path / "a.wal"
    with Client(ClientOptions.persistent("node-a", path)) as node:
        with pytest.raises(InvalidArgumentError, match="where this log is rewritten"):
            node.backup(tmp_path / ".." / tmp_path.name / "a.wal.new")
        node.backup(tmp_path / "b.wal.new")
        node.compact()

    assert (tmp_path / "b.wal.new").exists()


@pytest.mark.parametrize("timeout", ["x", math.nan, -1, [1]])
def test_a_bad_timeout_is_refused_before_anything_is_waited_for(client, timeout):
    with pytest.raises(InvalidArgumentError, match="seconds from 0 on"):
        client.wait_synced(timeout)


def test_a_client_is_made_of_options():
    with pytest.raises(InvalidArgumentError, match="takes ClientOptions, got 'node-a'"):
        Client("node-a")  # type: ignore[arg-type]  # the point

"""The changes of a client, as an application reads them."""

from __future__ import annotations

import gc
import pickle
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

import softadastra.watch as watching
from softadastra import (
    BEGINNING,
    Change,
    Client,
    ClientOptions,
    InvalidArgumentError,
    InvalidStateError,
    Peer,
    PositionLostError,
    Watch,
    WatchOverflowError,
)
from softadastra.runtime.waiting import open_gate
from tests.eventually import DEADLINE_SECONDS, eventually


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(ClientOptions.memory_only("node-a")) as node:
        yield node


def waits(watch: Watch) -> bool:
    """Whether a reader sleeps in it."""
    return watch._watcher._wake is not None


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_who_waits_for_a_reader_goes_on_when_he_has_the_change(client, monkeypatch):
    """Earlier he would ask for the interpreter while the reader takes it."""
    waiting: list[bool] = []
    watch, got = client.watch(), []

    def opened(gate: threading.Lock) -> None:
        waiting.append(bool(watch._watcher._queue))
        open_gate(gate)

    monkeypatch.setattr(watching, "open_gate", opened)
    reader = in_thread(lambda: got.append(watch.get(DEADLINE_SECONDS)))
    eventually(lambda: waits(watch))
    client.put("k", 1)
    reader.join(DEADLINE_SECONDS)

    woken, gone_on = waiting
    assert woken
    assert not gone_on
    assert [change.key for change in got] == ["k"]
    watch.close()


def test_a_change_says_what_an_entry_says(client):
    with client.watch() as watch:
        client.put("k", {"a": [1, None]})
        change = next(watch)

    entry = client.entry("k")
    assert entry is not None
    assert not change.is_removed
    assert [change.key, change.value, change.version] == [entry.key, entry.value, entry.version]
    assert [change.timestamp_ms, change.origin] == [entry.timestamp_ms, entry.origin]
    assert change.sync_id == entry.sync_id == "node-a-1"


def test_a_remove_is_told_from_a_stored_none(client):
    with client.watch() as watch:
        client.put("k", None)
        client.remove("k")
        put, removed = next(watch), next(watch)

    assert (put.value, put.is_removed) == (None, False)
    assert (removed.value, removed.is_removed, removed.version) == (None, True, 2)
    assert removed.sync_id == "node-a-2"


def test_a_change_can_be_kept_compared_and_pickled(client):
    watch = client.watch()
    client.put("k", 1)
    change = next(watch)

    copied = pickle.loads(pickle.dumps(change))

    assert copied == change
    assert copied.position == change.position
    assert isinstance(change, Change)
    with pytest.raises(AttributeError):
        change.value = 2  # type: ignore[misc]  # it is frozen


def test_get_gives_none_when_there_is_nothing_now(client):
    watch = client.watch()

    assert watch.get(0) is None
    assert watch.get(timeout=0.01) is None
    assert not waits(watch)
    with pytest.raises(InvalidArgumentError, match="timeout"):
        watch.get(-1)


def test_a_reader_that_waits_is_woken_by_a_write(client):
    watch = client.watch()
    told = []
    reader = in_thread(lambda: told.append(next(watch).key))
    eventually(lambda: waits(watch))

    client.put("k", 1)

    reader.join(DEADLINE_SECONDS)
    assert told == ["k"]


def test_a_reader_that_was_woken_says_that_it_runs(client):
    """Else who commits what peers send would wait for it, for half a millisecond each time."""
    watch = client.watch()
    reader = in_thread(lambda: next(watch))
    eventually(lambda: waits(watch))

    client.put("k", 1)

    reader.join(DEADLINE_SECONDS)
    passed = watch._watcher._watched.passed
    assert passed is not None
    assert passed.acquire(blocking=False)


def test_closing_wakes_the_reader_and_ends_its_iteration(client):
    watch = client.watch()
    told: list[Change] = []
    reader = in_thread(lambda: told.extend(watch))
    eventually(lambda: waits(watch))

    watch.close()
    watch.close()

    reader.join(DEADLINE_SECONDS)
    assert not reader.is_alive()
    assert (told, watch.is_closed, watch.get()) == ([], True, None)


def test_a_client_that_closes_ends_its_watches_when_all_was_given(client):
    watch = client.watch()
    resting = client.watch("other/")
    told: list[Change] = []
    client.put("k", 1)
    client.put("l", 2)
    reader = in_thread(lambda: told.extend(resting))
    eventually(lambda: waits(resting))

    client.close()

    reader.join(DEADLINE_SECONDS)
    assert [change.key for change in watch] == ["k", "l"]
    assert told == []
    assert next(watch, None) is None
    with pytest.raises(InvalidStateError):
        client.watch()


def test_a_position_goes_on_in_the_next_process(tmp_path):
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal")
    with Client(options) as node, node.watch(since=BEGINNING) as watch:
        node["k"] = 1
        node["l"] = 2
        assert watch.get(0) is not None
        assert watch.get(0) is not None
        assert watch.get(0) is None
        position = watch.position
        node["k"] = 3
        del node["l"]

    with Client(options) as node:
        told = list(drained(node.watch(since=position)))

    assert [(c.key, c.value, c.is_removed) for c in told] == [("k", 3, False), ("l", None, True)]


def test_what_was_compacted_away_since_a_position_is_lost_and_that_is_said(tmp_path):
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal")
    with Client(options) as node:
        early = node.watch().position
        for i in range(5):
            node["k"] = i
        late = node.watch().position
        node.compact()

        with pytest.raises(PositionLostError, match="watch from 'beginning'"):
            node.watch(since=early)
        assert list(drained(node.watch(since=late))) == []
        assert [c.key for c in drained(node.watch(since=BEGINNING))] == ["k"]


def test_a_slow_reader_stalls_nobody_and_is_told_where_to_go_on(client):
    watch = client.watch(max_changes=10)
    for i in range(1_000):
        client.put(f"k{i % 20}", i)

    kept = [next(watch).value for _ in range(10)]
    with pytest.raises(WatchOverflowError, match="fell behind") as raised:
        next(watch)

    assert kept == list(range(10))
    there = list(drained(client.watch(since=raised.value.position)))
    here = list(drained(watch))
    assert [c.value for c in there] == [c.value for c in here] == list(range(980, 1_000))


def test_a_watch_that_nobody_refers_to_keeps_nothing(client):
    watches = [client.watch() for _ in range(3)]
    watchers = client._opened().committer.watchers
    held = [watch._watcher for watch in watches]
    client.put("k", 1)

    watches.clear()
    gc.collect()
    client.put("k", 2)

    assert [watcher._queue for watcher in held] == [[], [], []]
    with client.watch() as watch:
        assert watchers._watchers == [watch._watcher]
        later = client.watch()
        del later
        gc.collect()
    assert not watchers.is_any


def test_a_watch_may_be_collected_by_who_holds_the_lock(client):
    watch = client.watch()
    with client._opened().lock:
        del watch
        gc.collect()

    client.put("k", 1)


def test_what_waits_takes_bounded_memory(client):
    """Values that were overwritten are alive as long as somebody is to be told of them."""
    value = b"x" * 100_000
    watch = client.watch(max_bytes=1_000_000)
    tracemalloc.start()
    try:
        for i in range(200):
            client.put("k", value + str(i).encode())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 500_000 < held < 1_500_000
    assert watch.get(0) is not None


def drained(watch: Watch) -> Iterator[Change]:
    while (change := watch.get(0)) is not None:
        yield change


def test_the_current_state_and_then_changes_without_a_gap_beside_writers(client):
    """Each thread writes keys of its own, so the last value of each is known."""
    for i in range(2_000):
        client.put(f"k{i:05}", -1)

    def write(number: int) -> None:
        for i in range(500):
            client.put(f"k{number * 500 + i:05}", i)

    threads = [in_thread(lambda n=n: write(n)) for n in range(3)]  # type: ignore[misc]
    watch = client.watch(since="beginning")
    copy = {}
    versions: dict[str, int] = {}

    def keep(change: Change) -> None:
        assert change.version > versions.get(change.key, 0), "none twice, none backwards"
        copy[change.key] = change.value
        versions[change.key] = change.version

    while any(thread.is_alive() for thread in threads):
        change = watch.get(0.001)
        if change is not None:
            keep(change)
    for change in drained(watch):
        keep(change)

    assert copy == dict(client)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prefix": 1}, "a prefix is a str"),
        ({"since": "yesterday"}, "not a position"),
        ({"since": 7}, "not a position"),
        ({"max_changes": 0}, "max_changes"),
        ({"max_bytes": 1.5}, "max_bytes"),
    ],
)
def test_wrong_arguments_are_refused(client, wrong, words):
    with pytest.raises(InvalidArgumentError, match=words):
        client.watch(**wrong)


def test_a_position_of_a_stranger_is_lost(client):
    with Client(ClientOptions.memory_only("node-b")) as other:
        other.put("k", 1)
        position = other.watch().position

    with pytest.raises(PositionLostError, match="'node-b'"):
        client.watch(since=position)


def test_a_watch_says_what_it_is(client):
    watch = client.watch("a/")

    assert repr(watch) == "<Watch of 'a/' open>"
    watch.close()
    assert repr(watch) == "<Watch of 'a/' closed>"


def test_writes_of_a_peer_are_told_as_they_arrive():
    options = [ClientOptions.memory_only(name).with_local_transport(0) for name in "ab"]
    with Client(options[0]) as a, Client(options[1]) as b:
        b.start_transport()
        a.start_transport()
        watch = a.watch("from-b/")
        port = b.transport_port
        assert port is not None
        a.connect(Peer.local("b", port), timeout=DEADLINE_SECONDS)

        b.put("from-b/1", "one")
        first = watch.get(DEADLINE_SECONDS)
        b.remove("from-b/1")
        second = watch.get(DEADLINE_SECONDS)

    assert first is not None
    assert second is not None
    assert (first.value, first.origin, first.sync_id) == ("one", "b", "b-1")
    assert (second.is_removed, second.sync_id) == (True, "b-2")

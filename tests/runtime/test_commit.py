"""Decide, make durable, evolve: with a log that a test controls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from softadastra.errors import InvalidStateError, StorageError
from softadastra.runtime.commit import Committer
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from tests.engines import OPTIONS

VALUE = b"\x01"


class Disk:
    """A log in memory; `on_sync` and `on_append` stand for what a disk may do."""

    def __init__(self) -> None:
        self.appended: list[tuple[int, bytes]] = []
        self.synced = 0
        self.syncs = 0
        self.on_append: Callable[[], None] = lambda: None
        self.on_sync: Callable[[], None] = lambda: None
        self.is_poisoned = False

    def append(self, kind: int, payload: bytes) -> None:
        self.append_many([(kind, payload)])

    def append_many(self, frames: Sequence[tuple[int, bytes]]) -> None:
        self.on_append()
        self.appended += frames

    def sync(self) -> None:
        end = len(self.appended)
        self.on_sync()
        self.synced = end
        self.syncs += 1


@pytest.fixture
def disk():
    return Disk()


def committer(disk, *, flush=True):
    engine = Engine(Replica("a", 1), OPTIONS, nonce=1, jitter=lambda: 0.5)
    return Committer(engine, disk, flush=flush, wall_ms=lambda: 1_000)


def keys(of):
    return set(of.engine.replica.entries)


def test_nothing_is_visible_before_it_is_durable(disk):
    of = committer(disk)
    seen = []
    disk.on_sync = lambda: seen.append(keys(of))

    of.write([("k", VALUE, 0)])

    assert seen == [set()]
    assert keys(of) == {"k"}
    assert disk.synced == len(disk.appended) == 1


def test_a_refused_append_changes_nothing_and_the_next_write_works(disk):
    of = committer(disk)
    error = StorageError("disk full", errno=28, filename="f")

    def refuse():
        raise error

    disk.on_append = refuse
    with pytest.raises(StorageError):
        of.write([("k", VALUE, 0)])
    assert (keys(of), of.engine.replica.top) == (set(), 0)

    disk.on_append = lambda: None
    ((_, _, _, _, n),) = of.write([("k", VALUE, 0)])
    assert n == 1


def test_a_failed_sync_shows_nothing(disk):
    of = committer(disk)

    def fail():
        raise StorageError("lost", errno=5)

    disk.on_sync = fail
    with pytest.raises(StorageError):
        of.write([("k", VALUE, 0)])

    assert keys(of) == set()
    assert [n.event for n in of.engine.notices.take()] == ["wal.failed"]


def test_writers_that_come_during_a_sync_share_the_next_one(disk):
    of = committer(disk)
    release, inside = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert release.wait(10)

    disk.on_sync = slow
    results = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(of.write([(f"k{i}", VALUE, 0)])))
        for i in range(8)
    ]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 10
    while len(of._waiting) < 7:
        assert time.monotonic() < deadline
    release.set()
    for thread in threads:
        thread.join(10)

    assert disk.syncs == 2
    assert len(disk.appended) == 2  # the seven are one record
    assert sorted(row[4] for (row,) in results) == list(range(1, 9))
    assert len(keys(of)) == 8


def test_when_a_shared_sync_fails_each_writer_raises_its_own_error(disk):
    of = committer(disk)
    release, inside = threading.Event(), threading.Event()

    def fail():
        inside.set()
        assert release.wait(10)
        raise StorageError("lost", errno=5)

    disk.on_sync = fail
    errors: list[BaseException] = []

    def write(i):
        try:
            of.write([(f"k{i}", VALUE, 0)])
        except StorageError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 10
    while len(of._waiting) < 3:
        assert time.monotonic() < deadline
    release.set()
    for thread in threads:
        thread.join(10)

    assert len(errors) == len({id(error) for error in errors}) == 4
    assert all(isinstance(error, StorageError) and error.errno == 5 for error in errors)
    assert keys(of) == set()


@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize("moment", ["append", "evolve"])
def test_an_interrupt_inside_a_write_stops_writing_and_blocks_nobody(disk, flush, moment):
    """Whether the record is there is unknown: going on could give out its number twice."""
    of = committer(disk, flush=flush)

    def interrupt(*_):
        raise KeyboardInterrupt

    if moment == "append":
        disk.on_append = interrupt
    else:
        of.engine.evolve = interrupt
    with pytest.raises(KeyboardInterrupt):
        of.write([("k", VALUE, 0)])

    with pytest.raises(InvalidStateError):
        of.write([("k", VALUE, 0)])


def test_closing_waits_for_what_is_under_way_and_refuses_the_rest(disk):
    """A log that closed under an append cut off a put that had returned."""
    of = committer(disk)
    release, inside = threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert release.wait(10)

    disk.on_sync = slow
    writer = threading.Thread(target=of.write, args=([("k", VALUE, 0)],))
    writer.start()
    assert inside.wait(10)
    closer = threading.Thread(target=of.close)
    closer.start()
    while not of._is_closed:
        pass
    assert closer.is_alive()
    with pytest.raises(InvalidStateError):
        of.write([("other", VALUE, 0)])

    release.set()
    closer.join(10)
    writer.join(10)

    assert not closer.is_alive()
    assert keys(of) == {"k"}
    assert disk.synced == 1


def test_without_flush_a_write_is_appended_and_not_synced(disk):
    of = committer(disk, flush=False)

    of.write([("k", VALUE, 0)])

    assert (len(disk.appended), disk.synced, of.is_dirty) == (1, 0, True)
    of.sync()
    assert (disk.synced, of.is_dirty) == (1, False)
    of.sync()
    assert disk.syncs == 1


def test_readers_and_others_go_on_during_a_sync(disk):
    of = committer(disk)
    taken = []

    def during():
        taken.append(of.lock.acquire(timeout=1))
        of.lock.release()

    disk.on_sync = during

    of.write([("k", VALUE, 0)])

    assert taken == [True]


def test_what_may_be_lost_is_not_appended_into_the_middle_of_a_commit(disk):
    from softadastra.sync.records import Pruned

    of = committer(disk)
    answers = []

    def during():
        with of.lock:
            answers.append(of.remember([Pruned(0)]))

    disk.on_sync = during
    of.write([("k", VALUE, 0)])
    with of.lock:
        answers.append(of.remember([Pruned(0)]))

    assert answers == [False, True]
    assert len(disk.appended) == 2

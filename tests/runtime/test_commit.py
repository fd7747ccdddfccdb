"""Decide, make durable, evolve: with a log that a test controls."""

from __future__ import annotations

import errno
import gc
import itertools
import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from softadastra.errors import InvalidStateError, StorageError
from softadastra.runtime.commit import Committer
from softadastra.runtime.tickets import Ticket
from softadastra.runtime.watcher import Limits
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from softadastra.vitals import LogRefusal, RefusalKind
from tests.engines import OPTIONS
from tests.eventually import eventually
from tests.interrupts import every_interrupt, in_time, one_signal

VALUE = b"\x01"
PATIENCE_SECONDS = 10.0


class Disk:
    """A log in memory; `on_sync` and `on_append` stand for what a disk may do."""

    def __init__(self) -> None:
        self.appended: list[tuple[int, bytes]] = []
        self.synced = 0
        self.syncs = 0
        self.on_append: Callable[[], None] = lambda: None
        self.on_sync: Callable[[], None] = lambda: None
        self.is_poisoned = False

    @property
    def size_bytes(self) -> int:
        return sum(len(payload) for _, payload in self.appended)

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


@pytest.mark.parametrize("flush", [True, False])
def test_watchers_are_told_what_reads_show_and_nothing_before(disk, flush):
    of = committer(disk, flush=flush)
    watcher = of.watchers.open("", None, Limits(10, 1_000))
    seen = []
    disk.on_append = disk.on_sync = lambda: seen.append(list(watcher._queue))

    of.write([("k", VALUE, 0)])

    assert seen == [[]] * (1 + flush)
    told = watcher.take()
    assert told is not None
    assert told[0].key == "k"


@pytest.mark.parametrize("flush", [True, False])
def test_watchers_are_told_nothing_that_the_disk_refused(disk, flush):
    of = committer(disk, flush=flush)
    watcher = of.watchers.open("", None, Limits(10, 1_000))

    def refuse():
        raise StorageError("no space", errno=28)

    disk.on_append = refuse

    with pytest.raises(StorageError):
        of.write([("k", VALUE, 0)])

    assert watcher.take() is None


def handed_over(of, disk, value=VALUE):
    """Commit a write, during whose sync another one comes; give that one, which has yet to wake."""
    first, second = (Ticket([(key, value, 0)], ()) for key in ("k1", "k2"))
    assert of._join(first) is None

    def another_one_comes():
        disk.on_sync = lambda: None
        assert of._join(second) is not None

    disk.on_sync = another_one_comes
    of._lead(first)
    assert second.followers == []
    return second


def test_who_comes_before_the_next_leader_has_woken_is_in_its_group(disk):
    of = committer(disk)
    second = handed_over(of, disk)
    third = Ticket([("k3", VALUE, 0)], ())
    assert of._join(third) is not None

    of._lead(second)

    assert third.is_done
    assert third.results
    assert keys(of) == {"k1", "k2", "k3"}
    assert disk.syncs == 2


def committed_together(of, disk, value=VALUE):
    """Commit two writes as one group; nobody is at work then."""
    second = handed_over(of, disk, value)
    third = Ticket([("k3", VALUE, 0)], ())
    of._join(third)
    of._lead(second)
    disk.syncs = 0


def test_the_first_of_those_who_were_committed_together_waits_for_the_others(disk):
    of = committer(disk)
    committed_together(of, disk)
    of._gathering.sync_seconds = PATIENCE_SECONDS
    first, second = (Ticket([(key, VALUE, 0)], ()) for key in ("k4", "k5"))
    assert of._join(first) is None
    leader = threading.Thread(target=of._lead, args=(first,))
    leader.start()
    eventually(lambda: of._gathering._gate is not None)
    assert disk.syncs == 0

    of._join(second)

    leader.join(PATIENCE_SECONDS)
    assert second.results
    assert disk.syncs == 1


def test_who_does_not_come_back_is_waited_for_more_and_more_rarely(disk):
    of = committer(disk)
    waits: list[int] = []
    for attempt in range(200):
        value = attempt.to_bytes(1)
        committed_together(of, disk, value)
        if not of._gathering._skips:
            waits.append(attempt)
        of.write([("k4", value, 0)])

    assert [b - a for a, b in itertools.pairwise(waits)] == [2, 4, 8, 16, 32, 64, 64]


def test_what_was_committed_is_let_go_at_once_and_not_by_a_search_for_garbage(disk):
    of = committer(disk)
    second = handed_over(of, disk)
    gc.collect()
    gc.disable()
    try:
        of._lead(second)
        of.exclusively(lambda: None, lambda _: None)
        of.write([("k4", VALUE, 0)])
        del second

        assert [found for found in gc.get_objects() if type(found) is Ticket] == []
    finally:
        gc.enable()


def test_others_are_waited_for_as_long_as_the_last_sync_took(disk, monkeypatch):
    of = committer(disk)
    times = iter([10.0, 10.4])
    monkeypatch.setattr("softadastra.runtime.sync_times.perf_counter", lambda: next(times))
    of.write([("k", VALUE, 0)])

    assert of._gathering.sync_seconds == pytest.approx(0.4)


def test_who_wants_the_log_alone_is_taken_into_no_group(disk):
    of = committer(disk)
    second = handed_over(of, disk)
    third, alone = Ticket([("k3", VALUE, 0)], ()), Ticket((), (), is_exclusive=True)
    assert of._join(third) is not None
    assert of._join(alone) is not None

    of._lead(second)

    assert not third.is_done
    assert alone.followers == [third]
    of._lead(alone)
    assert keys(of) == {"k1", "k2", "k3"}


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


@pytest.mark.parametrize("flush", [True, False])
def test_what_the_disk_refused_stands_until_an_append_works(disk, flush):
    of = committer(disk, flush=flush)
    times = iter([1_000, 1_000, 2_000, 2_000])
    of.wall_ms = lambda: next(times)
    found = []

    def refuse():
        raise StorageError("no space", errno=errno.ENOSPC)

    disk.on_append = refuse
    for _ in range(2):
        with pytest.raises(StorageError):
            of.write([("k", VALUE, 0)])
        found.append(of.refusals.stands)
    disk.on_append = lambda: None
    of.wall_ms = lambda: 3_000
    of.write([("k", VALUE, 0)])

    full = LogRefusal(kind=RefusalKind.FULL, since_ms=1_000, detail="no space")
    assert found == [full, full]
    assert of.refusals.stands is None


@pytest.mark.parametrize(
    ("number", "free_bytes", "appends"),
    [
        (errno.ENOSPC, 10_000, 1),
        (errno.ENOSPC, 20, 7),
        (errno.ENOSPC, None, 9),
        (errno.EDQUOT, 10_000, 9),
    ],
)
def test_a_small_record_that_finds_room_does_not_show_that_there_is_room_for_a_large_one(
    disk, number, free_bytes, appends
):
    of = committer(disk)
    of.refusals.free_bytes = lambda: free_bytes

    def refuse():
        raise StorageError("no space", errno=number)

    disk.on_append = refuse
    with pytest.raises(StorageError):
        of.write([("k", b"\xc4\x64" + bytes(100), 0)])
    disk.on_append = lambda: None
    counted = 0
    while of.refusals.stands is not None:
        of.write([(f"k{counted}", VALUE, 0)])
        counted += 1

    assert counted == appends


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, RefusalKind.FULL),
        (errno.EDQUOT, RefusalKind.FULL),
        (errno.EFBIG, RefusalKind.FULL),
        (errno.EROFS, RefusalKind.READ_ONLY),
        (errno.EIO, RefusalKind.FAILED),
        (None, RefusalKind.FAILED),
    ],
)
def test_a_failed_sync_says_why_also_when_the_log_then_refuses_everything(disk, number, kind):
    of = committer(disk)

    def refuse(words, with_number):
        raise StorageError(words, errno=with_number)

    disk.on_sync = partial(refuse, "lost", number)
    with pytest.raises(StorageError):
        of.write([("k", VALUE, 0)])
    disk.on_append = partial(refuse, "an earlier failure left its end unknown", None)
    with pytest.raises(StorageError):
        of.write([("k", VALUE, 0)])

    assert of.refusals.stands == LogRefusal(kind=kind, since_ms=1_000, detail="lost")


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
    eventually(lambda: len(of._waiting) >= 7)
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
    eventually(lambda: len(of._waiting) >= 3)
    release.set()
    for thread in threads:
        thread.join(10)

    assert len(errors) == len({id(error) for error in errors}) == 4
    assert all(isinstance(error, StorageError) and error.errno == 5 for error in errors)
    assert keys(of) == set()


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("flush", [True, False])
def test_an_interrupt_before_the_log_has_changed_changes_nothing(disk, flush):
    of = committer(disk, flush=flush)
    disk.on_append = interrupt
    with pytest.raises(KeyboardInterrupt):
        of.write([("k", VALUE, 0)])

    disk.on_append = lambda: None
    ((_, _, _, _, n),) = of.write([("l", VALUE, 0)])

    assert (n, keys(of)) == (1, {"l"})


def test_an_interrupt_in_the_sync_is_raised_when_the_write_is_done(disk):
    """That is where nearly all of them come: the node must not need to be opened again."""
    of = committer(disk)

    def once():
        disk.on_sync = lambda: None
        interrupt()

    disk.on_sync = once
    with pytest.raises(KeyboardInterrupt):
        of.write([("k", VALUE, 0)])

    assert (keys(of), disk.synced) == ({"k"}, 1)
    ((_, _, _, _, n),) = of.write([("l", VALUE, 0)])
    assert n == 2


@pytest.mark.parametrize("flush", [True, False])
def test_an_interrupt_while_state_changes_stops_writing_and_blocks_nobody(disk, flush):
    """Part of the record may be in the state: going on could give out its number twice."""
    of = committer(disk, flush=flush)
    of.engine.evolve = interrupt
    with pytest.raises(KeyboardInterrupt):
        of.write([("k", VALUE, 0)])

    with pytest.raises(InvalidStateError, match="writes no more"):
        of.write([("k", VALUE, 0)])
    assert in_time(of.close) is None


def test_whoever_waits_for_an_interrupted_leader_is_committed_or_told(disk):
    """The follower once waited for ever, and `close` with it."""
    outcomes = set()
    for interrupts in every_interrupt():
        disk = Disk()
        of = committer(disk)
        follower = Follower(of, interrupts)
        disk.on_append = follower.begin
        returned = False
        with interrupts:
            of.write([("leader", VALUE, 0)])
            returned = True
        follower.begin()

        outcome = follower.end()
        later = in_time(partial(of.write, [("later", VALUE, 0)]))
        assert in_time(of.close) is None
        if isinstance(outcome, Exception) or isinstance(later, Exception):
            assert isinstance(later, InvalidStateError), later
            assert "writes no more" in later.message
            assert not returned
        else:
            assert keys(of) >= {"follower", "later"}
            assert ("leader" in keys(of)) >= returned
            assert disk.synced == len(disk.appended) == len(keys(of))
        outcomes.add(type(outcome))
    assert outcomes == {list, InvalidStateError}


class Follower:
    """A writer that comes while another one leads."""

    def __init__(self, of, interrupts):
        self.of = of
        self.interrupts = interrupts
        self.outcome: list[object] = []
        self.thread: threading.Thread | None = None

    def begin(self):
        if self.thread is not None:
            return
        self.interrupts.is_paused = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        while not self.of._waiting and self.thread.is_alive():
            pass
        self.interrupts.is_paused = False

    def run(self):
        try:
            self.outcome.append(self.of.write([("follower", VALUE, 0)]))
        except Exception as error:
            self.outcome.append(error)

    def end(self):
        assert self.thread is not None
        self.thread.join(10)
        assert not self.thread.is_alive(), f"the follower hangs: {self.interrupts.where}"
        return self.outcome[0]


def test_a_waiting_writer_that_is_interrupted_withdraws_what_is_not_begun(disk):
    """By a real signal: the wait at the gate is inside a call of the interpreter's own code."""
    of = committer(disk)
    inside = threading.Event()

    def interrupt_the_waiting():
        inside.set()
        disk.on_sync = lambda: None
        eventually(lambda: of._waiting)
        interrupt_until(lambda: not of._waiting)

    disk.on_sync = interrupt_the_waiting
    leader = threading.Thread(target=of.write, args=([("leader", VALUE, 0)],))
    with one_signal() as interrupt_until:
        leader.start()
        assert inside.wait(10)
        with pytest.raises(KeyboardInterrupt):
            of.write([("k", VALUE, 0)])
        leader.join(10)

    of.write([("later", VALUE, 0)])
    assert keys(of) == {"leader", "later"}


def test_a_writer_that_is_interrupted_while_another_commits_it_raises_when_that_is_done(disk):
    of = committer(disk)
    begun, joined, inside = threading.Event(), threading.Event(), threading.Event()
    withdrawn, withdraw = threading.Event(), of._withdraw

    def withdrawing(ticket):
        withdrawn.set()
        withdraw(ticket)

    of._withdraw = withdrawing

    def first_sync():
        disk.on_sync = second_sync
        begun.set()
        assert joined.wait(10)
        eventually(lambda: len(of._waiting) == 2)

    def second_sync():
        disk.on_sync = lambda: None
        interrupt_until(withdrawn.is_set)
        inside.set()

    disk.on_sync = first_sync
    writers = [threading.Thread(target=of.write, args=([(name, VALUE, 0)],)) for name in ("a", "b")]
    with one_signal() as interrupt_until:
        writers[0].start()
        assert begun.wait(10)
        writers[1].start()
        eventually(lambda: of._waiting)
        joined.set()
        with pytest.raises(KeyboardInterrupt):
            of.write([("main", VALUE, 0)])

    assert inside.is_set()
    assert keys(of) == {"a", "b", "main"}
    assert disk.synced == 2
    for writer in writers:
        writer.join(10)
    assert in_time(of.close) is None


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


def traced(disk, *, flush):
    of = committer(disk, flush=flush)
    of.engine.notices.is_traced = True
    woken = []
    of.noted = lambda: woken.append(True)
    return of, woken


def told(of):
    return [(notice.event, notice.fields) for notice in of.engine.notices.take()]


def test_a_write_is_told_with_whether_it_is_durable_and_who_tells_is_woken_once(disk):
    of, woken = traced(disk, flush=True)
    of.write([("k", VALUE, 0), ("k", VALUE, 0)])
    of.write([("other", VALUE, 0)])

    assert told(of) == [
        ("write.accepted", {"sync_id": "a-1", "key": "k", "durable": True}),
        ("write.accepted", {"sync_id": "a-2", "key": "other", "durable": True}),
    ]
    assert woken == [True]
    of.write([("k", b"\x02", 0)])
    assert woken == [True, True]


def test_writes_are_told_together_until_something_else_is_told_or_they_are_taken(disk):
    of, _ = traced(disk, flush=False)
    for number in range(3):
        of.write([(f"key/{number}", VALUE, 0)])
    of.write([("key/0", VALUE, 0)])  # unchanged
    of.sync()
    of.write([("key/3", VALUE, 0)])
    of.write([("key/4", VALUE, 0), ("key/5", VALUE, 0)])
    first = of.engine.notices.take_together()
    of.write([("key/6", VALUE, 0)])
    second = of.engine.notices.take_together()

    assert [(each.event, getattr(each, "keys", None)) for each in (*first, *second)] == [
        ("write.accepted", ["key/0", "key/1", "key/2"]),
        ("wal.synced", None),
        ("write.accepted", ["key/3", "key/4", "key/5"]),
        ("write.accepted", ["key/6"]),
    ]
    assert [each.first for each in (first[0], first[2], second[0])] == [1, 4, 7]


def test_writes_whose_numbers_do_not_follow_each_other_keep_their_numbers(disk):
    """As those before and after a new incarnation."""
    of, _ = traced(disk, flush=True)
    for n in (8, 9, 1, 2):
        of.engine.traces.accepted([(f"key/{n}", 1, "created", "a", n)], durable=True)

    assert [fields["sync_id"] for _, fields in told(of)] == ["a-8", "a-9", "a-1", "a-2"]


def test_a_write_without_a_sync_is_told_with_the_sync_that_is_to_come(disk):
    """To wake a thread for each of them costs more than all else."""
    of, woken = traced(disk, flush=False)
    of.write([("k", VALUE, 0)])
    of.write([("other", VALUE, 0)])

    assert woken == []
    assert [fields["durable"] for _, fields in told(of)] == [False, False]
    of.sync()
    of.write([("third", VALUE, 0)])
    of.sync()
    assert [fields["sync_id"] for event, fields in told(of) if event == "wal.synced"] == [
        ["a-1..2"],
        ["a-3"],
    ]


def test_nothing_is_told_while_nobody_wants_it(disk):
    of, woken = traced(disk, flush=False)
    of.engine.notices.is_traced = False
    of.write([("k", VALUE, 0)])
    of.sync()

    assert (told(of), woken) == ([], [])

"""Decide, make durable, evolve: the only way in which a node's state changes.

With `flush`, writers share syncs: a writer that finds nobody at work does its own write and
sync; those that come meanwhile wait, and are then decided, written and synced together, as
one record, by the first of them. Nobody holds the lock over a sync, so readers and the
reactor go on. (A lock over the whole commit makes a convoy of one sync a writer; a writer
thread of its own costs a lone writer two thread switches. research/performance.md.)

Nothing is visible before it is durable: reads show evolved state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from threading import Condition, Lock
from typing import Protocol

from softadastra.errors import InternalError, InvalidStateError, SoftadastraError, StorageError
from softadastra.store.writes import Assigned, Assignment, decide_writes
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level
from softadastra.sync.records import Lived, Record, RecordEncoder

__all__ = ["Committer", "Log"]

INTERRUPTED = "a write was interrupted, and whether it is durable is unknown"


class Log(Protocol):
    """The durable history, as `wal.log.WriteAheadLog` is one."""

    def append(self, kind: int, payload: bytes) -> None:
        """Append a frame, or raise and change nothing."""

    def append_many(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Append all of the frames, or raise and change nothing."""

    def sync(self) -> None:
        """Make what was appended before durable; a failure is for good."""

    @property
    def is_poisoned(self) -> bool:
        """Whether a sync failed, so that nothing is written any more."""


class Ticket:
    """What one caller wants committed."""

    __slots__ = ("asked", "error", "gate", "group", "guard", "records", "results")

    def __init__(
        self,
        asked: Sequence[Assignment],
        records: Sequence[Record],
        guard: Callable[[], bool] | None = None,
    ) -> None:
        self.asked = asked
        self.records = records
        self.guard = guard
        """Whether it is still to be done, asked when it is decided."""
        self.results: list[Assigned | None] = []
        self.error: BaseException | None = None
        self.gate: Lock | None = None
        """What its caller waits on while another one commits."""
        self.group: list[Ticket] | None = None
        """The tickets that its caller is to commit when it wakes; None: it is done."""


class Committer:
    """Commits for any number of threads.

    Args:
        engine: the state. Everything that touches it holds `lock`.
        log: where records become durable; None: nowhere, the node is memory only.
        flush: whether a commit returns only when it is synced.
        wall_ms: reads the wall clock.
    """

    def __init__(
        self, engine: Engine, log: Log | None, *, flush: bool, wall_ms: Callable[[], int]
    ) -> None:
        self.engine = engine
        self.lock = Lock()
        self.changed = Condition(self.lock)
        """Notified when peers or cursors have changed and somebody waits for it."""
        self.dirtied: Callable[[], None] = lambda: None
        """Called when there is something to sync again. Comparing `is_dirty` before and after a
        write instead misses a sync in between, and then nobody ever syncs."""
        self._log = log
        self._flush = flush and log is not None
        self._wall_ms = wall_ms
        self._encode = RecordEncoder(engine.replica.origins).encode
        self._busy = False
        self._waiting: list[Ticket] = []
        self._broken: str | None = None
        self._is_closed = False
        self._is_dirty = False

    @property
    def is_dirty(self) -> bool:
        """Whether state has evolved from records that are not synced yet."""
        return self._is_dirty

    @property
    def has_failed(self) -> bool:
        """Whether nothing is written any more, until the log is opened again."""
        return self._broken is not None or (self._log is not None and self._log.is_poisoned)

    def close(self) -> None:
        """Refuse all further writes, and wait for those that are under way: then the log may close.

        A log that closes under an append would cut off what its writer is told is durable.
        """
        with self.changed:
            self._is_closed = True
            self.changed.wait_for(lambda: not self._busy)

    def write(self, asked: Sequence[Assignment]) -> list[Assigned | None]:
        """Commit local writes as one record.

        Returns:
            Per write what became of it; None for the remove of an absent key.

        Raises:
            StorageError: nothing has changed, except after a failed sync, whose outcome is
                unknown and after which nothing is written until the log is opened again.
        """
        if self._flush:
            return self._commit(Ticket(asked, ()))
        with self.lock:
            return self._commit_at_once(asked, ())

    def write_if(self, assignment: Assignment, guard: Callable[[], bool]) -> bool:
        """Commit one write if the state is still what its value was made of.

        Args:
            assignment: the write.
            guard: asked under the lock when the write is decided.

        Returns:
            Whether it was done. Raises as `write`.
        """
        if self._flush:
            return bool(self._commit(Ticket([assignment], (), guard)))
        with self.lock:
            return guard() and bool(self._commit_at_once([assignment], ()))

    def commit(self, records: Sequence[Record]) -> None:
        """Commit records that are decided. Raises as `write`."""
        if self._flush:
            self._commit(Ticket((), records))
            return
        with self.lock:
            self._commit_at_once((), records)

    def remember(self, records: Sequence[Record]) -> bool:
        """Append records that may be lost without harm, and sync nothing. Holding the lock.

        Returns:
            Whether they were appended; not while a commit is under way: ask again later.

        Raises:
            StorageError: the disk refused them.
        """
        if self._busy or self._is_closed or self._broken is not None:
            return False
        if self._log is not None:
            self._append(self._log, records)
        return True

    def sync(self) -> None:
        """Make durable what `flush=False` has left. Not holding the lock; one caller at a time.

        Raises:
            StorageError: the outcome is unknown, and nothing is written any more.
        """
        if self._is_dirty and self._log is not None:
            # Before the sync: what is appended while it runs needs another one.
            self._is_dirty = False
            try:
                self._sync(self._log)
            except BaseException:
                # Else the next push would speak of what is not durable.
                self._is_dirty = True
                raise

    def _commit(self, ticket: Ticket) -> list[Assigned | None]:
        gate = self._join(ticket)
        if gate is not None:
            self._wait(ticket, gate)
        if ticket.group is not None:
            self._lead(ticket.group)
        if ticket.error is not None:
            raise ticket.error
        return ticket.results

    def _join(self, ticket: Ticket) -> Lock | None:
        """Take the lead when nobody is at work; else give the gate to wait at."""
        with self.lock:
            self._check_writable()
            if not self._busy:
                self._busy = True
                ticket.group = [ticket]
                return None
            gate = ticket.gate = Lock()
            gate.acquire()
            self._waiting.append(ticket)
            return gate

    def _wait(self, ticket: Ticket, gate: Lock) -> None:
        try:
            gate.acquire()
        except BaseException:
            # A signal's exception. What is not begun is withdrawn; what is on its way has an
            # outcome, and may have been given the lead, so it is waited for all the same.
            with self.lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    raise
            gate.acquire()
            if ticket.group is not None:
                self._lead(ticket.group)
            raise

    def _commit_at_once(
        self, asked: Sequence[Assignment], records: Sequence[Record]
    ) -> list[Assigned | None]:
        """Commit without a sync, holding the lock: it costs no more than waiting would."""
        self._check_writable()
        decided, results = self._decide(asked, records)
        try:
            if decided and self._log is not None:
                self._append(self._log, decided)
                if not self._is_dirty:
                    self._is_dirty = True
                    self.dirtied()
            for record in decided:
                self.engine.evolve(record)
        except SoftadastraError:
            raise
        except BaseException:
            self._broken = INTERRUPTED
            raise
        if self.engine.notices.is_traced:
            self._trace(results)
        return results

    def _append(self, log: Log, records: Sequence[Record]) -> None:
        try:
            if len(records) == 1:
                log.append(*self._encode(records[0]))
            else:
                log.append_many([self._encode(record) for record in records])
        except StorageError as error:
            self.engine.notices.note(Level.ERROR, "wal.failed", error=error.message)
            raise

    def _sync(self, log: Log) -> None:
        try:
            log.sync()
        except StorageError as error:
            self.engine.notices.note(Level.ERROR, "wal.failed", error=error.message)
            raise

    def _lead(self, group: list[Ticket]) -> None:
        """Commit a group and hand over to the next one. Not holding the lock."""
        error: BaseException | None = None
        is_begun = False
        try:
            with self.lock:
                self._check_writable()
                records = self._decide_group(group)
            if records and self._log is not None:
                is_begun = True
                self._append(self._log, records)
                self._sync(self._log)
        except SoftadastraError as failure:
            error = failure
        except BaseException as interruption:  # a signal's exception may come anywhere
            if is_begun:
                self._broken = INTERRUPTED
            error = interruption
        with self.lock:
            try:
                if error is None:
                    for record in records:
                        self.engine.evolve(record)
            except BaseException as interruption:
                self._broken = INTERRUPTED
                error = interruption
            if error is not None:
                self._fail(group, error)
            elif self.engine.notices.is_traced:
                for ticket in group:
                    self._trace(ticket.results)
            following, self._waiting = self._waiting, []
            if following:
                following[0].group = following
            else:
                self._busy = False
                self.changed.notify_all()
        for ticket in group:
            if ticket.gate is not None and ticket is not group[0]:
                ticket.gate.release()
        if following and following[0].gate is not None:
            following[0].gate.release()

    def _decide_group(self, group: list[Ticket]) -> Sequence[Record]:
        """Decide what a group asks for: all its writes together are one record."""
        for ticket in group:
            if ticket.guard is not None and not self._is_wanted_still(ticket, group):
                ticket.asked = ()
        records, results = self._decide(
            [assignment for ticket in group for assignment in ticket.asked],
            [record for ticket in group for record in ticket.records],
        )
        rows = iter(results)
        for ticket in group:
            ticket.results = list(islice(rows, len(ticket.asked)))
        return records

    def _is_wanted_still(self, guarded: Ticket, group: list[Ticket]) -> bool:
        assert guarded.guard is not None
        keys = {assignment[0] for assignment in guarded.asked}
        others = (a[0] for ticket in group if ticket is not guarded for a in ticket.asked)
        return guarded.guard() and keys.isdisjoint(others)

    def _decide(
        self, asked: Sequence[Assignment], records: Sequence[Record]
    ) -> tuple[Sequence[Record], list[Assigned | None]]:
        if not asked:
            return records, []
        engine = self.engine
        writes, results = decide_writes(engine.replica, asked, wall_ms=self._wall_ms())
        if writes is None:
            return records, results
        if engine.life is not None:
            return [Lived(writes.first, engine.life), writes, *records], results
        return [writes, *records], results

    def _trace(self, results: list[Assigned | None]) -> None:
        for result in results:
            if result is not None and result[2] != "unchanged":
                key, _, _, node_id, n = result
                sync_id = f"{node_id}-{n}"
                self.engine.notices.note(Level.DEBUG, "write.accepted", sync_id=sync_id, key=key)

    def _fail(self, group: list[Ticket], error: BaseException) -> None:
        for ticket in group:
            # Each caller raises its own: a shared one would collect all their tracebacks.
            ticket.error = error if ticket is group[0] else copy_of(error)

    def _check_writable(self) -> None:
        if self._is_closed:
            raise InvalidStateError("this client is not open: call open(), or use it in a with")
        if self._broken is not None:
            raise InvalidStateError(f"this client writes no more: {self._broken}; open it again")


def copy_of(error: BaseException) -> SoftadastraError:
    """Give another waiter's exception for the same failure."""
    if isinstance(error, StorageError):
        return StorageError(
            error.message, errno=error.errno, filename=error.filename, **error.context
        )
    if isinstance(error, SoftadastraError):
        return type(error)(error.message, **error.context)
    return InternalError(f"the thread that wrote this together with others failed: {error!r}")

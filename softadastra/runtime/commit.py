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
from threading import Lock
from typing import TypeVar

from softadastra.errors import InvalidStateError, SoftadastraError, StorageError
from softadastra.runtime.gathering import Gathering
from softadastra.runtime.log_port import Log
from softadastra.runtime.log_size import LogSize
from softadastra.runtime.refusals import Refusals
from softadastra.runtime.sync_times import SyncTimes
from softadastra.runtime.tickets import Ticket, copy_of, is_alone_on_its_keys
from softadastra.runtime.waiting import Waiters, closed_gate, open_gate
from softadastra.runtime.watchers import Watchers
from softadastra.store.writes import Assigned, Assignment, decide_writes
from softadastra.sync.engine import Engine
from softadastra.sync.records import Lived, Record, RecordEncoder

__all__ = ["Committer"]

S = TypeVar("S")
T = TypeVar("T")

INTERRUPTED = "a write was interrupted, and whether it is durable is unknown"


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
        self.changed = Waiters(self.lock)
        """Notified when peers or cursors have changed and somebody waits for it."""
        self.watchers = Watchers(engine.replica, self.lock)
        """Told of all that becomes visible."""
        self.dirtied: Callable[[], None] = lambda: None
        """Called when there is something to sync again. Comparing `is_dirty` before and after a
        write instead misses a sync in between, and then nobody ever syncs."""
        self.noted: Callable[[], None] = lambda: None
        """Called when there is a write to tell of again: whoever tells takes all there is."""
        self.size = LogSize()
        self._log = log
        self._flush = flush and log is not None
        self.wall_ms = wall_ms
        self._encode = RecordEncoder(engine.replica.origins).encode
        self._leader: Ticket | None = None
        """Whose caller has the right to decide and to append; None: nobody is at work."""
        self._waiting: list[Ticket] = []
        self._gathering = Gathering()
        self._synced = engine.replica.top
        """The own writes up to this one are durable, with `flush` off."""
        self.sync_times = SyncTimes()
        self.refusals = Refusals(engine.notices)
        self._broken: str | None = None
        self._is_closed = self._is_dirty = False

    @property
    def is_dirty(self) -> bool:
        """Whether state has evolved from records that are not synced yet."""
        return self._is_dirty

    @property
    def has_failed(self) -> bool:
        """Whether nothing is written any more, until the log is opened again."""
        return self._broken is not None or (self._log is not None and self._log.is_poisoned)

    @property
    def is_at_work(self) -> bool:
        """Whether a durable commit is under way; without `flush` there is none."""
        return self._leader is not None

    def close(self) -> None:
        """Refuse all further writes, and wait for those that are under way: then the log may close.

        A log that closes under an append would cut off what its writer is told is durable.
        """
        with self.lock:
            self._is_closed = True
        self.changed.wait_for(lambda: self._leader is None)

    def write(
        self, asked: Sequence[Assignment], guard: Callable[[], bool] | None = None
    ) -> list[Assigned | None]:
        """Commit local writes as one record.

        Args:
            asked: the writes.
            guard: whether the state is still what their values were made of; asked under the lock
                when they are decided.

        Returns:
            Per write what became of it; None for the remove of an absent key. Nothing when the
            guard did not hold.

        Raises:
            StorageError: nothing has changed, except after a failed sync, whose outcome is
                unknown and after which nothing is written until the log is opened again.
        """
        if self._flush:
            return self._commit(Ticket(asked, (), guard))
        with self.lock:
            results = self._commit_at_once(asked, ()) if guard is None or guard() else []
        if self.size.is_outgrown and self._log is not None:
            self.size.written(self._log.size_bytes)
        return results

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
        if self._leader is not None or self._is_closed or self._broken is not None:
            return False
        if self._log is not None:
            self._append(self._log, records)
        return True

    def exclusively(self, take: Callable[[], S], use: Callable[[S], T]) -> T:
        """Run two things while nothing is appended, and all that was appended has evolved.

        Args:
            take: comes first; nothing else of the state changes meanwhile either.
            use: then, with what the other gave. Neither may commit.

        Raises:
            InvalidStateError: nothing is written any more. And what these raise.
        """
        if not self._flush:
            with self.lock:
                self._check_writable()
                return use(take())
        ticket = Ticket((), (), is_exclusive=True)
        gate = self._join(ticket)
        if gate is not None:
            gate.acquire()
        try:
            with self.lock:
                taken = take()
            return use(taken)
        finally:
            self._lead(ticket)

    def sync(self) -> None:
        """Make durable what `flush=False` has left. Not holding the lock; one caller at a time.

        Raises:
            StorageError: the outcome is unknown, and nothing is written any more.
        """
        if self._is_dirty and self._log is not None:
            # Before the sync: what is appended while it runs needs another one.
            self._is_dirty = False
            top = self.engine.replica.top
            try:
                self._sync(self._log)
                self.engine.traces.synced(self._synced + 1, top)
                self._synced = top
            except BaseException:
                # Else the next push would speak of what is not durable.
                self._is_dirty = True
                raise

    def _commit(self, ticket: Ticket) -> list[Assigned | None]:
        try:
            gate = self._join(ticket)
            if gate is not None:
                gate.acquire()
            if ticket.followers is not None:
                self._lead(ticket)
        except BaseException:
            self._withdraw(ticket)
            raise
        if ticket.error is not None:
            raise ticket.error
        return ticket.results

    def _join(self, ticket: Ticket) -> Lock | None:
        """Take the lead when nobody is at work; else give the gate to wait at.

        One that is exclusive leads next, in front of all who wait.
        """
        with self.lock:
            self._check_writable()
            if self._leader is None:
                ticket.followers = []
                self._leader = ticket
                return None
            gate = ticket.gate = closed_gate()
            self._waiting.insert(0 if ticket.is_exclusive else len(self._waiting), ticket)
            self._gathering.joined(len(self._waiting))
            return gate

    def _commit_at_once(
        self, asked: Sequence[Assignment], records: Sequence[Record]
    ) -> list[Assigned | None]:
        """Commit without a sync, holding the lock: it costs no more than waiting would."""
        self._check_writable()
        decided, results = self._decide(asked, records)
        if not decided:
            return results
        log = self._log
        interruption: BaseException | None = None
        if log is not None:
            start = log.size_bytes
            try:
                self._append(log, decided)
            except SoftadastraError:
                raise
            except BaseException as error:
                if log.size_bytes == start:
                    raise
                interruption = error
        try:
            if not self._is_dirty and log is not None:
                self._is_dirty = True
                self.dirtied()
            for record in decided:
                self.engine.evolve(record)
                if self.watchers.is_any:
                    self.watchers.evolved(record)
        except BaseException:
            self._broken = INTERRUPTED
            raise
        if interruption is not None:
            raise interruption
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
            self.refusals.note(error, self.wall_ms(), self._size_bytes(records))
            raise
        if self.refusals.stands is not None:
            self.refusals.appended(self._size_bytes(records))
        if log.size_bytes > self.size.due:
            self.size.outgrow()

    def _size_bytes(self, records: Sequence[Record]) -> int:
        return sum(len(self._encode(record)[1]) for record in records)

    def _sync(self, log: Log) -> None:
        try:
            self._gathering.sync_seconds = self.sync_times.measure(log.sync)
        except StorageError as error:
            self.refusals.note(error, self.wall_ms(), 0)
            raise

    def _lead(self, lead: Ticket) -> None:
        """Commit a group and hand over to the next one. Not holding the lock."""
        group = lead.group
        if self._gathering.crowd > len(group):
            self._gathering.gather(len(group), self.lock, lambda: len(self._waiting))
        error: SoftadastraError | None = None
        interruption: BaseException | None = None
        try:
            with self.lock:
                self._check_writable()
                if self._waiting and not self._waiting[0].is_exclusive:
                    group += self._waiting
                    lead.followers, self._waiting = group[1:], []
                records = self._decide_group(group)
            if records and self._log is not None:
                interruption = self._store(lead, self._log, records)
            lead.is_begun = True
        except SoftadastraError as failure:
            error = failure
        with self.lock:
            if error is None:
                for record in records:
                    self.engine.evolve(record)
                    if self.watchers.is_any:
                        self.watchers.evolved(record)
                if self.engine.notices.is_traced:
                    for ticket in group:
                        self._trace(ticket.results)
                lead.error = interruption
            else:
                for ticket in group:
                    # Each caller raises its own: a shared one would collect all their tracebacks.
                    ticket.error = error if ticket is lead else copy_of(error)
            self._hand_over(lead)

    def _store(self, lead: Ticket, log: Log, records: Sequence[Record]) -> BaseException | None:
        """Make records durable.

        Returns:
            What interrupted it, when they are durable all the same. Most interrupts come in the
            sync: they are raised when the commit is done, and nobody needs to open the log again.
        """
        start = log.size_bytes
        try:
            lead.is_begun = True
            self._append(log, records)
            self._sync(log)
        except SoftadastraError:
            raise
        except BaseException as interruption:
            if log.size_bytes == start:
                lead.is_begun = False
                raise
            # Not the retry of a failed one, which would be a StorageError.
            self._sync(log)
            return interruption
        return None

    def _hand_over(self, lead: Ticket) -> None:
        """Wake a group whose outcome is known, and who leads next. Holding the lock.

        An interrupt may come at any call: what it left undone is done when this is called again.
        """
        group = lead.group
        for ticket in group:
            ticket.is_done = True
        if self._leader is lead:
            self._gathering.crowd = len(group)
            following, self._waiting = self._waiting, []
            if following:
                self._leader = following[0]
                self._leader.followers = following[1:]
            else:
                self._leader = None
        for ticket in group:
            if ticket.gate is not None:
                open_gate(ticket.gate)
        if self._leader is None:
            self.changed.notify_all()
        elif self._leader.gate is not None:
            open_gate(self._leader.gate)

    def _withdraw(self, ticket: Ticket) -> None:
        """Let nobody wait for a caller that an exception takes away, as Ctrl-C does at any call.

        What is not begun has changed nothing. What is on its way in another one's group has an
        outcome, which is waited for, so that reads show it when the exception arrives.
        """
        while True:
            with self.lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    return
                if self._leader is ticket:
                    self._give_up_the_lead(ticket)
                    return
                if ticket.is_done:
                    if ticket.followers is not None:
                        self._hand_over(ticket)
                    return
                if ticket.gate is None:
                    return
            # It is closed: whoever opens it says before, under the lock, that it is done or leads.
            ticket.gate.acquire()

    def _give_up_the_lead(self, ticket: Ticket) -> None:
        """Settle a group whose leader was interrupted. Holding the lock."""
        others = ticket.group[1:]
        if not ticket.is_begun:
            # Of the others nobody notices: the next one leads.
            self._waiting, ticket.followers = others + self._waiting, []
            self._hand_over(ticket)
            return
        # Whether the record is there is unknown, and going on could give out its number twice.
        self._broken = INTERRUPTED
        for other in others:
            other.error = self._refusal()
        self._hand_over(ticket)

    def _decide_group(self, group: list[Ticket]) -> Sequence[Record]:
        """Decide what a group asks for: all its writes together are one record."""
        if len(group) == 1 and group[0].guard is None:
            records, group[0].results = self._decide(group[0].asked, group[0].records)
            return records
        for ticket in group:
            if ticket.guard and not (ticket.guard() and is_alone_on_its_keys(ticket, group)):
                ticket.asked = ()
        records, results = self._decide(
            [assignment for ticket in group for assignment in ticket.asked],
            [record for ticket in group for record in ticket.records],
        )
        rows = iter(results)
        for ticket in group:
            ticket.results = list(islice(rows, len(ticket.asked)))
        return records

    def _decide(
        self, asked: Sequence[Assignment], records: Sequence[Record]
    ) -> tuple[Sequence[Record], list[Assigned | None]]:
        if not asked:
            return records, []
        engine = self.engine
        writes, results = decide_writes(engine.replica, asked, self.wall_ms())
        if writes is None:
            return records, results
        if engine.life is not None:
            return [Lived(writes.first, engine.life), writes, *records], results
        return [writes, *records] if records else [writes], results

    def _trace(self, results: list[Assigned | None]) -> None:
        # Without a sync it is told with the one that is to come: to wake a thread costs more.
        if self.engine.traces.accepted(results, durable=self._flush) and not self._is_dirty:
            self.noted()

    def _check_writable(self) -> None:
        if self._is_closed or self._broken is not None:
            raise self._refusal()

    def _refusal(self) -> InvalidStateError:
        if self._broken is not None:
            return InvalidStateError(f"this client writes no more: {self._broken}; open it again")
        return InvalidStateError("this client is not open: call open(), or use it in a with")

"""Rewrites a node's log when most of it is obsolete, a little at a time, while writes go on.

    the state at one moment         a checkpoint, as the first records of a new file
    what is appended meanwhile      copied behind it
    nothing is appended             the rest is copied, all synced, and the file takes its name
    the old file's room             given back, a piece at a time

A commit waits for the first and the last of these, and for no other step; but a small log is
written in one go, while nothing is appended. Whatever fails or stops in between leaves the old file
as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, Protocol, TypeAlias

from softadastra.errors import SoftadastraError
from softadastra.runtime.commit import Committer
from softadastra.runtime.log_port import Log
from softadastra.store.changes import OWN
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level
from softadastra.sync.records import Placed, RecordEncoder

__all__ = ["Compacted", "Compaction", "RewritableLog", "live_bytes"]

SLACK_BYTES: Final = 1 << 14
"""What a log may have beside twice its live part before it is rewritten: that takes four syncs."""
ENTRY_BYTES: Final = 24
"""What an entry takes in a rewritten log beside its key and its value, with its share of a frame:
10 to 45 as measured. What it was the last time corrects it (`Compaction`)."""
ROW_BYTES: Final = 5
"""And a write that was superseded and may still be asked for."""
EMPTY_BYTES: Final = 4_608
"""A log without entries: its header, its node's histories, members and place."""
AT_ONCE_BYTES: Final = 1 << 20
"""Up to here it takes less than 10 ms, and writers would make it take longer: they can append to a
log of 1,000 keys five times its size while it is rewritten beside them."""
RETRY_MIN_MS: Final = 5_000
"""After how long a rewriting that failed is tried again; each time it fails, twice as long."""
RETRY_MAX_MS: Final = 300_000
"""But no longer, and without end: a full disk may have room again when nothing is written here. An
attempt writes as much as is alive before it finds out, and takes the last room of others meanwhile;
a program that asks for the free space first can do so each second (RocksDB's default)."""
SYNC_BYTES: Final = 1 << 20
"""After how much the new file is synced: a put that syncs waits until the disk has taken what was
written beside it, of a large log for a third of a second."""
LAG_BYTES: Final = 1 << 15
"""How much may be left to be copied when nothing is appended any more: 0.4 ms."""


class NewFile(Protocol):
    """A new file for a log, as `wal.rewriting.Rewrite` is one."""

    @property
    def size_bytes(self) -> int:
        """How large it is by now."""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number."""

    def append(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Write records."""

    def lag_bytes(self, end: int) -> int:
        """How much of the old file, up to an offset, is still to be copied."""

    def copy_some(self, end: int) -> None:
        """Copy some of that."""

    def sync(self) -> None:
        """Make durable what is there."""

    def prepare(self) -> None:
        """Do so once more, and with space for what comes behind it: it is to be adopted."""

    def adopt(self) -> None:
        """Have the log go on in it. No append may be under way."""

    def free_some(self) -> bool:
        """Give back some room of the old file, once the log goes on in it; whether to go on."""

    def discard(self) -> None:
        """Remove it, unless the log goes on in it: then let go of the old one."""


class Compacted(NamedTuple):
    """What rewriting a log came to."""

    wall_ms: int
    """When it was done."""
    bytes_before: int
    bytes_after: int


Begun: TypeAlias = tuple[NewFile, Iterator[tuple[int, bytes]]]
"""A new file, and the records that are to be its first ones."""


class RewritableLog(Log, Protocol):
    """A log that can be rewritten, as `wal.log.WriteAheadLog` is one."""

    def rewrite(self, *, incarnation: int) -> NewFile:
        """Begin a new file in place of this one."""


class Compaction:
    """Decides when one node's log is rewritten, and does it. For one thread.

    Args:
        committer: the node's state, and how it changes.
        log: its log.
        mono_ms: reads the monotonic clock.
        slack_bytes: how much more than twice its live part the log may have.
        at_once_bytes: how large its live part may be to be written in one go.
    """

    def __init__(
        self,
        committer: Committer,
        log: RewritableLog,
        *,
        mono_ms: Callable[[], int],
        slack_bytes: int = SLACK_BYTES,
        at_once_bytes: int = AT_ONCE_BYTES,
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._log = log
        self._mono_ms = mono_ms
        self._slack_bytes = slack_bytes
        self._at_once_bytes = at_once_bytes
        self._put_off_bytes = 0
        """It failed, and is not tried again while the log is no larger, until `_retry_ms`."""
        self._retry_ms: int | None = None
        self._retry_delay_ms = RETRY_MIN_MS
        self._written_bytes = 0
        """How large the live part was when it was written last."""
        self._live_share = 1.0
        """That beside what was expected."""
        self.count = 0
        """How often the log was rewritten."""
        self.last: Compacted | None = None

    def is_due(self) -> bool:
        """Whether most of the log is obsolete; else the committer says when to look again.

        So does `wait_ms`, when it failed before.
        """
        if self._committer.has_failed:
            # Nothing is written any more: it would fail again and again.
            self._retry_ms = None
            return False
        with self._committer.lock:
            limit = int(2 * self._live_share * live_bytes(self._engine)) + self._slack_bytes
            if self.wait_ms():
                limit = max(limit, self._put_off_bytes)
            else:
                self._retry_ms = None
            is_due = self._log.size_bytes > limit
            if is_due:
                self._committer.size.press(limit * 17 // 16, limit * 21 // 16)
            else:
                self._committer.size.expect(limit)
        return is_due

    @property
    def is_pressing(self) -> bool:
        """Whether who writes has to wait for it."""
        return self._committer.size.is_pressing(self._log.size_bytes)

    def end(self) -> None:
        """Nobody rewrites the log any more, so nobody who writes has to wait for it."""
        with self._committer.lock:
            self._committer.size.expect(sys.maxsize)

    def wait_ms(self) -> int | None:
        """Give after how long to look again, also when nothing is written; None: not before."""
        return None if self._retry_ms is None else max(0, self._retry_ms - self._mono_ms())

    def rewrite(self) -> Generator[None]:
        """Rewrite the log, a step at each `next`; between two of them anything may happen.

        In the last steps, of a large log, room is given back: it is rewritten by then (`count`).

        Raises:
            StorageError: the disk refused something; the old file goes on, or the log is poisoned.
            InvalidStateError: the node was closed.
        """
        self._let_go()
        before, live = self._log.size_bytes, self._live_bytes()
        try:
            if live <= self._at_once_bytes:
                rewrite = self._committer.exclusively(self._begin, self._write_at_once)
            else:
                rewrite = yield from self._write_beside_writers()
        finally:
            self._engine.replica.end_checkpoint()
        self._live_share = self._written_bytes / live
        self._note_done(before)
        try:
            # First to who has waited for this.
            yield
            # While writers go on, and piece by piece: their syncs wait while room is given back.
            while rewrite.free_some():
                yield
        finally:
            rewrite.discard()

    def _note_done(self, before: int) -> None:
        self._retry_ms, self._retry_delay_ms = None, RETRY_MIN_MS
        self.count += 1
        self.last = Compacted(self._committer.wall_ms(), before, self._log.size_bytes)
        facts = {"bytes_before": before, "bytes_after": self.last.bytes_after}
        self._engine.notices.note(Level.INFO, "wal.compacted", **facts)

    def _write_at_once(self, begun: Begun) -> NewFile:
        rewrite, records = begun
        try:
            for record in records:
                rewrite.append([record])
            self._written_bytes = rewrite.size_bytes
            rewrite.adopt()
        except BaseException:
            rewrite.discard()
            raise
        return rewrite

    def _write_beside_writers(self) -> Generator[None, None, NewFile]:
        rewrite, records = self._committer.exclusively(self._begin, lambda begun: begun)
        synced = 0
        try:
            for record in records:
                rewrite.append([record])
                if rewrite.size_bytes - synced >= SYNC_BYTES:
                    rewrite.sync()
                    synced = rewrite.size_bytes
                yield
            self._written_bytes = rewrite.size_bytes
            yield from self._catch_up(rewrite)
            # While nobody waits for it: the sync before the file takes its name is short then.
            rewrite.prepare()
            yield
            yield from self._catch_up(rewrite)
            self._committer.exclusively(lambda: rewrite, lambda whole: whole.adopt())
        except BaseException:
            rewrite.discard()
            raise
        return rewrite

    def _catch_up(self, rewrite: NewFile) -> Generator[None]:
        """Copy what was appended meanwhile, but for so little that writers can wait for it."""
        while rewrite.lag_bytes(self._log.size_bytes) > LAG_BYTES:
            rewrite.copy_some(self._log.size_bytes)
            yield

    def put_off(self, error: SoftadastraError) -> None:
        """Tell that it failed, and try again later, or when the log has grown by a quarter."""
        self._engine.notices.note(Level.ERROR, "compaction.failed", error=error.message)
        self._put_off_bytes = self._log.size_bytes * 5 // 4 + self._slack_bytes
        self._committer.size.expect(self._put_off_bytes)
        self._retry_ms = self._mono_ms() + self._retry_delay_ms
        self._retry_delay_ms = min(2 * self._retry_delay_ms, RETRY_MAX_MS)

    def _let_go(self) -> None:
        """Collect what this node keeps for nobody: without peers nothing else does."""
        with self._committer.lock:
            record = self._engine.decide_alone(self._committer.wall_ms())
        if record is not None:
            self._committer.commit([record])

    def _live_bytes(self) -> int:
        with self._committer.lock:
            return live_bytes(self._engine)

    def _begin(self) -> Begun:
        """Take the state and begin the new file, at the same moment."""
        engine, origins = self._engine, self._engine.replica.origins
        encode = RecordEncoder(origins.copy()).encode
        records = checkpoint(engine)
        rewrite = self._log.rewrite(incarnation=origins[OWN].incarnation)
        if engine.place is not None:
            records = chain(records, [Placed(engine.place.host, *rewrite.identity)])
        return rewrite, map(encode, records)


def live_bytes(engine: Engine) -> int:
    """Give about how large the log is when it was rewritten just now."""
    replica = engine.replica
    entries = len(replica.entries)
    rows = sum(len(log) for log in replica.logs.values())
    superseded = max(0, rows - entries)
    return EMPTY_BYTES + replica.size_bytes + entries * ENTRY_BYTES + superseded * ROW_BYTES

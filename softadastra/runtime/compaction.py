"""Rewrites a node's log when most of it is obsolete, a little at a time, while writes go on.

    the state at one moment         a checkpoint, as the first records of a new file
    what is appended meanwhile      copied behind it
    nothing is appended             the rest is copied, all synced, and the file takes its name

A commit waits for the first and the last of these, and for no other step. Whatever fails or stops
in between leaves the old file as it was.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import Final, Protocol

from softadastra.errors import SoftadastraError
from softadastra.runtime.commit import Committer, Log
from softadastra.store.checkpoint import Checkpoint
from softadastra.sync.checkpoint import outline
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level
from softadastra.sync.records import Placed, Record, RecordEncoder
from softadastra.wal.rewriting import Rewrite

__all__ = ["Compaction", "RewritableLog"]

SLACK_BYTES: Final = 1 << 16
"""What a log may have beside its live part before it is rewritten: that takes four syncs."""
ENTRY_BYTES: Final = 32
"""What an entry takes in a rewritten log beside its key and its value, with its share of a frame:
20 to 45 as measured."""
ROW_BYTES: Final = 5
"""And a write that was superseded and may still be asked for."""
EMPTY_BYTES: Final = 4_608
"""A log without entries: its header, its node's histories, members and place."""
LARGE_BYTES: Final = 1 << 20
"""From this size on a file is synced once more while it is written."""
LAG_BYTES: Final = 1 << 16
"""How much may be left to be copied when nothing is appended any more: less than a millisecond."""


class RewritableLog(Log, Protocol):
    """A log that can be rewritten, as `wal.log.WriteAheadLog` is one."""

    def rewrite(self, *, incarnation: int) -> Rewrite:
        """Begin a new file in place of this one."""

    def adopt(self, rewrite: Rewrite) -> None:
        """Go on in the new file. No append may be under way."""


class Compaction:
    """Decides when one node's log is rewritten, and does it. For one thread.

    Args:
        committer: the node's state, and how it changes.
        log: its log.
        slack_bytes: how much more than twice its live part the log may have.
    """

    def __init__(
        self, committer: Committer, log: RewritableLog, *, slack_bytes: int = SLACK_BYTES
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._log = log
        self._slack_bytes = slack_bytes

    def is_due(self) -> bool:
        """Whether most of the log is obsolete; else the committer says when to look again."""
        with self._committer.lock:
            limit = 2 * live_bytes(self._engine) + self._slack_bytes
            is_due = self._log.size_bytes > limit
            if not is_due:
                self._committer.size_max = limit
        return is_due

    def rewrite(self) -> Generator[None]:
        """Rewrite the log, a step at each `next`; between two of them anything may happen.

        Raises:
            StorageError: the disk refused something; the old file goes on, or the log is poisoned.
            InvalidStateError: the node was closed.
        """
        self._let_go()
        before = self._log.size_bytes
        rewrite, records = self._committer.exclusively(self._begin, needs_state=True)
        try:
            for group in records:
                rewrite.append(group)
                yield
            while rewrite.lag_bytes(self._log.size_bytes) > LAG_BYTES:
                rewrite.copy_some(self._log.size_bytes)
                yield
            if rewrite.end.offset > LARGE_BYTES:
                # While nobody waits for it: the sync before the file takes its name is short then.
                rewrite.sync()
                yield
                while rewrite.lag_bytes(self._log.size_bytes) > LAG_BYTES:
                    rewrite.copy_some(self._log.size_bytes)
                    yield
            self._committer.exclusively(lambda: self._log.adopt(rewrite))
        finally:
            rewrite.abandon()
        facts = {"bytes_before": before, "bytes_after": self._log.size_bytes}
        self._engine.notices.note(Level.INFO, "wal.compacted", **facts)

    def put_off(self, error: SoftadastraError) -> None:
        """Tell that it failed, and try again when the log has grown by a quarter."""
        self._engine.notices.note(Level.ERROR, "compaction.failed", error=error.message)
        self._committer.size_max = self._log.size_bytes * 5 // 4 + self._slack_bytes

    def _let_go(self) -> None:
        """Collect what this node keeps for nobody: without peers nothing else does."""
        with self._committer.lock:
            record = self._engine.decide_alone(self._committer.wall_ms())
        if record is not None:
            self._committer.commit([record])

    def _begin(self) -> tuple[Rewrite, Iterator[Sequence[tuple[int, bytes]]]]:
        """Take the state and begin the new file, at the same moment."""
        engine = self._engine
        replica = engine.replica
        # Of the same moment as the state: a branch that is renamed later is renamed behind it.
        encode = RecordEncoder(replica.origins.copy()).encode
        checkpoint = Checkpoint(replica)
        rewrite = self._log.rewrite(incarnation=replica.origins[replica.me].incarnation)
        own: list[Record] = outline(engine)
        if engine.place is not None:
            own.append(Placed(engine.place.host, *rewrite.identity))
        groups = chain(([encode(part)] for part in checkpoint.parts()), [[*map(encode, own)]])
        return rewrite, groups


def live_bytes(engine: Engine) -> int:
    """Give about how large the log is when it was rewritten just now."""
    replica = engine.replica
    entries = len(replica.entries)
    rows = sum(len(log) for log in replica.logs.values())
    superseded = max(0, rows - entries)
    return EMPTY_BYTES + replica.size_bytes + entries * ENTRY_BYTES + superseded * ROW_BYTES

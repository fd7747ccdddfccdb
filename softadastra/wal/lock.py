"""The lock file beside a log: one log is open once, in one process.

Rules:

- The lock is a flock on `<log>.lock`, which outlives the log's files: compaction replaces them. The
  system frees it when its holder dies, so a stale file is no lock and is taken over silently.
- The log's file is locked too (`log_file.py`), for who comes to it by another name, or finds that
  somebody has removed the lock file.
- The file says who holds it, for the message of whoever is refused. It decides nothing.
- The file is never removed: a second process could lock the removed one, a third a new one.
- A forked child shares the flock of its parent. So the parent's release unlocks explicitly,
  and the child only closes its copy (`abandon`).
"""

from __future__ import annotations

import errno
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from softadastra.errors import InternalError, StorageError, StoreLockedError
from softadastra.wal.disk import Disk, File, OpenMode, write_all

__all__ = ["Holder", "LockFile", "holder_of"]

_HOLDER_BYTES_MAX = 8192
"""The text of a holder with the longest node id, each byte escaped, is below 7 KiB."""


class Holder(NamedTuple):
    """Who has a log open; None where that is not known."""

    pid: int | None
    node_id: str | None
    since: str


def holder_of(path: Path, *, disk: Disk) -> Holder | None:
    """Say who has a log open, and leave no trace; None when nobody has.

    It tries the lock for a moment, so a node that is opened at that very moment may be refused.

    Args:
        path: the log.
        disk: where it is.

    Raises:
        StorageError: the system refused.
    """
    lock_path = path.with_name(f"{path.name}.lock")
    if not disk.exists(lock_path):
        return None
    file = disk.open(lock_path, OpenMode.READING)
    try:
        if not file.lock():
            return Holder(*_read_holder(file.pread(_HOLDER_BYTES_MAX, 0)))
        file.unlock()
    finally:
        file.close()
    return None


class LockFile:
    """The exclusive right to a log. Not thread-safe.

    Args:
        path: the log; the lock is at this path with ".lock" appended.
        disk: where both are.
    """

    __slots__ = ("_disk", "_file", "_log_path", "path")

    def __init__(self, path: Path, *, disk: Disk) -> None:
        self.path = path.with_name(f"{path.name}.lock")
        self._log_path = path
        self._disk = disk
        self._file: File | None = None

    def acquire(self, *, node_id: str, to_write: bool = True) -> None:
        """Take the lock without waiting, and write into the file who has it.

        Args:
            node_id: who takes it.
            to_write: whether to write to the log too. Else a file system that is read-only is no
                obstacle: nobody else writes there either, but who has had it open since before.

        Raises:
            StoreLockedError: it is held, here or elsewhere; `.context` names the holder.
            StorageError: the system refused, as in a directory that is not writable.
        """
        if self._file is not None:
            raise InternalError(f"{self.path} is held already: release it first")
        mode = OpenMode.EITHER
        try:
            # Known before it is locked: a child that is forked in between can close its copy.
            self._file = self._disk.open(self.path, mode)
        except StorageError as error:
            if to_write or error.errno != errno.EROFS:
                raise
            if not self._disk.exists(self.path):
                return
            mode = OpenMode.READING
            self._file = self._disk.open(self.path, mode)
        try:
            self._take(self._file, node_id, mode)
        except BaseException:
            self.abandon()
            raise

    def release(self) -> None:
        """Give the lock back, also while a forked child still has the file open; idempotent."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.unlock()
            finally:
                file.close()

    def abandon(self) -> None:
        """Close the file and unlock nothing: a forked child's copy, whose parent keeps the lock."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _take(self, file: File, node_id: str, mode: OpenMode) -> None:
        if not file.lock():
            raise self._refusal(file.pread(_HOLDER_BYTES_MAX, 0))
        if mode is OpenMode.READING:
            return
        started_at_ms = time.time_ns() // 1_000_000
        holder = json.dumps(
            {"pid": os.getpid(), "node_id": node_id, "started_at_ms": started_at_ms}
        ).encode()
        # Overwritten before it is cut, so that a full disk does not refuse a restart.
        write_all(file, holder, 0)
        file.truncate(len(holder))

    def _refusal(self, content: bytes) -> StoreLockedError:
        pid, node_id, since = _read_holder(content)
        if pid is None:
            holder = "an unknown process"
        else:
            holder = f"node {node_id!r}, process {pid}, since {since}"
        if pid == os.getpid():
            advice = "it is open in this very process: close that client first"
        else:
            advice = "stop that process, or give this node a log of its own"
        return StoreLockedError(
            f"{self._log_path} is in use by {holder}; {advice}",
            path=str(self._log_path),
            pid=pid,
            node_id=node_id,
        )


def _read_holder(content: bytes) -> tuple[int | None, str | None, str]:
    """Say who holds a lock; None when its holder is just writing it, or somebody else has."""
    try:
        holder = json.loads(content)
        since = datetime.fromtimestamp(holder["started_at_ms"] / 1000, tz=UTC)
        return int(holder["pid"]), str(holder["node_id"]), since.isoformat(timespec="seconds")
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None, None, ""

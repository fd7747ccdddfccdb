"""What the disk refused of the log, as events and `vitals()` tell it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from softadastra.errors import StorageError
from softadastra.sync.notices import Level, Notices
from softadastra.vitals import LogRefusal, RefusalKind

__all__ = ["Refusals"]

KINDS: Final = {
    errno.ENOSPC: RefusalKind.FULL,
    errno.EDQUOT: RefusalKind.FULL,
    errno.EFBIG: RefusalKind.FULL,
    errno.EROFS: RefusalKind.READ_ONLY,
}


class Refusals:
    """What stands refused. Whoever commits notes; anybody may read.

    Args:
        notices: where it is told.
    """

    __slots__ = ("_is_disk_full", "_missing_bytes", "_notices", "free_bytes", "stands")

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self.stands: LogRefusal | None = None
        """The last refusal; None: what was refused may be appended by now."""
        self.free_bytes: Callable[[], int | None] = lambda: None
        """Asks how much room there is on the disk; None: it does not tell."""
        self._is_disk_full = False
        """Whether it was room on the disk that was missing, not in a quota or a limit."""
        self._missing_bytes = 0

    def note(self, error: StorageError, now_ms: int, size_bytes: int) -> None:
        """Note that an append or a sync was refused.

        Args:
            error: how.
            now_ms: the wall clock.
            size_bytes: of the records; 0: of a sync.
        """
        self._missing_bytes = size_bytes
        self._is_disk_full = error.errno == errno.ENOSPC
        self._notices.note(Level.ERROR, "wal.failed", error=error.message)
        before = self.stands
        if before is not None and error.errno is None:
            return  # A log that failed before says so, without the number that tells why.
        self.stands = LogRefusal(
            kind=KINDS.get(error.errno or 0, RefusalKind.FAILED),
            since_ms=now_ms if before is None else before.since_ms,
            detail=error.message,
        )

    def appended(self, size_bytes: int) -> None:
        """Note that records of this size were appended.

        That alone does not show that there is room again: where a peer's batch finds none, a small
        record may.
        """
        self._missing_bytes -= size_bytes
        free_bytes = self.free_bytes() if self._is_disk_full else None
        if self._missing_bytes <= (free_bytes or 0):
            self.stands = None

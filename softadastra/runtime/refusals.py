"""What the disk refused of the log, as events and `vitals()` tell it."""

from __future__ import annotations

import errno
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

    __slots__ = ("_notices", "stands")

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self.stands: LogRefusal | None = None
        """The last refusal; None: the last append worked."""

    def note(self, error: StorageError, now_ms: int) -> None:
        """Note that an append or a sync was refused.

        Args:
            error: how.
            now_ms: the wall clock.
        """
        self._notices.note(Level.ERROR, "wal.failed", error=error.message)
        before = self.stands
        if before is not None and error.errno is None:
            return  # A log that failed before says so, without the number that tells why.
        self.stands = LogRefusal(
            kind=KINDS.get(error.errno or 0, RefusalKind.FAILED),
            since_ms=now_ms if before is None else before.since_ms,
            detail=error.message,
        )

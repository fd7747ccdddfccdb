"""Zeros that are written ahead of the end of a log.

Overwriting them leaves the size and the blocks of the file alone, so a sync has nothing to write to
the journal of the file system.
"""

from __future__ import annotations

from typing import Final

from softadastra.wal.disk import File

__all__ = ["allocate_ahead"]

AHEAD_BYTES_MAX: Final = 1 << 18
"""Zeros written at a time. The sync behind them takes as long as three others (measured)."""
AHEAD_BYTES_MIN: Final = 1 << 14
"""And in a small file: else most of it would be these."""


def allocate_ahead(file: File, end: int) -> int:
    """Write zeros behind the end of a file, an eighth of its size.

    Args:
        file: gets them, as far as the disk has room.
        end: up to here it has something else, or is about to get it.

    Returns:
        Up to where there are zeros, or were asked for in vain.

    Raises:
        StorageError: as `File.allocate`.
    """
    size_bytes = min(max(end // 8, AHEAD_BYTES_MIN), AHEAD_BYTES_MAX)
    file.allocate(end, size_bytes)
    return end + size_bytes

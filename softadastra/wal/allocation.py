"""Space that is reserved ahead of the end of a log.

Overwriting reserved zeros leaves the size of the file alone, so a sync has less to write to the
journal of the file system.
"""

from __future__ import annotations

from typing import Final

from softadastra.wal.disk import File

__all__ = ["allocate_ahead"]

AHEAD_BYTES_MAX: Final = 4 * 2**20
"""Space reserved at a time: about 30,000 small records for one system call."""
AHEAD_BYTES_MIN: Final = 1 << 14
"""And in a small file: else most of it would be reserved space."""


def allocate_ahead(file: File, start: int, end: int) -> int:
    """Reserve space in a file.

    Args:
        file: gets it, where the disk can.
        start: where the space begins that it has not yet.
        end: up to here it is needed now.

    Returns:
        Up to where there is space, or was asked for in vain.

    Raises:
        StorageError: as `File.allocate`.
    """
    until = end + min(max(end // 8, AHEAD_BYTES_MIN), AHEAD_BYTES_MAX)
    file.allocate(start, until - start)
    return until

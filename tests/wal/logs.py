"""Logs for the tests: opened ready to append, and as the bytes that a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from softadastra.wal import Disk, OsDisk, WriteAheadLog
from softadastra.wal.frames import FILE_HEADER_BYTES, FRAME_OVERHEAD_BYTES

NODE_ID = "node-a"
INCARNATION = 0x0123456789ABCDEF

Record = tuple[int, bytes]

RECORDS: list[Record] = [(1, b"alpha" * 5), (2, b""), (3, b"gamma" * 9), (4, bytes(20)), (5, b"e")]
EACH_SYNCED = [[record] for record in RECORDS]

_numbers = count()


@contextmanager
def opened(
    path: Path, *, disk: Disk | None = None, node_id: str = NODE_ID, incarnation: int = INCARNATION
) -> Iterator[tuple[WriteAheadLog, list[Record]]]:
    """Open and replay a log; it is closed at the end."""
    log = WriteAheadLog(path, disk=disk or OsDisk())
    log.open(node_id=node_id, incarnation=incarnation)
    try:
        yield log, list(log.replay())
    finally:
        log.close()


def has_unsynced(log: WriteAheadLog) -> bool:
    """Whether a log has frames that a power cut may take back."""
    return log._durable < log._end[0]


def records_of(path: Path) -> list[Record]:
    """Give what a log holds, and settle its end."""
    with opened(path) as (_, records):
        return records


def image_of(
    directory: Path,
    groups: Sequence[Sequence[Record]],
    *,
    synced: int | None = None,
    incarnation: int = INCARNATION,
) -> bytes:
    """Give the bytes of a log whose process was killed: no close, and no space behind the end.

    Args:
        directory: where the log is made.
        groups: each is appended with one call, and followed by a sync.
        synced: how many of the groups are synced; the rest is not. None: all.
        incarnation: of the log.
    """
    with opened(directory / f"image-{next(_numbers)}.wal", incarnation=incarnation) as (log, _):
        for number, group in enumerate(groups):
            log.append_many(group)
            if synced is None or number < synced:
                log.sync()
        return log.path.read_bytes()[: log.size_bytes]


def boundaries(records: Sequence[Record], start: int = FILE_HEADER_BYTES) -> list[int]:
    """Give where the frames of these records begin, and where the last one ends."""
    offsets = [start]
    for _, payload in records:
        offsets.append(offsets[-1] + FRAME_OVERHEAD_BYTES + len(payload))
    return offsets

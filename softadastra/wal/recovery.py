"""Reading a log that may end anyhow: what is intact, what is torn, what is damaged.

A power cut keeps any part of what was written since the last sync, sector by sector and in any
order; the rest still has the zeros that were there. So a log ends in one of these ways, seen
from its first bad frame:

    zeros up to the end of the file                  space allocated ahead: the clean end
    no frame of this file behind it                  torn tail: never made durable
    frames behind it, none of which says that it
    was durable, and a sector before them is zero    torn tail, written out of order
    anything else                                    damage

Rules:

- Reading changes nothing on disk. Whatever is cut off was first copied aside, durably.
- Each step gives the same result when it is repeated after a crash.
- Memory is bounded by READ_BYTES and the largest intact frame, whatever the file claims.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from zlib import crc32

from softadastra.errors import WalCorruptionError
from softadastra.wal.disk import Disk, File, replace_file, write_all
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER,
    FRAME_HEADER_BYTES,
    FRAME_OVERHEAD_BYTES,
    FRAME_TRAILER,
    KIND_SHIFT,
    MARKER,
    End,
    FrameHeader,
    Header,
    Record,
    beginning,
    decode_frame_header,
)

__all__ = [
    "READ_BYTES",
    "TornTail",
    "check_finished",
    "examine_tail",
    "frame_headers",
    "is_unfinished",
    "keep_tail",
    "read_records",
    "rewrite",
    "size_without_zeros",
    "torn_bytes",
]

READ_BYTES: Final = 2**20
"""What is read at once: larger reads are no faster, smaller ones cost calls."""

_SECTOR_BYTES: Final = 512
"""The least that a disk writes as a whole, and the unit of what a power cut leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornTail:
    """What recovery cut off: writes that no sync had made durable before the node stopped."""

    offset: int
    """Where the log now ends."""
    size_bytes: int
    kept_at: Path
    """The copy of what was cut off; nothing reads it, remove it at will."""


def read_records(
    file: File, seed: int, *, start: End | None = None, stop: int | None = None
) -> Generator[Record, None, End]:
    """Give the records of the intact frames in order, and return where they end.

    Args:
        file: the log.
        seed: of its frames.
        start: behind which frame to begin; None: with the first one.
        stop: up to where to read, a boundary of frames; None: as far as there are any.
    """
    offset, sequence, chain, mark = start or beginning(seed)
    wanted = READ_BYTES
    unpack_header, unpack_trailer = FRAME_HEADER.unpack_from, FRAME_TRAILER.unpack_from
    while True:
        data = file.pread(wanted if stop is None else min(wanted, stop - offset), offset)
        view = memoryview(data)
        last = len(data) - FRAME_OVERHEAD_BYTES
        position = 0
        while position <= last:
            tag, length, number, frame_mark, _ = unpack_header(data, position)
            behind = position + FRAME_HEADER_BYTES + length
            if length > last - position:
                break
            found = crc32(view[position:behind], chain)
            if found != unpack_trailer(data, behind)[0] or number != sequence + 1:
                return End(offset + position, sequence, chain, mark)
            chain, sequence, mark = found, number, frame_mark
            if kind := tag >> KIND_SHIFT:
                yield kind, data[position + FRAME_HEADER_BYTES : behind]
            position = behind + FRAME_TRAILER.size
        if position:
            offset += position
            wanted = READ_BYTES
            continue
        # Not even one frame was whole. Its length is believed only when the header's own CRC
        # is right, so that no damaged length makes this read, and hold, the whole file.
        header = decode_frame_header(data, 0, seed)
        end = file.size() if stop is None else stop
        if header is None or offset + FRAME_OVERHEAD_BYTES + header.length > end:
            return End(offset, sequence, chain, mark)
        wanted = FRAME_OVERHEAD_BYTES + header.length


def frame_headers(file: File, offset: int, seed: int) -> Iterator[tuple[int, FrameHeader]]:
    """Give the offset and the header of all that looks like a frame of this file, in order.

    Only the CRC of the header is checked. A payload that has a copy of a frame in it gives
    that copy too.
    """
    while True:
        data = file.pread(READ_BYTES, offset)
        position = data.find(MARKER)
        while position >= 0:
            if header := decode_frame_header(data, position, seed):
                yield offset + position, header
            position = data.find(MARKER, position + 1)
        if len(data) < READ_BYTES:
            return
        offset += len(data) - FRAME_HEADER_BYTES + 1


def torn_bytes(file: File, end: End, seed: int) -> int:
    """Say how many bytes behind the intact frames are a torn tail; 0: the log ends cleanly.

    Raises:
        WalCorruptionError: they are damage, and were durable once.
    """
    found = examine_tail(file, end, seed)
    if isinstance(found, str):
        raise _damage(file.path, end, found)
    return found


def examine_tail(file: File, end: End, seed: int) -> int | str:
    """Give how many bytes a torn tail has, or why it is none but damage."""
    size_bytes = size_without_zeros(file, end.offset)
    if size_bytes == 0:
        return 0
    behind = None
    for offset, header in frame_headers(file, end.offset, seed):
        if offset == end.offset:
            if header.sequence == end.sequence + 1:
                continue
        elif header.sequence <= end.sequence:
            continue  # A copy of an older frame, in the payload of the torn one.
        if header.mark > end.offset:
            return f"it was durable when frame {header.sequence} was written"
        behind = offset if behind is None else behind
    if behind is not None and not _has_zero_sector(file, end.offset, behind):
        return f"a frame at offset {behind} is behind it"
    return size_bytes


def is_unfinished(header: Header, mark: int) -> bool:
    """Whether a log that was rewritten ends before all is there that it was rewritten as.

    The first of that say what is had, and the others bring it; a mark stands behind them, before
    the file has its name.

    Args:
        header: of the file.
        mark: the highest durable mark of its frames.
    """
    return header.is_rewritten and mark == FILE_HEADER_BYTES


def check_finished(path: Path, header: Header, end: End) -> None:
    """Refuse a log that was rewritten and not copied to its end.

    Raises:
        WalCorruptionError: it is one.
    """
    if is_unfinished(header, end.mark):
        raise WalCorruptionError(
            f"{path} ends within the checkpoint that it begins with, at offset {end.offset}, as a "
            "file does that was not copied to its end; nothing was changed: restore a backup, or "
            "save what is left with 'softadastra wal repair'",
            path=str(path),
            offset=end.offset,
            sequence=end.sequence + 1,
        )


def keep_tail(disk: Disk, file: File, offset: int, size_bytes: int) -> TornTail:
    """Copy a torn tail to a file beside the log, `<log>.torn-<offset>`, durably."""
    path = file.path.with_name(f"{file.path.name}.torn-{offset}")
    pieces = (piece for _, piece in _windows(file, offset, offset + size_bytes))
    replace_file(disk, path, pieces)
    return TornTail(offset=offset, size_bytes=size_bytes, kept_at=path)


def rewrite(file: File, start: int, stop: int) -> None:
    """Write the same bytes again, so that the next sync makes them durable.

    After a failed sync the system may hold pages that it believes are on disk and are not:
    what is read back proves nothing, and a sync alone would not write them.
    """
    for offset, piece in _windows(file, start, stop):
        write_all(file, piece, offset)


def size_without_zeros(file: File, start: int) -> int:
    """Give how many bytes there are from an offset up to the last one that is not zero."""
    size_bytes = 0
    for offset, piece in _windows(file, start, file.size()):
        if used := len(piece.rstrip(b"\0")):
            size_bytes = offset + used - start
    return size_bytes


def _has_zero_sector(file: File, start: int, stop: int) -> bool:
    """Whether the part of any sector that lies in this range was never written.

    The first is mostly a part, since what is in front of it was durable. So is the last, which
    cannot be zero after a power cut: what is at `stop` came later into the same sector.
    """
    for offset, piece in _windows(file, start, stop):
        first_edge = _SECTOR_BYTES - offset % _SECTOR_BYTES
        edges = [0, *range(first_edge, len(piece), _SECTOR_BYTES), len(piece)]
        if any(not piece[front:back].strip(b"\0") for front, back in pairwise(edges)):
            return True
    return False


def _windows(file: File, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Read a range in pieces that end at multiples of READ_BYTES."""
    while start < stop:
        piece = file.pread(min(stop - start, READ_BYTES - start % READ_BYTES), start)
        if not piece:
            return
        yield start, piece
        start += len(piece)


def _damage(path: Path, end: End, reason: str) -> WalCorruptionError:
    return WalCorruptionError(
        f"{path} is damaged at offset {end.offset}: frame {end.sequence + 1} should be intact, "
        f"because {reason}; nothing was changed: 'softadastra wal repair' saves what is left in a "
        "new file, or restore a backup, or move it away and let the peers fill a new one",
        path=str(path),
        offset=end.offset,
        sequence=end.sequence + 1,
    )

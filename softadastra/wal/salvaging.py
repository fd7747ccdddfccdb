"""Reading what is left of a log that is damaged: every frame that can be proven, and each gap.

A frame proves itself by its chain, and the chain that it goes on from is the four bytes in front of
it. So a frame behind a damaged one is as good as any other, unless the damage has reached those
four bytes too. When they alone are damaged, the frame that they end is proven by the one behind it.

Nothing is written, and nothing is locked: a log that a process holds is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple
from zlib import crc32

from softadastra.wal.disk import File
from softadastra.wal.frames import (
    FRAME_HEADER_BYTES,
    FRAME_OVERHEAD_BYTES,
    FRAME_TRAILER,
    End,
    FrameHeader,
    beginning,
    decode_frame_header,
)
from softadastra.wal.recovery import (
    READ_BYTES,
    examine_tail,
    frame_headers,
    size_without_zeros,
)

__all__ = ["Ending", "Frame", "Gap", "walk"]


class Frame(NamedTuple):
    """An intact frame."""

    offset: int
    sequence: int
    kind: int
    payload: bytes
    mark: int
    is_mended: bool = False
    """Whether its own CRC is damaged, and all else of it is proven by the frame behind it."""

    @property
    def size_bytes(self) -> int:
        """How much of the file it takes."""
        return FRAME_OVERHEAD_BYTES + len(self.payload)


class Gap(NamedTuple):
    """A part of the file where intact frames were once, and none is left."""

    offset: int
    end: int
    """Where the next intact frame begins; or where the last byte is that is not zero."""
    first: int
    """The sequence of the first frame that is lost."""
    last: int | None
    """Of the last one. None: no frame is behind it, so it is not known how many there were."""
    headers: list[tuple[int, FrameHeader]]
    """Of lost frames whose headers are intact, in order, with their offsets."""
    reason: str
    """Why this cannot be a write that was never finished."""

    @property
    def kinds(self) -> list[int]:
        """Of the lost frames of which that is known."""
        return [header.kind for _, header in self.headers]

    def unknown(self) -> list[tuple[int, int]]:
        """Give how many frames nothing is known of, between those headers, and their payload bytes.

        None when no frame is behind the gap: there may have been any number of them.
        """
        found: list[tuple[int, int]] = []
        offset, sequence = self.offset, self.first
        bounds = [(place, header.sequence, header.length) for place, header in self.headers]
        if self.last is not None:
            bounds.append((self.end, self.last + 1, 0))
        for place, number, length in bounds:
            if frames := number - sequence:
                found.append((frames, place - offset - frames * FRAME_OVERHEAD_BYTES))
            offset, sequence = place + FRAME_OVERHEAD_BYTES + length, number + 1
        return found


class Ending(NamedTuple):
    """Behind the last intact frame."""

    offset: int
    sequence: int
    """Of the last intact frame; 0: there is none."""
    mark: int
    """Up to where it says that all was durable."""
    torn_bytes: int
    """What follows it, and was never made durable."""


def walk(file: File, seed: int) -> Iterator[Frame | Gap | Ending]:
    """Give all intact frames and the gaps between them in order, and last how the log ends."""
    end = beginning(seed)
    while True:
        end = yield from _intact(file, seed, end)
        proven = _proven_by_next(file, seed, end)
        if proven is not None:
            frame, end = proven
            yield frame
            continue
        tail = examine_tail(file, end, seed)
        if isinstance(tail, int):
            yield Ending(end.offset, end.sequence, end.mark, tail)
            return
        gap, behind = _gap(file, seed, end, tail)
        whole = _frame_at(file, seed, end.offset, end.chain)
        if whole is not None and whole.sequence == end.sequence + 1:
            continue  # It was being written, and is whole by now.
        yield gap
        if behind is None:
            yield Ending(end.offset, end.sequence, end.mark, 0)
            return
        end = behind


def _intact(file: File, seed: int, end: End) -> Generator[Frame, None, End]:
    """Give the frames that follow each other without a fault."""
    offset, sequence, chain, mark = end
    data, base = b"", offset
    while True:
        position = offset - base
        header = decode_frame_header(data, position, seed)
        whole = 0 if header is None else FRAME_OVERHEAD_BYTES + header.length
        if header is None or position + whole > len(data):
            # Its length is believed only when the header's own CRC is right.
            data, base = file.pread(max(READ_BYTES, whole), offset), offset
            header, position = decode_frame_header(data, 0, seed), 0
            whole = 0 if header is None else FRAME_OVERHEAD_BYTES + header.length
            if whole > len(data):
                data = file.pread(whole, offset)
        if header is None or whole > len(data) - position or header.sequence != sequence + 1:
            return End(offset, sequence, chain, mark)
        trailer = position + whole - FRAME_TRAILER.size
        found = crc32(memoryview(data)[position:trailer], chain)
        if found != FRAME_TRAILER.unpack_from(data, trailer)[0]:
            return End(offset, sequence, chain, mark)
        payload = data[position + FRAME_HEADER_BYTES : trailer]
        yield Frame(offset, header.sequence, header.kind, payload, header.mark)
        offset, sequence, chain, mark = offset + whole, header.sequence, found, header.mark


def _proven_by_next(file: File, seed: int, end: End) -> tuple[Frame, End] | None:
    """Give the frame at the end of the intact ones when nothing but its own CRC is damaged.

    The frame behind it goes on from what that CRC should be.
    """
    header = decode_frame_header(file.pread(FRAME_HEADER_BYTES, end.offset), 0, seed)
    if header is None or header.sequence != end.sequence + 1:
        return None
    data = file.pread(FRAME_HEADER_BYTES + header.length, end.offset)
    if len(data) < FRAME_HEADER_BYTES + header.length:
        return None
    chain = crc32(data, end.chain)
    behind = end.offset + FRAME_OVERHEAD_BYTES + header.length
    after = _frame_at(file, seed, behind, chain)
    if after is None or after.sequence != header.sequence + 1:
        return None
    payload = data[FRAME_HEADER_BYTES:]
    frame = Frame(end.offset, header.sequence, header.kind, payload, header.mark, True)
    return frame, End(behind, header.sequence, chain, header.mark)


def _frame_at(file: File, seed: int, offset: int, chain: int) -> FrameHeader | None:
    """Give the header of the frame at an offset, if it goes on from this chain."""
    header = decode_frame_header(file.pread(FRAME_HEADER_BYTES, offset), 0, seed)
    if header is None:
        return None
    size = FRAME_HEADER_BYTES + header.length
    data = file.pread(size + FRAME_TRAILER.size, offset)
    if len(data) < size + FRAME_TRAILER.size:
        return None
    return header if crc32(data[:size], chain) == FRAME_TRAILER.unpack_from(data, size)[0] else None


def _gap(file: File, seed: int, end: End, reason: str) -> tuple[Gap, End | None]:
    """Give what lies between the intact frames up to here and the next one, and where that is."""
    headers: list[tuple[int, FrameHeader]] = []
    for offset, header in frame_headers(file, end.offset, seed):
        skipped = header.sequence - end.sequence - 1
        if skipped > 0 and offset - end.offset >= skipped * FRAME_OVERHEAD_BYTES:
            (chain,) = FRAME_TRAILER.unpack(file.pread(FRAME_TRAILER.size, offset - 4))
            if _frame_at(file, seed, offset, chain) is not None:
                known = _in_order(headers, end, End(offset, header.sequence, chain, end.mark))
                gap = Gap(end.offset, offset, end.sequence + 1, header.sequence - 1, known, reason)
                return gap, End(offset, header.sequence - 1, chain, end.mark)
        headers.append((offset, header))
    behind = end.offset + size_without_zeros(file, end.offset)
    known = _in_order(headers, end, End(behind, 2**64, 0, 0))
    return Gap(end.offset, behind, end.sequence + 1, None, known, reason), None


def _in_order(
    headers: list[tuple[int, FrameHeader]], start: End, stop: End
) -> list[tuple[int, FrameHeader]]:
    """Give those headers that can be of the frames between two places.

    The others are copies of frames, in payloads.
    """
    found: list[tuple[int, FrameHeader]] = []
    offset, sequence = start.offset, start.sequence + 1
    for place, header in headers:
        behind = place + FRAME_OVERHEAD_BYTES + header.length
        room = (header.sequence - sequence) * FRAME_OVERHEAD_BYTES
        is_behind = sequence <= header.sequence and offset + room <= place
        fits = header.sequence < stop.sequence and behind <= stop.offset
        if is_behind and fits and (header.sequence == sequence) == (place == offset):
            found.append((place, header))
            offset, sequence = behind, header.sequence + 1
    return found

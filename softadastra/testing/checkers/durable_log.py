"""Which writes a node's disk holds, read from the synced bytes alone.

It reads what a power cut now would leave, frame by frame, and asks the node nothing: so it
tells what the node may rightly claim to hold.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final
from zlib import crc32

from softadastra.errors import InternalError, StoreError
from softadastra.store.changes import Committed, Writes
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin, Origins
from softadastra.sync.messages import Batch, Haves
from softadastra.sync.records import Arrived, Kind, decode_record
from softadastra.testing.sim_disk import SimDisk
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    FRAME_TRAILER,
    decode_file_header,
    decode_frame_header,
)

__all__ = ["DurableLog", "held"]

HOLDING: Final = frozenset({Kind.WRITES, Kind.ARRIVED, Kind.COMMITTED})
"""The kinds of records that bring writes."""


class DurableLog:
    """The synced part of one log; `read` goes on where it stopped."""

    def __init__(self) -> None:
        self.have: dict[Origin, DotSet] = {}
        """The writes that are durable, by origin."""
        self._disk: SimDisk | None = None
        self._version = 0
        """What was read last, and which version of it."""
        self._content: bytearray | None = None
        self._offset = FILE_HEADER_BYTES
        self._seed = self._chain = 0
        self._writer = Origin("", 0)

    def reset(self) -> None:
        """Begin again: what is on the disk is no longer what it was."""
        self.have = {}
        self._disk = self._content = None

    def read(self, disk: SimDisk, path: Path) -> None:
        """Take in what has become durable since the last time."""
        if disk is self._disk and disk.durable_version == self._version:
            return
        content = disk.durable(path)
        if content is None or content is not self._content:
            self._begin(content, path)
        self._disk, self._version = disk, disk.durable_version
        if self._content is not None:
            self._read_frames(self._content)

    def _begin(self, content: bytearray | None, path: Path) -> None:
        self.reset()
        if content is None or len(content) < FILE_HEADER_BYTES:
            return
        try:
            header, self._seed = decode_file_header(bytes(content[:FILE_HEADER_BYTES]), path)
        except StoreError:
            return  # A damaged log holds nothing.
        self._content = content
        self._chain = self._seed
        self._offset = FILE_HEADER_BYTES
        self._writer = Origin(header.node_id, header.incarnation)

    def _read_frames(self, content: bytearray) -> None:
        while True:
            front = bytes(content[self._offset : self._offset + FRAME_HEADER_BYTES])
            header = decode_frame_header(front, 0, self._seed)
            if header is None:
                return
            stop = self._offset + FRAME_HEADER_BYTES + header.length
            payload = bytes(content[self._offset + FRAME_HEADER_BYTES : stop])
            trailer = bytes(content[stop : stop + FRAME_TRAILER.size])
            chain = crc32(payload, crc32(front, self._chain))
            if trailer != FRAME_TRAILER.pack(chain):
                return
            self._chain = chain
            self._offset = stop + FRAME_TRAILER.size
            if header.kind in HOLDING:
                for origin, dots in recorded(header.kind, payload, self._writer).items():
                    self.have.setdefault(origin, DotSet()).update(dots)


@lru_cache(maxsize=2_048)
def recorded(kind: int, payload: bytes, writer: Origin) -> Haves:
    """Give the writes that a record of a node's log holds; not to be changed.

    Remembered, because a log is read from its beginning after each restart.
    """
    origins = Origins()
    origins.number(writer)
    match decode_record(kind, payload, origins):
        case Writes(first, _, keys, _):
            own = DotSet()
            own.add(first, first + len(keys) - 1)
            return {writer: own}
        case Arrived() as record:
            message = record.message
            return held(message if isinstance(message, Batch) else message.batch)
        case Committed(have, _):
            return {origins[number]: dots for number, dots in have.items()}
        case record:
            raise InternalError(f"a record of kind {kind} was expected to hold writes: {record}")


def held(batch: Batch) -> Haves:
    """Give the writes that the sender of a batch says that it holds, and its receiver then has."""
    have: dict[Origin, DotSet] = {}
    for origin, first, runs in batch.claims:
        count = sum(run[0] for run in runs)
        have.setdefault(batch.origins[origin], DotSet()).add(first, first + count - 1)
    numbers, ns = batch.columns[:2]
    dots = list(zip(numbers, ns, strict=True))
    dots += [(s[0], s[1]) for state in batch.states for s in state.siblings]
    for origin, n in dots:
        have.setdefault(batch.origins[origin], DotSet()).add(n, n)
    return have

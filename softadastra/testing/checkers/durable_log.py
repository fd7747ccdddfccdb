"""Which writes a node's disk holds, read from the synced bytes alone.

It reads what a power cut now would leave, frame by frame, and asks the node nothing: so it
tells what the node may rightly claim to hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

from softadastra.errors import StoreError
from softadastra.store.changes import Committed, Writes
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin, Origins
from softadastra.sync.records import Arrived, Record, decode_record
from softadastra.testing.sim_disk import SimDisk
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    FRAME_TRAILER,
    KIND_MARK,
    decode_file_header,
    decode_frame_header,
)

__all__ = ["DurableLog", "brought"]


class DurableLog:
    """The synced part of one log; `read` goes on where it stopped."""

    def __init__(self) -> None:
        self.have: dict[Origin, DotSet] = {}
        """The writes that are durable, by origin."""
        self._content: bytearray | None = None
        self._offset = FILE_HEADER_BYTES
        self._seed = self._chain = 0
        self._origins = Origins()

    def reset(self) -> None:
        """Begin again: what is on the disk is no longer what it was."""
        self.have = {}
        self._content = None

    def read(self, disk: SimDisk, path: Path) -> None:
        """Take in what has become durable since the last time."""
        content = disk.durable(path)
        if content is None:
            self.reset()
            return
        if content is not self._content:
            self.reset()
            if len(content) < FILE_HEADER_BYTES:
                return
            try:
                header, self._seed = decode_file_header(bytes(content[:FILE_HEADER_BYTES]), path)
            except StoreError:
                return  # A damaged log holds nothing.
            self._content = content
            self._chain = self._seed
            self._offset = FILE_HEADER_BYTES
            self._origins = Origins()
            self._origins.number(Origin(header.node_id, header.incarnation))
        self._read_frames(content)

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
            if header.kind != KIND_MARK:
                self._add(decode_record(header.kind, payload, self._origins))

    def _add(self, record: Record) -> None:
        origins = self._origins
        match record:
            case Writes():
                last = record.first + len(record.keys) - 1
                self.have.setdefault(origins[0], DotSet()).add(record.first, last)
            case Arrived():
                named = [(origins[o], first, last) for o, first, last in brought(record)]
                for origin, first, last in named:
                    self.have.setdefault(origin, DotSet()).add(first, last)
            case Committed():
                for number, dots in record.have.items():
                    self.have.setdefault(origins[number], DotSet()).update(dots)
            case _:
                pass


def brought(record: Arrived) -> Iterable[tuple[int, int, int]]:
    """Give what a batch brings, as (origin number, first, last): claims, and its siblings."""
    arrivals = record.arrivals
    for origin, first, runs in arrivals.claims:
        yield origin, first, first + sum(run[0] for run in runs) - 1
    for sibling in arrivals.siblings:
        yield sibling[0], sibling[1], sibling[1]
    for state in arrivals.states:
        for sibling in state.siblings:
            yield sibling[0], sibling[1], sibling[1]

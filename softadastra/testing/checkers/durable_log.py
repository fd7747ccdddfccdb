"""Which writes a node's disk holds, read from the synced bytes alone.

It reads what a power cut now would leave, frame by frame, and asks the node nothing: so it
tells what the node may rightly claim to hold, under the names that the log uses by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from softadastra.errors import InternalError, StoreError
from softadastra.store.changes import Committed, Write, Writes
from softadastra.store.checkpoint import History
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life, history, joined, lived
from softadastra.store.origins import Origin, Origins
from softadastra.store.splitting import Split
from softadastra.sync.kinds import Kind
from softadastra.sync.messages import Batch, Haves
from softadastra.sync.records import Arrived, Lived, decode_record
from softadastra.testing.checkers.lineage import Lineage
from softadastra.testing.sim_disk import SimDisk
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    FRAME_TRAILER,
    decode_file_header,
    decode_frame_header,
)

__all__ = ["DurableLog", "held"]

TELLING: Final = frozenset(
    {
        Kind.WRITE,
        Kind.WRITES,
        Kind.ARRIVED,
        Kind.ARRIVED_OVER,
        Kind.COMMITTED,
        Kind.LIVED,
        Kind.SPLIT,
        Kind.HISTORY,
    }
)
"""The kinds of records that bring writes, or say what they are called."""


class DurableLog:
    """The synced part of one log; `read` goes on where it stopped.

    Args:
        lineage: what writes are called whatever they are renamed to.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.have: dict[Origin, DotSet] = {}
        """The writes that are durable, by origin."""
        self._lineage = lineage
        self._lives: dict[Origin, list[Life]] = {}
        self._names: Haves | None = None
        self._disk: SimDisk | None = None
        self._version = 0
        """What was read last, and which version of it."""
        self._content: bytearray | None = None
        self._offset = FILE_HEADER_BYTES
        self._seed = self._chain = 0
        self._begun_by = self._writer = Origin("", 0)
        """Who began it, and who writes to it by now."""

    @property
    def names(self) -> Haves:
        """The names of all writes that are durable; not to be changed."""
        if self._names is None:
            self._names = self._lineage.names(self.have, self._lives)
        return self._names

    def reset(self) -> None:
        """Begin again: what is on the disk is no longer what it was."""
        self.have = {}
        self._lives = {}
        self._names = None
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
        self._begun_by = self._writer = Origin(header.node_id, header.incarnation)

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
            if header.kind in TELLING:
                self._take(recorded(header.kind, payload, self._begun_by))

    def _take(self, record: Recorded | Lived | Split) -> None:
        self._names = None
        match record:
            case Lived(first, life):
                past = lived(self._lives.get(self._writer, ()), first - 1)
                self._lives[self._writer] = [*past, Life(first, life)]
            case Split():
                self._split(record)
            case Recorded(have, lives, own):
                if own.top:
                    self.have.setdefault(self._writer, DotSet()).update(own)
                for origin, told in lives.items():
                    known = self._lives.get(origin, ())
                    self._lives[origin] = joined(origin.incarnation, known, told)
                for origin, dots in have.items():
                    self.have.setdefault(origin, DotSet()).update(dots)

    def _split(self, change: Split) -> None:
        """Give what is behind a number another name, as `store/splitting.py` says."""
        origin, after, life = change
        name = Origin(origin.node_id, life)
        low, high = DotSet(), self.have.pop(name, DotSet())
        for first, last in self.have.pop(origin, DotSet()).ranges():
            if first <= after:
                low.add(first, min(last, after))
            if last > after:
                high.add(max(first - after, 1), last - after)
        lives = self._lives.pop(origin, [])
        past = history(origin.incarnation, lives)
        if high.top and not after and all(old.id != life for old in past):
            begun = next(old for old in reversed(past) if old.first <= 1)
            self._lineage.copied(name, Origin(origin.node_id, begun.id), past)
        self._lives[origin] = [old for old in lives if old.first <= after]
        behind = [Life(old.first - after, old.id) for old in lives if old.first > after]
        self._lives[name] = [old for old in behind if old.first > 1]
        self.have |= {of: dots for of, dots in ((origin, low), (name, high)) if dots.top}
        if origin == self._writer:
            self._writer = name


class Recorded(NamedTuple):
    """The writes that a record brings, and lives of their origins."""

    have: Haves
    lives: Mapping[Origin, Sequence[Life]]
    own: DotSet
    """Of whom the log is written by at that point."""


@lru_cache(maxsize=2_048)
def recorded(kind: int, payload: bytes, writer: Origin) -> Recorded | Lived | Split:
    """Give what a record of a node's log says of writes and their names; not to be changed.

    Remembered, because a log is read from its beginning after each restart.
    """
    origins = Origins()
    origins.number(writer)
    match decode_record(kind, payload, origins):
        case Write(first=first, keys=keys) | Writes(first=first, keys=keys):
            own = DotSet()
            own.add(first, first + len(keys) - 1)
            return Recorded({}, {}, own)
        case Arrived() as record:
            message = record.message
            batch = message if isinstance(message, Batch) else message.batch
            lives = {batch.origins[position]: told for position, told in batch.lives}
            return Recorded(held(batch), lives, DotSet())
        case Committed(have, _, told_lives):
            return Recorded(
                {origins[number]: dots for number, dots in have.items()},
                {origins[number]: told for number, told in told_lives.items()},
                DotSet(),
            )
        case History() as past:
            return Recorded({past.origin: past.have}, {past.origin: past.lives}, DotSet())
        case Lived() | Split() as told:
            return told
        case record:
            raise InternalError(f"a record of kind {kind} was expected to name writes: {record}")


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

"""The content of a simulated file: as it is read, as it is on the disk, and what is between."""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import Final, NamedTuple, TypeAlias

__all__ = ["SECTOR_BYTES", "SimInode"]

SECTOR_BYTES: Final = 512
"""The least that a disk writes as a whole; what `softadastra.wal.recovery` counts on."""


class Written(NamedTuple):
    """Bytes that were written and not synced."""

    offset: int
    data: bytes


class Resized(NamedTuple):
    """The file was cut off or extended with zeros."""

    size_bytes: int
    is_cut: bool


Change: TypeAlias = Written | Resized


class Kept(Enum):
    """What a power cut keeps of the unsynced writes."""

    NOTHING = 0
    EVERYTHING = 1
    BEGINNING = 2
    """The first writes, and perhaps a piece of the next one."""
    SECTORS = 3
    """Any sectors, each as it was at one moment."""


class SimInode:
    """A file without its name.

    Args:
        number: tells it from all other files.
    """

    __slots__ = ("_pending", "cache", "durable", "is_locked", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.cache = bytearray()
        """What a read gives."""
        self.durable = bytearray()
        """What is on the disk."""
        self.is_locked = False
        self._pending: list[Change] = []
        """What the next sync will bring to the disk, in order."""

    def write(self, data: bytes, offset: int) -> None:
        """Write to the cache."""
        change = Written(offset, data)
        do(change, self.cache)
        self._pending.append(change)

    def resize(self, size_bytes: int) -> None:
        """Cut off the cache, or extend it."""
        change = Resized(size_bytes, size_bytes < len(self.cache))
        do(change, self.cache)
        self._pending.append(change)

    def sync(self) -> None:
        """Bring everything to the disk."""
        for change in self._pending:
            do(change, self.durable)
        self._pending.clear()

    def load(self, content: bytes) -> None:
        """Hold this and nothing else, on the disk too."""
        self._pending.clear()
        self.cache = bytearray(content)
        self.durable = bytearray(content)

    def fail_sync(self, rng: Random) -> None:
        """Bring to the disk what chance brings, and take all for clean."""
        self._keep(rng)
        self._pending.clear()

    def lose_power(self, rng: Random) -> None:
        """Bring to the disk what chance brings, and forget the cache."""
        self._keep(rng)
        self._pending.clear()
        self.cache = bytearray(self.durable)

    def _keep(self, rng: Random) -> None:
        # Cutting a file off is a change of its metadata, which waits for the data before it:
        # so the last cut that is kept has everything before it, and nothing of the next one.
        cuts = [i for i, c in enumerate(self._pending) if isinstance(c, Resized) and c.is_cut]
        kept_cuts = int(rng.random() * (len(cuts) + 1))
        start = cuts[kept_cuts - 1] + 1 if kept_cuts else 0
        stop = cuts[kept_cuts] if kept_cuts < len(cuts) else len(self._pending)
        for change in self._pending[:start]:
            do(change, self.durable)
        self._keep_some(self._pending[start:stop], rng)

    def _keep_some(self, changes: list[Change], rng: Random) -> None:
        match list(Kept)[int(rng.random() * len(Kept))]:
            case Kept.NOTHING:
                return
            case Kept.EVERYTHING:
                for change in changes:
                    do(change, self.durable)
            case Kept.BEGINNING:
                whole = int(rng.random() * (len(changes) + 1))
                piece = rng.random()
                for change in changes[:whole]:
                    do(change, self.durable)
                if whole < len(changes) and isinstance(torn := changes[whole], Written):
                    data = torn.data[: int(len(torn.data) * piece)]
                    do(Written(torn.offset, data), self.durable)
            case Kept.SECTORS:
                for versions in sectors(changes):
                    for version in versions[: int(rng.random() * (len(versions) + 1))]:
                        do(version, self.durable)


def do(change: Change, content: bytearray) -> None:
    """Do to a content what was done."""
    match change:
        case Written(offset, data):
            if not data:
                return
            if offset > len(content):
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data
        case Resized(size_bytes, True):
            del content[size_bytes:]
        case Resized(size_bytes):
            content.extend(bytes(max(0, size_bytes - len(content))))


def sectors(changes: list[Change]) -> list[list[Written]]:
    """Give per sector, in order, the pieces of the writes that changed it."""
    pieces: dict[int, list[Written]] = {}
    for change in changes:
        if isinstance(change, Written):
            offset, data = change
            stop = offset + len(data)
            for sector in range(offset // SECTOR_BYTES, -(-stop // SECTOR_BYTES)):
                front = max(offset, sector * SECTOR_BYTES)
                back = min(stop, (sector + 1) * SECTOR_BYTES)
                piece = Written(front, data[front - offset : back - offset])
                pieces.setdefault(sector, []).append(piece)
    return [pieces[sector] for sector in sorted(pieces)]

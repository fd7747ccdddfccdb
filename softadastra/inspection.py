"""Looking into a log without changing it, whoever has it open: what is there, and what is damaged.

A log that a node holds is read up to where it is written at the moment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from softadastra.errors import StoreError
from softadastra.runtime.compaction import live_bytes
from softadastra.store.changes import Collected, Committed, Lost, Write, Writes
from softadastra.store.checkpoint import Entries, History, Rows
from softadastra.store.origins import Origin, Origins
from softadastra.store.policies import Policies
from softadastra.store.replica import Replica
from softadastra.store.siblings import siblings_of
from softadastra.store.splitting import Split
from softadastra.sync.engine import Engine
from softadastra.sync.kinds import Kind
from softadastra.sync.members import Member
from softadastra.sync.records import (
    Arrived,
    Forgotten,
    Record,
    Registered,
    decode_record,
)
from softadastra.sync.settings import EngineOptions
from softadastra.wal.disk import OsDisk
from softadastra.wal.frames import KIND_MARK, Header
from softadastra.wal.lock import Holder, holder_of
from softadastra.wal.log_file import read_log_file
from softadastra.wal.recovery import is_unfinished
from softadastra.wal.salvaging import Ending, Frame, Gap, walk

__all__ = [
    "Contents",
    "Fault",
    "Reading",
    "Recovering",
    "Writers",
    "contents_of",
    "kind_name",
    "read_log",
    "writers_of",
]


Writers: TypeAlias = Origins
"""Who has written into a log, as far as it was read."""


class Fault(NamedTuple):
    """Something in a log that cannot be used."""

    offset: int
    sequence: int
    reason: str


class Contents(NamedTuple):
    """What is in a record, but for its values."""

    keys: list[str]
    sync_ids: list[str]
    nodes: list[str]
    unreadable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a whole log was found to be."""

    path: Path
    header: Header
    holder: Holder | None
    """Who has it open."""
    allocated_bytes: int
    frames: dict[int, tuple[int, int]]
    """By kind: how many, in how many bytes."""
    ending: Ending
    faults: list[Fault]
    engine: Engine | None
    """The state that it recovers into; None when something is missing."""
    refusal: StoreError | None
    """That a newer version wrote into it."""

    @property
    def live_bytes(self) -> int | None:
        """About how large it would be when it was rewritten now."""
        return None if self.engine is None else live_bytes(self.engine)

    def keys(self, prefix: str, limit: int) -> list[str]:
        """Give the first keys with a prefix that have a value; none when something is missing."""
        if self.engine is None:
            return []
        replica = self.engine.replica
        page = replica.page(prefix=prefix, after=None, limit=limit)
        return [key for key in page if replica.value(key) is not None]

    def peers(self) -> list[str]:
        """Give the names of the known nodes; none when something is missing."""
        return [] if self.engine is None else sorted(each.node_id for each in self.engine.members)

    @property
    def frame_count(self) -> int:
        """How many intact frames there are."""
        return sum(count for count, _ in self.frames.values())


def read_log(
    path: Path, *, policies: Policies, options: EngineOptions
) -> Iterator[Header | Frame | Gap | Reading]:
    """Give the header of a log, its frames and gaps in order, and last what it is as a whole.

    Args:
        path: the log.
        policies: what happens to concurrent writes.
        options: of the engine that it recovers into.

    Raises:
        NotFoundError: there is no file.
        StoreError: it is no log, or one of another format.
        WalCorruptionError: its header is damaged.
        StorageError: the system refused.
    """
    disk = OsDisk()
    file, header, seed = read_log_file(disk, path)
    with closing(file):
        holder = holder_of(path, disk=disk)
        yield header
        recovering = Recovering(header, policies, options)
        frames: dict[int, tuple[int, int]] = {}
        for item in walk(file, seed):
            if isinstance(item, Ending):
                recovering.end(item)
                yield Reading(
                    path=path,
                    header=header,
                    holder=holder,
                    allocated_bytes=file.size(),
                    frames=frames,
                    ending=item,
                    faults=recovering.faults,
                    engine=recovering.engine,
                    refusal=recovering.refusal,
                )
                return
            if isinstance(item, Frame):
                count, size_bytes = frames.get(item.kind, (0, 0))
                frames[item.kind] = (count + 1, size_bytes + item.size_bytes)
            recovering.take(item)
            yield item


class Recovering:
    """The state that a log makes, until something in it cannot be used."""

    def __init__(self, header: Header, policies: Policies, options: EngineOptions) -> None:
        replica = Replica(header.node_id, header.incarnation, policies)
        self.engine: Engine | None = Engine(replica, options, nonce=0, jitter=random.random)
        self.faults: list[Fault] = []
        self.refusal: StoreError | None = None
        self._header = header

    def take(self, item: Frame | Gap) -> None:
        """Evolve the state by the record of a frame."""
        if isinstance(item, Gap):
            self._fail(Fault(item.offset, item.first, item.reason))
            return
        if item.is_mended:
            reason = "its CRC is wrong, though the frame behind it says that all else is right"
            self.faults.append(Fault(item.offset, item.sequence, reason))
        if item.kind == KIND_MARK or self.engine is None:
            return
        try:
            origins = self.engine.replica.origins
            self.engine.evolve(decode_record(item.kind, item.payload, origins))
        except StoreError as error:
            self.refusal, self.engine = error, None
        except Exception as error:  # its checksum is right, so nothing is expected of it
            reason = f"its record is intact and cannot be read: {error!r:.200}"
            self._fail(Fault(item.offset, item.sequence, reason))

    def end(self, ending: Ending) -> None:
        """Take note that nothing follows."""
        if is_unfinished(self._header, ending.mark) and not self.faults:
            reason = "the checkpoint that the log begins with goes on there"
            self._fail(Fault(ending.offset, ending.sequence + 1, reason))

    def _fail(self, fault: Fault) -> None:
        self.faults.append(fault)
        self.engine = None


def kind_name(kind: int) -> str:
    """Give the name of a kind of frames."""
    if kind == KIND_MARK:
        return "mark"
    try:
        return Kind(kind).name.lower()
    except ValueError:
        return f"kind {kind}"  # a newer version's


def contents_of(frame: Frame, node_id: str, origins: Writers) -> Contents:
    """Give what is in a frame.

    Args:
        frame: the frame.
        node_id: whose log it is.
        origins: what is known of its writers from the frames before it.
    """
    if frame.kind == KIND_MARK:
        return Contents([], [], [])
    try:
        return contents_of_record(
            decode_record(frame.kind, frame.payload, origins), node_id, origins
        )
    except Exception as error:  # its checksum is right, so nothing is expected of it
        return Contents([], [], [], f"{error!r:.200}")


def contents_of_record(record: Record, node_id: str, origins: Writers) -> Contents:
    """Give what is in a record."""

    def sync_ids(origin: int, first: int, last: int) -> list[str]:
        # A part of a checkpoint names a writer by the place of its history, which may be lost.
        writer = origins[origin].node_id if origin < len(origins) else "?"
        return [f"{writer}-{first}"] if first == last else [f"{writer}-{first}..{last}"]

    match record:
        case Write(first=first, keys=keys) | Writes(first=first, keys=keys):
            return Contents(keys, [f"{node_id}-{n}" for n in range(first, first + len(keys))], [])
        case Arrived(arrivals=arrivals):
            siblings = [*arrivals.siblings, *(s for a in arrivals.states for s in a.siblings)]
            return Contents(
                arrivals.keys, [i for s in siblings for i in sync_ids(s[0], s[1], s[1])], []
            )
        case Entries(keys, siblings, states):
            found = [*siblings, *(s for state in states for s in siblings_of(state))]
            return Contents(keys, [i for s in found for i in sync_ids(s[0], s[1], s[1])], [])
        case Rows(origin, numbers, keys):
            return Contents(keys, [i for n in numbers for i in sync_ids(origin, n, n)], [])
        case Lost(key, loser, winner):
            return Contents(
                [key], [i for s in (loser, winner) for i in sync_ids(s[0], s[1], s[1])], []
            )
        case Collected(ranges, keys):
            gone = [i for o, found in ranges.items() for r in found for i in sync_ids(o, *r)]
            return Contents(keys, gone, [])
        case Committed(have, drops):
            had = [i for o, dots in have.items() for r in dots.ranges() for i in sync_ids(o, *r)]
            return Contents([key for key, *_ in drops], had, [])
        case History(origin, have):
            number = origins.number(origin)
            return Contents([], [i for r in have.ranges() for i in sync_ids(number, *r)], [])
        case Split(origin):
            return Contents([], [], [origin.node_id])
        case Member(node_id=name) | Forgotten(name):
            return Contents([], [], [name])
        case Registered(peer):
            return Contents([], [], [peer.node_id])
        case _:
            return Contents([], [], [])


def writers_of(header: Header) -> Writers:
    """Give the writers that are known before the first frame of a log."""
    origins = Origins()
    origins.number(Origin(header.node_id, header.incarnation))
    return origins

"""What became of one key, as a log still has it: each write, and what replaced it.

The log is read as recovery reads it, record by record, and the key's state is looked at behind each
record that names the key: what is new in it was brought by the record, and what is gone was
replaced by it. So whatever decides what stands, this need not know. A log that a node holds is read
up to where it is written, and nothing of the node's is locked meanwhile.

A log that was rewritten begins with the state of that moment. Of what had been replaced by then it
may have the names; the values are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from softadastra.errors import StoreError
from softadastra.inspection import Fault, Recovering
from softadastra.store.changes import Arrivals, Collected, Lost, Write, Writes
from softadastra.store.checkpoint import Entries, Rows
from softadastra.store.clock import milliseconds
from softadastra.store.policies import Policies
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, State, shown, siblings_of, standing
from softadastra.store.values import unpack_value
from softadastra.sync.records import Arrived, Record, decode_record
from softadastra.sync.settings import EngineOptions
from softadastra.types import Value
from softadastra.wal.disk import OsDisk
from softadastra.wal.frames import KIND_MARK
from softadastra.wal.log_file import read_log_file
from softadastra.wal.salvaging import Ending, Frame, walk

__all__ = ["Came", "Fate", "KeyHistory", "KeyVersion", "read_history"]


class Came(StrEnum):
    """How a write came into the log."""

    WRITTEN = "written"
    """By this node."""
    RECEIVED = "received"
    """From a peer."""
    KEPT = "kept"
    """It was there when the log was rewritten."""
    NAMED = "named"
    """A peer, or the log that was rewritten, names it; its value was replaced by then."""


class Fate(StrEnum):
    """What became of a write."""

    STANDS = "stands"
    """It is what the key has, or that it was removed."""
    IN_CONFLICT = "in_conflict"
    """It is kept beside another one that did not know of it."""
    REPLACED = "replaced"
    """By a write whose writer had seen it, or by a later one of its own writer."""
    LOST = "lost"
    """To a write that did not know of it."""
    COLLECTED = "collected"
    """The key was removed by it, every node knows, and nothing is left of it but this."""


@dataclass(slots=True, kw_only=True)
class KeyVersion:
    """One write of the key."""

    origin: str
    n: int
    came: Came
    fate: Fate = Fate.STANDS
    by: str | None = None
    """The sync id of what replaced it, or what it lost to; None: nobody knows, or it stands."""
    version: int | None = None
    """How many writes deep it was; None: only its name is known."""
    timestamp_ms: int | None = None
    value: Value = None
    """None also when it is not known; see `is_removed`."""
    is_removed: bool | None = None
    """None: what was written is not known."""
    offset: int
    """Of the frame that brought it."""

    @property
    def sync_id(self) -> str:
        """Its name."""
        return f"{self.origin}-{self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """What a log has of a key."""

    key: str
    node_id: str
    """Whose log it is."""
    versions: list[KeyVersion]
    """In the order in which they came; those that only have a name first."""
    generation: int
    """1: the log was never rewritten, so that it has all that it ever had."""
    faults: list[Fault]
    """Damage: nothing behind the first is known."""
    refusal: StoreError | None
    """That a newer version wrote into the log; nothing behind that is known."""


def read_history(path: Path, key: str, *, policies: Policies, options: EngineOptions) -> KeyHistory:
    """Read what a log has of a key. Takes as long as opening it, and as much memory.

    Args:
        path: the log.
        key: the key.
        policies: what happens to concurrent writes.
        options: of the engine that it recovers into.

    Raises:
        NotFoundError: there is no file.
        StoreError: it is no log, or one of another format.
        WalCorruptionError: its header is damaged.
        StorageError: the system refused.
    """
    file, header, seed = read_log_file(OsDisk(), path)
    with closing(file):
        recovering = Recovering(header, policies, options)
        gathered = _Gathered(key)
        name = key.encode()
        for item in walk(file, seed):
            if isinstance(item, Ending):
                recovering.end(item)
                break
            recovering.take(item)
            if recovering.engine is None:
                break
            if isinstance(item, Frame) and _may_name(item, name):
                replica = recovering.engine.replica
                record = decode_record(item.kind, item.payload, replica.origins)
                gathered.see(record, replica, item.offset)
        if recovering.engine is not None:
            gathered.end(recovering.engine.replica)
    return KeyHistory(
        key=key,
        node_id=header.node_id,
        versions=gathered.versions(),
        generation=header.generation,
        faults=recovering.faults,
        refusal=recovering.refusal,
    )


def _may_name(frame: Frame, name: bytes) -> bool:
    """Whether a record may name a key: MessagePack has it as it is, wherever it does."""
    return frame.kind != KIND_MARK and name in frame.payload


class _Gathered:
    """The versions of a key, as far as the log was read."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._named: dict[tuple[str, int], KeyVersion] = {}
        """Those of which only the name is known, by origin and number."""
        self._found: dict[tuple[str, int, int], KeyVersion] = {}
        """The others, by origin, stamp and version: these stay when an origin gets another name,
        which numbers do not."""
        self._held: dict[tuple[str, int, int], Sibling] = {}
        """The siblings of the key, behind the last record that named it."""

    def versions(self) -> list[KeyVersion]:
        """Give all of them; those of a checkpoint, which has no order, by their stamps."""
        found = self._found.values()
        kept = [each for each in found if each.came is Came.KEPT]
        kept.sort(key=lambda each: each.timestamp_ms or 0)
        return [
            *self._named.values(),
            *kept,
            *(each for each in found if each.came is not Came.KEPT),
        ]

    def see(self, record: Record, replica: Replica, offset: int) -> None:
        """Take what a record says of the key.

        Args:
            record: the record.
            replica: the state behind it.
            offset: of its frame.
        """
        match record:
            case Write(key=key, sibling=sibling):
                if key == self._key:
                    self._write(sibling, replica, offset)
            case Writes(keys=keys, states=states):
                for key, state in zip(keys, states, strict=True):
                    if key == self._key:
                        self._write(siblings_of(state)[0], replica, offset)
            case Arrived(arrivals=arrivals):
                for sibling in _brought(arrivals, self._key):
                    self._add(sibling, Came.RECEIVED, replica, offset)
                self._name(_claimed(arrivals, self._key), replica, offset)
            case Entries(keys, siblings, states):
                found = [*((s,) for s in siblings), *map(siblings_of, states)]
                for key, all_of_it in zip(keys, found, strict=True):
                    for sibling in all_of_it if key == self._key else ():
                        self._add(sibling, Came.KEPT, replica, offset)
            case Rows(origin, numbers, keys):
                dots = [(origin, n) for n, k in zip(numbers, keys, strict=True) if k == self._key]
                self._name(iter(dots), replica, offset)
            case Lost(key, loser, winner) if key == self._key:
                version = self._add(loser, Came.KEPT, replica, offset)
                version.fate, version.by = Fate.LOST, self._sync_id(winner, replica)
        self._settle(replica, collected=isinstance(record, Collected))

    def end(self, replica: Replica) -> None:
        """Say of what is left how it stands."""
        self._settle(replica, collected=False)
        siblings = siblings_of(replica.entries.get(self._key))
        first = standing(replica.entries.get(self._key))
        counting = shown(siblings)
        for sibling in siblings:
            version = self._add(sibling, Came.KEPT, replica, 0)
            version.origin, version.n = replica.origins[sibling[0]].node_id, sibling[1]
            is_beside = sibling is not first and len(counting) > 1
            version.fate = Fate.IN_CONFLICT if is_beside else Fate.STANDS
            version.by = None

    def _write(self, sibling: Sibling, replica: Replica, offset: int) -> None:
        """This node wrote the key: it had seen all that stood."""
        by = self._sync_id(sibling, replica)
        for name in self._held:
            version = self._found[name]
            version.fate, version.by = Fate.REPLACED, by
        self._held = {self._identity(sibling, replica): sibling}
        self._add(sibling, Came.WRITTEN, replica, offset)

    def _add(self, sibling: Sibling, came: Came, replica: Replica, offset: int) -> KeyVersion:
        identity = self._identity(sibling, replica)
        known = self._found.get(identity)
        if known is not None:
            return known
        number, n, stamp, version, packed, _ = sibling
        origin = replica.origins[number].node_id
        self._named.pop((origin, n), None)
        self._held[identity] = sibling
        found = self._found[identity] = KeyVersion(
            origin=origin,
            n=n,
            came=came,
            version=version,
            timestamp_ms=milliseconds(stamp),
            value=unpack_value(packed) if packed else None,
            is_removed=not packed,
            offset=offset,
        )
        return found

    def _name(self, dots: Iterator[tuple[int, int]], replica: Replica, offset: int) -> None:
        """Take note of writes of which nothing but the name is there."""
        known = {(version.origin, version.n) for version in self._found.values()}
        for number, n in dots:
            name = (replica.origins[number].node_id, n)
            if name not in known and name not in self._named:
                self._named[name] = KeyVersion(
                    origin=name[0], n=n, came=Came.NAMED, fate=Fate.REPLACED, offset=offset
                )

    def _settle(self, replica: Replica, *, collected: bool) -> None:
        """Say of what is gone what became of it."""
        state = replica.entries.get(self._key)
        now = {self._identity(sibling, replica): sibling for sibling in siblings_of(state)}
        gone = [name for name in self._held if name not in now]
        lost = {
            self._identity(each.loser, replica): each.winner
            for each in (replica.lost if gone else ())
            if each.key == self._key
        }
        newest = siblings_of(state)[-1:]
        for name in gone:
            version = self._found[name]
            winner = lost.get(name)
            if winner is not None:
                version.fate, version.by = Fate.LOST, self._sync_id(winner, replica)
            elif collected:
                version.fate = Fate.COLLECTED
            elif version.fate is Fate.STANDS:
                version.fate = Fate.REPLACED
                version.by = self._sync_id(newest[0], replica) if newest else None
        self._held = now

    def _identity(self, sibling: Sibling, replica: Replica) -> tuple[str, int, int]:
        number, _, stamp, version, _, _ = sibling
        return replica.origins[number].node_id, stamp, version

    def _sync_id(self, sibling: Sibling, replica: Replica) -> str:
        return f"{replica.origins[sibling[0]].node_id}-{sibling[1]}"


def _brought(arrivals: Arrivals, key: str) -> Iterator[Sibling]:
    """Give the siblings of a key that a batch brings."""
    states: list[State] = [*arrivals.siblings, *arrivals.states]
    for each, state in zip(arrivals.keys, states, strict=True):
        if each == key:
            yield from siblings_of(state)


def _claimed(arrivals: Arrivals, key: str) -> Iterator[tuple[int, int]]:
    """Give the writes of a key that a batch claims."""
    for claim in arrivals.claims:
        n = claim.first
        for count, position, stride in claim.runs:
            for step in range(count):
                if arrivals.keys[position + step * stride] == key:
                    yield claim.origin, n + step
            n += count

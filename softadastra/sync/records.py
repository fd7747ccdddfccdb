"""What the log holds, and its bytes: each record is one decided change.

Recovery is `Engine.evolve` over them. A peer's batch is kept as the very bytes that came.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat, starmap
from typing import Any, Final, NamedTuple, TypeAlias, assert_never

import msgpack

from softadastra.errors import StoreError
from softadastra.store.changes import (
    OWN,
    Arrivals,
    Collected,
    Committed,
    Lost,
    Visitor,
    Write,
    Writes,
)
from softadastra.store.checkpoint import Entries, History, Part, Rows, Totals
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.origins import Origin, Origins
from softadastra.store.siblings import KeyState, State, context_of, siblings_of
from softadastra.store.splitting import Split
from softadastra.sync.checkpoint_records import decode_part, encode_part, pairs
from softadastra.sync.kinds import Kind
from softadastra.sync.members import Member
from softadastra.sync.messages import Batch, SnapshotRange
from softadastra.sync.wire import decode
from softadastra.types import Peer, PeerSource

__all__ = [
    "REPLAYED",
    "Arrived",
    "Counted",
    "Forgotten",
    "Lived",
    "Placed",
    "Pruned",
    "Record",
    "RecordEncoder",
    "Registered",
    "Released",
    "decode_record",
]


WRITE: Final = int(Kind.WRITE)

REPLAYED: Final = -1
"""The link of a batch that comes from the log."""


class Arrived(NamedTuple):
    """A peer's batch, or a range of its snapshot."""

    clock: int
    """The local clock after it."""
    payload: bytes
    """The message as it came."""
    message: Batch | SnapshotRange
    arrivals: Arrivals
    """Its content, by our numbers."""
    outlived: list[Visitor]
    """Siblings here of which its sender knows that they are superseded."""
    whereabouts: list[Visitor]
    """Where writes that it brings are here, when their rows are collected: see `doubling.py`."""
    link: int
    """Where it came from and is to be acknowledged; REPLAYED when it comes from the log."""
    received_ms: int
    """When, by the monotonic clock of this process."""


class Pruned(NamedTuple):
    """The outbox no longer tracks own writes up to `floor`."""

    floor: int


class Released(NamedTuple):
    """Own writes up to `n` may be sent (`auto_queue=False`)."""

    n: int


class Lived(NamedTuple):
    """This opening of the log gives out numbers from `first` on."""

    first: int
    life: int


class Placed(NamedTuple):
    """Where the log is: when that has changed, it is a copy."""

    host: str
    device: int
    inode: int


class Counted(NamedTuple):
    """Counts that are told of this node, and belong to nobody it knows any more."""

    retries: int


class Registered(NamedTuple):
    """Where a peer is, as somebody said. What is known of it otherwise stays."""

    peer: Peer
    source: PeerSource


class Forgotten(NamedTuple):
    """A member was forgotten by hand."""

    node_id: str


Record: TypeAlias = (
    Write
    | Writes
    | Arrived
    | Member
    | Pruned
    | Released
    | Registered
    | Forgotten
    | Collected
    | Committed
    | Lived
    | Split
    | Placed
    | Counted
    | Part
)


class RecordEncoder:
    """Gives records their bytes. One caller at a time: it keeps a packer (3 times faster).

    Args:
        origins: what the numbers in the records stand for.
    """

    __slots__ = ("_origins", "_pack")

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._pack = msgpack.Packer().pack

    def encode(self, record: Record) -> tuple[int, bytes]:
        """Give a record's kind and its bytes."""
        # Neither a case nor `Kind.WRITE`: these two took a third of a put's 0.44 us here.
        if isinstance(record, Write):
            clock, key, (_, n, stamp, version, value, flags) = record
            if stamp == clock and not flags:
                return WRITE, self._pack((n, clock, key, version, value))
            return WRITE, self._pack((n, clock, key, version, value, stamp, flags))
        match record:
            case Writes():
                return Kind.WRITES, self._pack(self._plain_writes(record))
            case Arrived():
                after = record.clock.to_bytes(8, "big")
                if not (record.outlived or record.whereabouts):
                    return Kind.ARRIVED, after + record.payload
                over = [
                    [[key, *self._origins[number], n] for key, number, n in visitors]
                    for visitors in (record.outlived, record.whereabouts)
                ]
                packed = self._pack(over)
                head = after + len(packed).to_bytes(4, "big") + packed
                return Kind.ARRIVED_OVER, head + record.payload
            case Member():
                return Kind.MEMBER, self._pack(plain_member(record))
            case Pruned():
                return Kind.PRUNED, self._pack(record)
            case Released():
                return Kind.RELEASED, self._pack(record)
            case Registered(peer, source):
                address = (peer.node_id, peer.host, peer.port)
                return Kind.REGISTERED, self._pack((*address, source.value))
            case Forgotten():
                return Kind.FORGOTTEN, self._pack(record)
            case Collected():
                ranges = [
                    [*self._origins[number], [n for found in found_all for n in found]]
                    for number, found_all in record.ranges.items()
                ]
                return Kind.COLLECTED, self._pack([ranges, record.keys])
            case Committed():
                have = [
                    [*self._origins[number], dots.base, [n for found in dots.above for n in found]]
                    for number, dots in record.have.items()
                ]
                drops = [[key, *self._origins[number], n] for key, number, n in record.drops]
                lives = [
                    [*self._origins[number], [*chain.from_iterable(told)]]
                    for number, told in record.lives.items()
                ]
                return Kind.COMMITTED, self._pack([have, drops, lives])
            case Lived():
                return Kind.LIVED, self._pack(record)
            case Split():
                return Kind.SPLIT, self._pack([*record.origin, record.after, record.life])
            case Placed():
                return Kind.PLACED, self._pack(record)
            case Counted():
                return Kind.COUNTED, self._pack(record)
            case History() | Entries() | Rows() | Lost() | Totals():
                kind, plain = encode_part(record)
                return kind, self._pack(plain)
            case _ as unreachable:
                assert_never(unreachable)

    def _plain_writes(self, writes: Writes) -> tuple[Any, ...]:
        """Give the columns of own writes; they all have one origin, and nearly all one stamp."""
        first, clock, keys, states = writes
        siblings: Sequence[Any] = states
        contexts: list[Any] = []
        if KeyState in map(type, states):
            siblings = [siblings_of(state)[0] for state in states]
            contexts = [
                [position, [[*self._origins[o], n] for o, n in context_of(state).items()]]
                for position, state in enumerate(states)
                if context_of(state)
            ]
        _, _, stamps, versions, values, flags = zip(*siblings, strict=True)
        distinct = None if stamps.count(clock) == len(stamps) else stamps
        flagged = flags if any(flags) else None
        return first, clock, keys, distinct, versions, values, flagged, contexts


def plain_member(member: Member) -> tuple[object, ...]:
    """Give the fields of a member, as they are packed."""
    return (
        member.node_id,
        member.host,
        member.port,
        member.source.value,
        member.accepted,
        member.confirmed,
        member.retries,
        member.witnessed,
        member.heard_ms,
        member.incarnation,
    )


def member_of(node_id: str, host: str, port: int, source: str, *rest: Any) -> Member:
    """Read a member from its fields."""
    accepted, confirmed, retries, witnessed, heard_ms, incarnation = rest
    return Member(
        node_id=node_id,
        host=host,
        port=port,
        source=PeerSource(source),
        accepted=accepted,
        confirmed=confirmed,
        retries=retries,
        witnessed=witnessed,
        heard_ms=heard_ms,
        incarnation=incarnation,
    )


def write_of(
    n: int,
    clock: int,
    key: str,
    version: int,
    value: bytes,
    stamp: int | None = None,
    flags: int = 0,
) -> Write:
    """Read one own write; nearly all have the stamp of the clock after them, and no flags."""
    return Write(clock, key, (OWN, n, clock if stamp is None else stamp, version, value, flags))


def writes_of(fields: list[Any], origins: Origins) -> Writes:
    """Read the columns of own writes."""
    first, clock, keys, stamps, versions, values, flags, contexts = fields
    numbers = range(first, first + len(keys))
    columns = (
        repeat(OWN),
        numbers,
        stamps or repeat(clock),
        versions,
        values,
        flags or repeat(0),
    )
    states: list[State] = list(zip(*columns, strict=False))
    for position, context in contexts:
        named = {origins.number(Origin(i, c)): n for i, c, n in context}
        states[position] = KeyState(siblings_of(states[position]), named)
    return Writes(first, clock, keys, states)


def arrived_of(
    payload: bytes,
    start: int,
    outlived: list[Visitor],
    whereabouts: list[Visitor],
    origins: Origins,
) -> Arrived:
    """Read the clock, and the message that begins at `start`."""
    message = decode(payload[start:])
    if not isinstance(message, Batch | SnapshotRange):
        raise StoreError(f"the log holds a {type(message).__name__} message, expected a batch")
    clock = int.from_bytes(payload[:8], "big")
    batch = message if isinstance(message, Batch) else message.batch
    return Arrived(
        clock,
        payload[start:],
        message,
        batch.arrivals(origins),
        outlived,
        whereabouts,
        REPLAYED,
        0,
    )


def decode_record(kind: int, payload: bytes, origins: Origins) -> Record:
    """Read a record of the log. Its bytes are intact, the log has checked them.

    Raises:
        StoreError: a newer version wrote a kind that this one does not know.
    """
    if kind == Kind.WRITE:
        return write_of(*msgpack.unpackb(payload))
    if kind == Kind.ARRIVED:
        return arrived_of(payload, 8, [], [], origins)
    if kind == Kind.ARRIVED_OVER:
        end = 12 + int.from_bytes(payload[8:12], "big")
        outlived, whereabouts = (
            [(key, origins.number(Origin(i, c)), n) for key, i, c, n in visitors]
            for visitors in msgpack.unpackb(payload[12:end])
        )
        return arrived_of(payload, end, outlived, whereabouts, origins)
    fields = msgpack.unpackb(payload)
    match kind:
        case Kind.WRITES:
            return writes_of(fields, origins)
        case Kind.MEMBER:
            return member_of(*fields)
        case Kind.PRUNED:
            return Pruned(*fields)
        case Kind.RELEASED:
            return Released(*fields)
        case Kind.REGISTERED:
            node_id, host, port, source = fields
            return Registered(Peer(node_id, host, port), PeerSource(source))
        case Kind.FORGOTTEN:
            return Forgotten(*fields)
        case Kind.COLLECTED:
            ranges, keys = fields
            return Collected(
                {origins.number(Origin(i, c)): pairs(flat) for i, c, flat in ranges}, keys
            )
        case Kind.COMMITTED:
            have, drops, lives = fields
            return Committed(
                {origins.number(Origin(i, c)): DotSet(b, pairs(flat)) for i, c, b, flat in have},
                [(key, origins.number(Origin(i, c)), n) for key, i, c, n in drops],
                {
                    origins.number(Origin(i, c)): list(starmap(Life, pairs(flat)))
                    for i, c, flat in lives
                },
            )
        case Kind.LIVED:
            return Lived(*fields)
        case Kind.SPLIT:
            node_id, incarnation, after, life = fields
            return Split(Origin(node_id, incarnation), after, life)
        case Kind.PLACED:
            return Placed(*fields)
        case Kind.COUNTED:
            return Counted(*fields)
        case Kind.HISTORY | Kind.ENTRIES | Kind.ROWS | Kind.LOST | Kind.TOTALS:
            return decode_part(kind, fields)
        case _:
            raise StoreError(
                f"the log holds a record of kind {kind}, which this version does not know: "
                "open it with the version that wrote it"
            )

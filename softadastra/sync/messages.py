"""What nodes say to each other. `wire.py` has the bytes.

A connection begins with a Hello each way. Then both sides send what the other lacks in
batches, acknowledge what is durable, and tell now and then what they have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from softadastra.store.changes import Arrivals, Claim
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.origins import Origin, Origins
from softadastra.store.siblings import KeyState
from softadastra.sync.columns import Columns

__all__ = [
    "PROTOCOL",
    "Ack",
    "Batch",
    "Bye",
    "Have",
    "Haves",
    "Hello",
    "Lives",
    "Message",
    "Named",
    "Ping",
    "Pong",
    "Reject",
    "RejectReason",
    "Report",
    "SnapshotBegin",
    "SnapshotCommit",
    "SnapshotRange",
]

PROTOCOL: Final = 1
"""The version of what is said here; the first element of every message."""

Haves: TypeAlias = Mapping[Origin, DotSet]

Lives: TypeAlias = Mapping[Origin, Sequence[Life]]
"""The latest lives of origins, without a gap; of those that are not named, the first one alone."""


Named: TypeAlias = Mapping[Origin, int]
"""The highest numbers that contexts name, of origins of which the sender has none as high.

So these writes were made, and it knows them to be superseded: what else is made under those
numbers, by a log that was restored, belongs to another history.
"""


class Report(NamedTuple):
    """What is known of a node that is not here."""

    age_ms: int
    """How long ago it was last heard by anybody."""
    have: Haves


class RejectReason(IntEnum):
    """Why a greeting is refused."""

    DIFFERENT_CLUSTER = 1
    PROTOCOL = 2
    UNAUTHORIZED = 3
    DUPLICATE_IDENTITY = 4
    POLICY_MISMATCH = 5
    BUSY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first message both ways on every connection."""

    protocols: tuple[int, int]
    """The lowest and the highest that the sender speaks."""
    features: frozenset[str]
    """What the sender can do beside that; those that its receiver does not know are ignored."""
    cluster: str
    node_id: str
    incarnation: int
    nonce: int
    """Drawn when the node opens: two live nodes of one name differ in it."""
    wall_ms: int
    policies: str
    """How the sender settles conflicts; both must do it alike."""
    have: Haves
    named: Named
    lives: Lives
    """Of the origins in `have` and `named`: two of each."""
    digest: bytes
    credit: int
    """How many batches the sender takes before it has acknowledged one."""
    neighbours: frozenset[str]
    """The node ids that the sender is connected to."""
    resume: tuple[int, str] | None
    """Which snapshot of the receiver's the sender has begun, and the last key that it has of it."""
    number: int
    """The Haves of this connection have the next numbers, and those of another one have others."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The greeting is refused; the connection ends."""

    reason: RejectReason
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Writes that the receiver lacks: claims, and the current state of the key of each."""

    id: int
    told: int
    """The number of what the sender had told the receiver last when it made this: its greeting, or
    a Have."""
    origins: list[Origin]
    """What the numbers in this message stand for, by position."""
    lives: list[tuple[int, Sequence[Life]]]
    """By origin: those behind what the receiver has, or the last one."""
    claims: list[Claim]
    keys: list[str]
    columns: Columns
    """Of the entries with one sibling."""
    states: list[KeyState]
    """The states of the keys behind those."""

    def arrivals(self, origins: Origins) -> Arrivals:
        """Give the content with origins by the receiver's numbers."""
        local = [origins.number(origin) for origin in self.origins]
        numbers, ns, stamps, versions, values, flags = self.columns
        ours = map(local.__getitem__, numbers)
        siblings = list(zip(ours, ns, stamps, versions, values, flags, strict=True))
        claims = [Claim(local[o], first, runs) for o, first, runs in self.claims]
        states = [
            KeyState(
                tuple((local[s[0]], *s[1:]) for s in state.siblings),
                {local[o]: n for o, n in state.context.items()},
            )
            for state in self.states
        ]
        lives = {local[o]: told for o, told in self.lives}
        return Arrivals(claims, self.keys, siblings, states, lives)


@dataclass(frozen=True, slots=True)
class Ack:
    """The batches are durable at the sender of this."""

    batches: list[int]
    have: Haves
    """Of the origins that the batches brought writes of; exact for those."""
    credit: int


@dataclass(frozen=True, slots=True)
class Have:
    """What the sender has, told now and then, so that what was dropped is found out."""

    number: int
    """One more than that of the Have before it on this connection, or of the greeting."""
    have: Haves
    named: Named
    lives: Lives
    """Of those origins: from the last one on that both know, as far as told."""
    digest: bytes
    neighbours: frozenset[str]
    known: Mapping[str, Report]
    """What other nodes have, by node id, as far as the sender knows; now and then."""


@dataclass(frozen=True, slots=True)
class SnapshotBegin:
    """A snapshot begins; what came of an earlier one is forgotten."""

    snapshot: int
    id: int
    """Acknowledged like a batch."""
    have: Haves
    """What the sender has now: H."""
    lives: Lives


@dataclass(frozen=True, slots=True)
class SnapshotRange:
    """All that the sender holds of the keys behind `after` up to `last`."""

    snapshot: int
    after: str | None
    """The `last` of the range before; None: this is the first one."""
    last: str
    is_end: bool
    """Whether no key is behind it."""
    batch: Batch
    """Its entries; it claims nothing."""

    @property
    def id(self) -> int:
        """Acknowledged like a batch."""
        return self.batch.id


@dataclass(frozen=True, slots=True)
class SnapshotCommit:
    """All ranges are durable at the receiver: now what was not in them goes."""

    snapshot: int
    id: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? `sent_ms` is the asker's monotonic clock, for the round trip."""

    sent_ms: int


@dataclass(frozen=True, slots=True)
class Pong:
    """I am; the `sent_ms` of the Ping."""

    sent_ms: int


@dataclass(frozen=True, slots=True)
class Bye:
    """The sender closes; not an error."""


Message: TypeAlias = (
    Hello
    | Reject
    | Batch
    | Ack
    | Have
    | SnapshotBegin
    | SnapshotRange
    | SnapshotCommit
    | Ping
    | Pong
    | Bye
)

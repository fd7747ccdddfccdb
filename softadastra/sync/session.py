"""One connection to one peer: what it has, what is on its way to it, and when to try again.

A slow or dead peer costs constant memory: what it lacks is a cursor, never a queue. A session
ends with its connection; the next greeting starts from what the peer then says it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from zlib import crc32

from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.lives import Life
from softadastra.sync.fields import HAVES_MAX
from softadastra.sync.messages import (
    Batch,
    Hello,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.patience import Patience
from softadastra.sync.traffic import Traffic

__all__ = [
    "BEHIND_MIN",
    "BLOCKED_MS",
    "PING_INTERVAL_MS",
    "SILENCE_MAX_MS",
    "SNAPSHOT_PARTS",
    "Flight",
    "Payload",
    "Session",
    "backoff_ms",
]

Payload: TypeAlias = Batch | SnapshotBegin | SnapshotRange | SnapshotCommit
"""What is acknowledged when it is durable."""

SNAPSHOT_PARTS: Final = (SnapshotBegin, SnapshotRange, SnapshotCommit)

PING_INTERVAL_MS: Final = 2_000
"""A peer that was silent for so long is asked. DESIGN.md section 8."""
SILENCE_MAX_MS: Final = 6_000
"""A peer that was silent for so long is lost: three pings without an answer."""
BLOCKED_MS: Final = 20
"""How long to wait when a connection is full: about what it takes to drain one batch."""
BEHIND_MIN: Final = 1_024
"""A peer is behind when it lacks more writes than this: about what one batch carries, so that less
than that waits for nobody."""
GAPS_MAX: Final = 64
"""How many gaps between the numbers of a peer's batches are remembered: a window has 4 batches."""
BACKOFF_MAX_MS: Final = 60_000
JITTER: Final = 0.2
"""Retries of many nodes must not meet: each waits up to this part longer."""


def backoff_ms(base_ms: int, attempts: int, jitter: Callable[[], float]) -> int:
    """Give how long to wait after so many attempts: doubling, with jitter, at most 60 s.

    Args:
        base_ms: the wait after the first attempt.
        attempts: how many there were, from 1.
        jitter: gives a number from 0 to 1, uniformly.
    """
    wait = min(base_ms << min(attempts - 1, 16), BACKOFF_MAX_MS)
    return min(int(wait * (1 + JITTER * jitter())), BACKOFF_MAX_MS)


@dataclass(slots=True)
class Flight:
    """A batch, or a part of a snapshot, that is sent and not acknowledged."""

    message: Payload
    covers: list[tuple[int, Range]]
    """The writes, by origin number, that the peer has when it acknowledges this."""
    writes: int
    sent_ms: int
    due_ms: int
    """When it is sent again."""
    attempts: int = 1
    """How often it has left."""


@dataclass(slots=True)
class Session:
    """A connection, from its first message to its loss."""

    link: int
    dialled: bool
    up_ms: int
    """Since when it is there."""
    heard_ms: int
    """When the peer last said anything."""
    patience: Patience
    """What is left to others, and how long."""
    hello_due: bool = False
    proved: str = ""
    """Whose key the peer has proved to have; empty without security."""
    host: str = ""
    """From where a peer has dialled; empty when this node did."""
    peer: Hello | None = None
    """Its greeting; None until it came."""
    peer_id: str = ""
    """The peer's node id; empty before its greeting."""
    known: defaultdict[int, DotSet] = field(default_factory=lambda: defaultdict(DotSet))
    """What the peer has, by origin number, as it last said."""
    sent: defaultdict[int, DotSet] = field(default_factory=lambda: defaultdict(DotSet))
    """That, and what is on its way. Invariant: contains `known`."""
    told: dict[int, DotSet] = field(default_factory=dict)
    """What the peer had, by origin number, when it told the whole of it last."""
    told_number: int = 0
    """Which number that had."""
    number_greeted: int = 0
    """Which number this node's own greeting had; 0 until it is sent."""
    number_told: int = 0
    """Which number had what this node told the peer last: its greeting, or a Have."""
    flights: dict[int, Flight] = field(default_factory=dict)
    batches_sent: int = 0
    batches_merged: DotSet = field(default_factory=DotSet)
    """Which of the peer's batches were merged here; see `merges_again`."""
    credit: int = 1
    acks_due: list[int] = field(default_factory=list)
    ack_origins: set[int] = field(default_factory=set)
    """Of which origins the peer is to be told what is here."""
    ack_ms: int | None = None
    """When it is told so without a batch of its own to acknowledge; None: it is not."""
    neighbours: frozenset[str] = frozenset()
    """To whom the peer is connected, as it last said."""
    parted_from: frozenset[str] = frozenset()
    """Of this node's neighbours those to whom the peer said that it was connected, and is not."""
    has_new_neighbours: bool = False
    """Whether this node's neighbours have changed since the peer was told who they are."""
    served_at: int | None = None
    """`Delivery.evolved` when the peer lacked nothing; None since it said anything about that."""
    behind_least: int | None = None
    """The fewest writes of others that the peer lacked since it is behind; None: it is not."""
    has_gained: bool = False
    """Whether it got writes from somebody else since that was last looked at."""
    snapshot_lacked: int | None = None
    """How many of the writes that are collected here the peer lacked when that was looked at."""
    snapshot_ms: int = 0
    """When to send a snapshot though the peer may get one from somebody else."""
    have_ms: int = 0
    """When to tell what this node has."""
    reconcile_ms: int = 0
    """Before this time unequal digests begin no other reconciliation."""
    known_ms: int = 0
    """When to tell what others have, too."""
    reports_begin: str | None = None
    """Of whom to tell first then; None: of anybody."""
    pinged_ms: int = -1
    pong_due: int | None = None
    blocked_ms: int | None = None
    """No batch leaves before: the connection was full. None: it was not."""
    unanswered_ms: int | None = None
    """Since when the oldest flight waits; None when none does."""
    skew_ms: int | None = None
    round_trip_ms: int | None = None
    """How long its last answer to a Ping took; None: it was never silent for long enough to be
    asked."""
    confirmation_ms: int | None = None
    """How long the last batch that was sent once took to be acknowledged."""
    traffic: Traffic = field(default_factory=Traffic)
    lives_told: dict[int, Sequence[Life]] = field(default_factory=dict)
    """What the peer told of the lives of origins, by number."""
    parted_ms: int | None = None
    """Since when a history here has parted from the peer's: no data until that is settled."""
    contested_ms: int | None = None
    """Since when another process of the same name is asked whether it is alive."""
    is_located: bool = False
    """Whether the process at the other end has answered at the address that people named."""
    question_ms: int = -1
    """When this one was last to be asked so."""
    answered_ms: int = -1
    """When the last PING left that the peer has answered."""

    @property
    def has_told(self) -> bool:
        """Whether the peer has told anything since its greeting."""
        return self.peer is not None and self.told_number > self.peer.number

    def is_of_this(self, number: int) -> bool:
        """Whether a number that a message names is one of this connection: not of an earlier one.

        A carrier that gives a frame of an earlier connection again must not do harm. What was told
        since says nothing of the state in such a batch: a write that it lacks would be taken for
        superseded, and be lost.
        """
        return self.peer is not None and 0 <= number - self.peer.number <= HAVES_MAX

    @property
    def is_active(self) -> bool:
        """Whether both have greeted."""
        return self.peer is not None

    @property
    def peer_nonce(self) -> int | None:
        """Of the process that has greeted; None before that."""
        return self.peer.nonce if self.peer else None

    @property
    def connection(self) -> str:
        """A name of this connection that both ends make alike, for people, once both have greeted.

        The numbers of two greetings never meet again; who dialled has the first one.
        """
        numbers = [self.number_greeted, self.peer.number if self.peer else 0]
        dialler, listener = numbers if self.dialled else reversed(numbers)
        return f"{crc32(dialler.to_bytes(8, 'big') + listener.to_bytes(8, 'big')):08x}"

    def merges_again(self, batch_id: int) -> bool:
        """Note that a batch of the peer's was merged, and give whether it was before.

        Batches come in their order, but for resends, so this is about one number. What a peer makes
        of it that numbers them at random has a limit: then a first one may be taken for a second.
        """
        merged = self.batches_merged
        is_again = batch_id in merged
        merged.add(batch_id, batch_id)
        if len(merged.above) > GAPS_MAX:
            merged.add(1, merged.above[0][1])
        return is_again

    @property
    def ping_ms(self) -> int:
        """When the peer is asked, unless it says something before."""
        if self.pinged_ms < self.question_ms:
            return self.question_ms
        return max(self.heard_ms, self.pinged_ms) + PING_INTERVAL_MS

    def greet(self, hello: Hello, wall_ms: int) -> None:
        """Take in the peer's greeting; one that dialled us is owed ours."""
        self.hello_due = self.hello_due or (self.peer is None and not self.dialled)
        if self.peer is None:
            self.told_number = hello.number
        self.peer = hello
        self.peer_id = hello.node_id
        self.credit = hello.credit
        self.neighbours = hello.neighbours
        self.skew_ms = hello.wall_ms - wall_ms

    def hear_neighbours(self, neighbours: frozenset[str], present: Container[str]) -> None:
        """Take in to whom the peer is connected.

        Args:
            neighbours: their names.
            present: to whom this node is.
        """
        gone = (self.parted_from | self.neighbours) - neighbours
        self.parted_from = frozenset(name for name in gone if name in present)
        self.neighbours = neighbours

    def hear_have(self, number: int, had: dict[int, DotSet]) -> None:
        """Take the whole of what the peer says that it has; an earlier one may come late."""
        if number >= self.told_number:
            if number > self.told_number and not self.has_told:
                # Only now it is known who else brings it what it lacks.
                self.patience.clear()
                self.snapshot_lacked = None
            self.told_number = number
            self.told = {origin: dots.copy() for origin, dots in had.items()}

    def hear_arrivals(self, had: Mapping[int, DotSet]) -> None:
        """Take in that something has come to the peer, and what it now has of its origins.

        What it had before comes again with a snapshot: so it is getting one.
        """
        if any(self.known.get(origin) == dots for origin, dots in had.items()):
            self.snapshot_lacked = None

    def tell_arrivals_by(self, origins: Iterable[int], due_ms: int) -> None:
        """Let the peer be told by this time what this node has of some origins."""
        self.ack_origins.update(origins)
        self.ack_ms = due_ms if self.ack_ms is None else min(self.ack_ms, due_ms)

    def tell_have_by(self, due_ms: int) -> None:
        """Let the peer be told what this node has by this time."""
        self.have_ms = min(self.have_ms, due_ms)

    def learn(self, origin: int, dots: DotSet) -> None:
        """Take what the peer says that it has of an origin: it is believed, also if it is less."""
        sent = self.sent[origin]
        if dots.base > sent.base or dots.top > sent.top:
            # It gets these writes from elsewhere.
            self.patience.gained(origin, self.heard_ms)
            self.has_gained = True
        self.known[origin] = dots
        self.served_at = None
        sent = dots.copy()
        for flight in self.flights.values():
            for number, (first, last) in flight.covers:
                if number == origin:
                    sent.add(first, last)
        self.sent[origin] = sent

    def note_lacked(self, writes: int) -> None:
        """Take in how many writes of others than this node the peer lacks.

        It is behind until it lacks none: else the last of what one of its neighbours sends would
        come from all of them. While somebody brings it nearer, who waits goes on waiting.
        """
        if self.behind_least is None:
            self.behind_least = writes if writes > BEHIND_MIN else None
        elif not writes:
            self.behind_least = None
        elif writes < self.behind_least:
            if self.has_gained:
                self.patience.clear()
            self.behind_least = writes
        self.has_gained = False

    def holds(self, origin: int, first: int, last: int) -> None:
        """Take in that the peer has these writes: it sent them."""
        self.known[origin].add(first, last)
        self.sent[origin].add(first, last)

    def launch(self, flight: Flight) -> None:
        """Note a batch that leaves now."""
        self.batches_sent += 1
        self.traffic.batches_out += 1
        self.traffic.writes_out += flight.writes
        self.flights[flight.message.id] = flight
        for origin, (first, last) in flight.covers:
            self.sent[origin].add(first, last)
        if self.unanswered_ms is None:
            self.unanswered_ms = flight.sent_ms

    def withdraw(self, batch_id: int, now_ms: int) -> None:
        """Take back a batch that the connection did not take; its writes are sent again soon.

        Without acknowledgements it counts as landed already. Then what else is on its way and not
        confirmed is sent again with it.
        """
        flight = self.flights.pop(batch_id, None)
        covers = {number for number, _ in flight.covers} if flight else list(self.sent)
        for origin in covers:
            self.learn(origin, self.known[origin])
        self.blocked_ms = now_ms + BLOCKED_MS

    def hold_back(self, part_id: int, now_ms: int) -> None:
        """Note that a connection was full and did not take a part of a snapshot: it leaves soon."""
        flight = self.flights.get(part_id)
        if flight is not None:
            flight.attempts -= 1
            flight.due_ms = now_ms + BLOCKED_MS
        self.blocked_ms = now_ms + BLOCKED_MS

    def abandon_snapshot(self) -> None:
        """Let go what is on its way of a snapshot that is served no more: nobody waits for it."""
        self.flights = {i: f for i, f in self.flights.items() if isinstance(f.message, Batch)}
        if not self.flights:
            self.unanswered_ms = None

    def is_blocked(self, now_ms: int) -> bool:
        """Whether the connection was full a moment ago."""
        if self.blocked_ms is not None and now_ms >= self.blocked_ms:
            self.blocked_ms = None
        return self.blocked_ms is not None

    def land(self, batch_ids: Iterable[int], now_ms: int) -> list[Flight]:
        """Note that batches are durable at the peer.

        Returns:
            Those that were in flight; the others were acknowledged before.
        """
        popped = [self.flights.pop(batch_id, None) for batch_id in batch_ids]
        landed = [flight for flight in popped if flight is not None]
        if landed:
            self.unanswered_ms = now_ms if self.flights else None
        return landed

    def land_measured(self, batch_ids: Iterable[int], now_ms: int) -> list[Flight]:
        """Land what was acknowledged; of what left twice nobody knows how long it took."""
        landed = self.land(batch_ids, now_ms)
        for flight in landed:
            if flight.attempts == 1:
                self.confirmation_ms = now_ms - flight.sent_ms
                self.patience.measured(self.confirmation_ms)
        return landed

    def hear_pong(self, sent_ms: int, now_ms: int) -> None:
        """Take in an answer to a Ping; only the last one was sent at a time that counts."""
        if sent_ms <= self.pinged_ms:
            self.answered_ms = max(self.answered_ms, sent_ms)
        if sent_ms == self.pinged_ms:
            self.round_trip_ms = now_ms - sent_ms

    def arrived(self) -> list[int]:
        """Give the batches in flight of which the peer has everything, acknowledged or not."""
        return [
            flight.message.id
            for flight in self.flights.values()
            if flight.covers
            and not any(
                True
                for origin, covered in flight.covers
                for _ in subtract([covered], self.known[origin])
            )
        ]

    @property
    def oldest_sent_ms(self) -> int | None:
        """When the oldest flight left; None: there is none."""
        return min((flight.sent_ms for flight in self.flights.values()), default=None)

    def flying(self, origin: int) -> Iterator[Range]:
        """Give the writes of an origin that are sent and unconfirmed."""
        for flight in self.flights.values():
            yield from (covered for number, covered in flight.covers if number == origin)

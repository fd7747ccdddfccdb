"""The replication engine: what happens comes in, records and messages go out.

The rules that everything rests on:

 1. A message is made from evolved state, and state evolves from durable records: so an ACK or
    a batch never speaks of what this node could lose. `receive` gives a record, not an answer;
    the answer is in the `poll` that follows its `evolve`.
 2. What a peer lacks is `mine.have - theirs`, at each moment, by cursors. Nothing is queued for
    it, and nothing is given up: a peer that does not answer is asked again, more and more
    rarely, and what it says when it comes back is believed.
 3. Own writes go out at once. Others' writes are relayed at once to a peer that cannot have
    them from their origin, and after a delay to one that is connected to it.

Not thread-safe: the driver calls it under one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from softadastra.store.clock import observed
from softadastra.store.dots import DotSet, Range
from softadastra.store.origins import Origin
from softadastra.store.replica import Arrivals, Replica, Writes
from softadastra.store.siblings import siblings_of
from softadastra.sync.batches import Limits, build_batch, missing
from softadastra.sync.dialing import Attempt, Dialer
from softadastra.sync.greeting import Refusal, check_greeting
from softadastra.sync.members import Member
from softadastra.sync.messages import (
    Ack,
    Batch,
    Bye,
    Have,
    Haves,
    Hello,
    Message,
    Ping,
    Pong,
    Reject,
)
from softadastra.sync.notices import Level, Notice
from softadastra.sync.records import Arrived, Forgotten, Pruned, Record, Released
from softadastra.sync.session import (
    PING_INTERVAL_MS,
    SILENCE_MAX_MS,
    Flight,
    Session,
    backoff_ms,
)
from softadastra.types import Peer, PeerSource

__all__ = ["Engine", "EngineOptions", "Now", "Output", "Push"]

GREETING_MAX_MS: Final = 5_000
"""A connection without a greeting is dropped after so long. DESIGN.md section 8."""
HAVE_INTERVAL_MS: Final = 30_000
"""Anti-entropy: how often peers tell what they have when nothing changes."""
HAVE_TICKS: Final = 5
"""How many tick intervals arrivals gather before neighbours of their origin are told."""
RELAY_TICKS: Final = 20
"""How many tick intervals a peer has to get writes from their origin before we relay them:
longer than it takes it to tell us that it got them."""


class Now(NamedTuple):
    """Both clocks: the monotonic one for deadlines, the wall clock for stamps."""

    mono_ms: int
    wall_ms: int


class Push(Enum):
    """What data may leave at a poll."""

    NOTHING = 1
    OVERDUE = 2
    """Batches whose acknowledgement is overdue."""
    ALL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """The settings of the engine; see ClientOptions for what they mean."""

    cluster: str
    batch: Limits
    window: int
    max_retries: int
    retry_interval_ms: int
    ack_timeout_ms: int
    tick_interval_ms: int
    require_ack: bool
    auto_queue: bool


class Output(NamedTuple):
    """What is to be done now, in this order."""

    drops: list[int]
    sends: list[tuple[int, Message]]
    launched: list[tuple[int, Range]]
    """The writes, by origin number, that the batches among `sends` cover for the first time."""
    retried: int
    """Writes in batches that are sent again."""


class Engine:
    """One node's side of the replication with all its peers.

    Args:
        replica: the node's data.
        options: settings.
        nonce: drawn when the node opens.
        jitter: gives a number from 0 to 1, uniformly.
    """

    def __init__(
        self,
        replica: Replica,
        options: EngineOptions,
        *,
        nonce: int,
        jitter: Callable[[], float],
    ) -> None:
        self.replica = replica
        self.options = options
        self.members: dict[str, Member] = {}
        self.floor = 0
        self.released = 0
        """Own writes up to this one may be sent, when `auto_queue` is off."""
        self.forgotten_retries = 0
        self.sessions: dict[int, Session] = {}
        self.active: dict[str, int] = {}
        """Node id -> the one connection that carries the sync with it."""
        self.faulted: set[str] = set()
        self.heard_wall_ms: dict[str, int] = {}
        self.dialer = Dialer(retry_max_ms=options.retry_interval_ms, jitter=jitter)
        self.notices: list[Notice] = []
        self.traced = False
        """Whether anybody wants notices of level DEBUG."""
        self.marked: dict[str, None] = {}
        """Members that changed and are to be remembered, without a sync of their own."""
        self._drops: list[int] = []
        self._farewells: list[tuple[int, Message]] = []
        self._nonce = nonce
        self._jitter = jitter

    # What this node may send of its own.

    @property
    def last_sendable(self) -> int:
        """The last own write that may be sent."""
        return self.replica.top if self.options.auto_queue else self.released

    def confirmed(self, node_id: str) -> int:
        """Give up to which own write a member counts as served."""
        if not self.options.require_ack and (link := self.active.get(node_id)) is not None:
            return self.sessions[link].sent[self.replica.me].base
        return self.members[node_id].confirmed

    # Records.

    def evolve(self, record: Record, now: Now) -> None:
        """Change the state by a durable record; recovery calls it over the log."""
        match record:
            case Writes():
                self.replica.evolve_writes(record)
            case Arrived():
                self._evolve_arrived(record, now)
            case Member():
                self.members[record.node_id] = record
            case Pruned():
                self.floor = record.floor
            case Released():
                self.released = record.n
            case Forgotten():
                member = self.members.pop(record.node_id, None)
                self.forgotten_retries += member.retries if member else 0

    def _evolve_arrived(self, record: Arrived, now: Now) -> None:
        arrivals = record.arrivals
        merged = self.replica.evolve_arrivals(arrivals)
        self.replica.clock = max(self.replica.clock, record.clock)
        session = None if record.link is None else self.sessions.get(record.link)
        if session is None or session.peer is None:
            return
        session.acks_due.append(record.batch_id)
        for origin, dots in covered(arrivals):
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        self._plan_have(session, now)
        origins = self.replica.origins
        for conflict in merged.conflicts:
            losers = [f"{origins[s[0]].node_id}-{s[1]}" for s in conflict.losers]
            fields: dict[str, object] = {"key": conflict.key, "losers": losers}
            self._note(Level.INFO, "conflict.resolved", fields)
        if self.traced:
            self._note(
                Level.DEBUG,
                "batch.merged",
                {
                    "peer": session.peer.node_id,
                    "batch": record.batch_id,
                    "entries": len(arrivals.keys),
                    "applied": merged.applied,
                    "sync_ids": sync_ids(origins.__getitem__, covered(arrivals)),
                },
            )

    def _plan_have(self, source: Session, now: Now) -> None:
        """Tell those who may get the same writes from their origin that we have them now."""
        due = now.mono_ms + HAVE_TICKS * self.options.tick_interval_ms
        names = {self.replica.origins[number].node_id for number in source.ack_origins}
        for session in self.sessions.values():
            if session is not source and names & session.neighbours:
                session.have_ms = min(session.have_ms, due)

    # Connections.

    def link_up(self, link: int, *, dialled: bool, now: Now) -> None:
        """A connection works; its greeting is to come."""
        self.sessions[link] = Session(link, dialled, now.mono_ms, hello_due=dialled)

    def link_down(self, link: int, reason: str, now: Now) -> None:
        """A connection failed or ended. What it carried is sent again on the next one."""
        session = self.sessions.pop(link, None)
        was_active = session is not None and session.is_active
        attempt = self.dialer.of_link(link)
        if attempt is not None:
            self.dialer.lost(attempt, reason, now.mono_ms, was_connected=was_active)
            if not was_active:
                peer = attempt.peer.node_id
                self._note(Level.DEBUG, "dial.failed", {"peer": peer, "reason": reason})
        if session is None or session.peer is None:
            return
        node_id = session.peer.node_id
        if self.active.get(node_id) != link:
            return
        others = [s.link for s in self.sessions.values() if s.is_active and s.peer_id == node_id]
        if others:
            self.active[node_id] = others[-1]
            return
        del self.active[node_id]
        self._neighbours_changed(now)
        self._note(Level.INFO, "peer.lost", {"peer": node_id, "reason": reason})

    def _drop(self, session: Session, reason: str, now: Now, farewell: Message | None) -> None:
        if farewell is not None:
            self._farewells.append((session.link, farewell))
        self._drops.append(session.link)
        self.link_down(session.link, reason, now)

    def close(self, now: Now) -> None:
        """Take leave of every peer; the next poll has the messages."""
        for session in list(self.sessions.values()):
            self._drop(session, "closed here", now, Bye() if session.is_active else None)

    # Messages.

    def receive(self, link: int, message: Message, payload: bytes, now: Now) -> Arrived | None:
        """Take in a message.

        Returns:
            The record that is to be made durable and evolved before anything is answered.
        """
        session = self.sessions.get(link)
        if session is None:
            return None
        session.heard_ms = now.mono_ms
        if isinstance(message, Hello):
            self._greeted(session, message, now)
            return None
        if session.peer is None:
            if isinstance(message, Reject):
                self._rejected(session, message, now)
            else:
                self._refuse(session, f"{type(message).__name__} before the greeting", now)
            return None
        self.heard_wall_ms[session.peer.node_id] = now.wall_ms
        match message:
            case Batch():
                return self._received_batch(session, message, payload, now)
            case Ack():
                self._acknowledged(session, message, now)
            case Have():
                self._told(session, message, now)
            case Ping():
                session.pong_due = message.sent_ms
            case Pong():
                pass
            case Reject():
                self._rejected(session, message, now)
            case Bye():
                self._drop(session, "closed by the peer", now, None)
        return None

    def _greeted(self, session: Session, hello: Hello, now: Now) -> None:
        attempt = self.dialer.of_link(session.link)
        refusal = check_greeting(
            hello,
            cluster=self.options.cluster,
            node_id=self.replica.node_id,
            incarnation=self.replica.origins[self.replica.me].incarnation,
            top=self.replica.top,
            expected=attempt.peer.node_id if attempt else None,
        )
        if refusal is not None:
            self._refuse(session, refusal.words, now, refusal)
            return
        session.hello_due = session.peer is None and not session.dialled
        session.peer = hello
        session.credit = hello.credit
        session.neighbours = hello.neighbours
        session.skew_ms = hello.wall_ms - now.wall_ms
        session.have_ms = self._next_have_ms(now)
        self.heard_wall_ms[hello.node_id] = now.wall_ms
        self.faulted.discard(hello.node_id)
        member = self.members.get(hello.node_id)
        if member is None:
            member = Member(node_id=hello.node_id, source=PeerSource.INBOUND)
        if not member.accepted:
            self.members[hello.node_id] = replace(member, accepted=True)
            self.marked[hello.node_id] = None
        self._learn(session, hello.have, complete=True)
        if attempt is not None:
            self.dialer.connected(attempt)
        self._elect(session, now)
        self._compare(session, hello.have, hello.digest)

    def _elect(self, session: Session, now: Now) -> None:
        """Choose the one connection for a peer: when both dialled, that of the smaller node id."""
        assert session.peer is not None
        node_id = session.peer.node_id
        rival = self.sessions.get(self.active.get(node_id, -1))
        if rival is session:
            return
        if rival is not None and rival.peer is not None:
            same_process = rival.peer.nonce == session.peer.nonce
            ours_first = self.replica.node_id < node_id
            if same_process and rival.dialled != session.dialled and rival.dialled == ours_first:
                # Its dialler finds out by the same rule and closes it.
                if session.dialled:
                    self._drop(session, "connected the other way", now, None)
                return
            self.active[node_id] = session.link
            if rival.dialled or rival.dialled == session.dialled or not same_process:
                self._drop(rival, "connected anew", now, None)
            return
        self.active[node_id] = session.link
        self._neighbours_changed(now)
        self._note(
            Level.INFO,
            "peer.connected",
            {
                "peer": node_id,
                "dialled": session.dialled,
                "clock_skew_ms": session.skew_ms,
                "lag": self.replica.top - session.known[self.replica.me].base,
            },
        )

    def _neighbours_changed(self, now: Now) -> None:
        due = now.mono_ms + HAVE_TICKS * self.options.tick_interval_ms
        for session in self.sessions.values():
            session.have_ms = min(session.have_ms, due)

    def _rejected(self, session: Session, reject: Reject, now: Now) -> None:
        words = f"rejected: {reject.reason.name.lower()}: {reject.words}"
        attempt = self.dialer.of_link(session.link)
        peer = attempt.peer.node_id if attempt else session.peer_id
        self._note(Level.WARNING, "peer.rejected", {"peer": peer, "reason": words})
        self._drop(session, words, now, None)

    def _refuse(
        self, session: Session, words: str, now: Now, refusal: Refusal | None = None
    ) -> None:
        attempt = self.dialer.of_link(session.link)
        peer = attempt.peer.node_id if attempt else session.peer_id
        self._note(Level.WARNING, "peer.refused", {"peer": peer, "reason": words})
        farewell = Reject(refusal.reason, refusal.words) if refusal else None
        self._drop(session, words, now, farewell)

    def refuse(self, link: int, words: str, now: Now) -> None:
        """Drop a connection whose peer sent what it must not."""
        session = self.sessions.get(link)
        if session is not None:
            self._refuse(session, words, now)

    def _received_batch(
        self, session: Session, batch: Batch, payload: bytes, now: Now
    ) -> Arrived | None:
        arrivals = batch.arrivals(self.replica.origins)
        me, top = self.replica.me, self.replica.top
        stamps = list(batch.columns[2])
        for state in arrivals.states:
            stamps += [sibling[2] for sibling in state.siblings]
        if any(origin == me and dots.top > top for origin, dots in covered(arrivals)):
            self._refuse(session, "a batch claims writes of this node that it never made", now)
            return None
        clock = observed(self.replica.clock, max(stamps, default=0), now.wall_ms)
        return Arrived(clock, payload, arrivals, session.link, batch.id)

    def _acknowledged(self, session: Session, ack: Ack, now: Now) -> None:
        session.credit = ack.credit
        peer = session.peer_id
        landed = session.land(ack.batches, now.mono_ms)
        self._learn(session, ack.have, complete=False)
        self._recovered(peer)
        if self.traced:
            fields: dict[str, object] = {"peer": peer, "batches": ack.batches, "landed": landed}
            self._note(Level.DEBUG, "batch.acknowledged", fields)

    def _recovered(self, peer: str) -> None:
        if peer in self.faulted:
            self.faulted.discard(peer)
            self._note(Level.INFO, "peer.recovered", {"peer": peer})

    def _told(self, session: Session, told: Have, now: Now) -> None:
        session.neighbours = told.neighbours
        self._learn(session, told.have, complete=True)
        if session.land(session.arrived(), now.mono_ms):
            self._recovered(session.peer_id)
        self._compare(session, told.have, told.digest)

    def _learn(self, session: Session, have: Haves, *, complete: bool) -> None:
        """Take what a peer says that it has; it is believed, also when it is less than before."""
        number = self.replica.origins.number
        said = {number(origin): dots for origin, dots in have.items()}
        if complete:
            for origin in session.known.keys() - said.keys():
                session.learn(origin, DotSet())
        for origin, dots in said.items():
            session.learn(origin, dots)
        member = self.members[session.peer_id]
        base = session.known[self.replica.me].base
        if base != member.confirmed:
            self.members[session.peer_id] = replace(member, confirmed=base)
            self.marked[session.peer_id] = None

    def _compare(self, session: Session, have: Haves, digest: bytes) -> None:
        """Two nodes that have the same writes and not the same state must find it out."""
        if digest == self.replica.digest or have != self.have():
            return
        fields: dict[str, object] = {"peer": session.peer_id}
        fields |= {"ours": self.replica.digest.hex(), "theirs": digest.hex()}
        self._note(Level.ERROR, "digest.differed", fields)

    # Output.

    def have(self, only: Iterable[int] | None = None) -> Haves:
        """Give what this node has, as a message says it."""
        origins = self.replica.origins
        return {
            origins[number]: DotSet(log.base, log.ranges_beyond())
            for number, log in self.replica.haves()
            if only is None or number in only
        }

    def poll(self, now: Now, push: Push) -> Output:
        """Give what is to be done now: at most one new batch a peer, so poll until it is empty."""
        for session in list(self.sessions.values()):
            limit = SILENCE_MAX_MS if session.is_active else GREETING_MAX_MS
            if now.mono_ms - session.heard_ms >= limit:
                self._drop(session, "silent", now, None)
        output = Output(self._drops, self._farewells, [], 0)
        self._drops, self._farewells = [], []
        retried = 0
        for session in self.sessions.values():
            retried += self._poll_session(session, now, push, output)
        return output._replace(retried=retried)

    def _poll_session(self, session: Session, now: Now, push: Push, output: Output) -> int:
        def send(message: Message) -> None:
            output.sends.append((session.link, message))

        if session.hello_due:
            session.hello_due = False
            send(self._hello(now))
        if session.peer is None:
            return 0
        if session.acks_due:
            have = self.have(session.ack_origins)
            send(Ack(session.acks_due, have, self.options.window))
            session.acks_due, session.ack_origins = [], set()
        if session.pong_due is not None:
            send(Pong(session.pong_due))
            session.pong_due = None
        retried = 0
        if self.active.get(session.peer_id) == session.link:
            if push is not Push.NOTHING:
                retried = self._resend(session, now, send)
            if push is Push.ALL:
                self._send_batch(session, now, send, output.launched)
            if now.mono_ms >= session.have_ms:
                session.have_ms = self._next_have_ms(now)
                send(Have(self.have(), self.replica.digest, frozenset(self.active)))
        last = max(session.heard_ms, session.pinged_ms)
        if now.mono_ms - last >= PING_INTERVAL_MS:
            session.pinged_ms = now.mono_ms
            send(Ping(now.mono_ms))
        return retried

    def _hello(self, now: Now) -> Hello:
        origin: Origin = self.replica.origins[self.replica.me]
        return Hello(
            cluster=self.options.cluster,
            node_id=origin.node_id,
            incarnation=origin.incarnation,
            nonce=self._nonce,
            wall_ms=now.wall_ms,
            have=self.have(),
            digest=self.replica.digest,
            credit=self.options.window,
            neighbours=frozenset(self.active),
        )

    def _resend(self, session: Session, now: Now, send: Callable[[Message], None]) -> int:
        retried = 0
        for flight in session.flights.values():
            if flight.due_ms > now.mono_ms:
                continue
            interval = self.options.retry_interval_ms
            flight.due_ms = now.mono_ms + backoff_ms(interval, flight.attempts, self._jitter)
            flight.attempts += 1
            retried += flight.writes
            member = self.members[session.peer_id]
            self.members[session.peer_id] = replace(member, retries=member.retries + 1)
            self.marked[session.peer_id] = None
            fields: dict[str, object] = {"peer": session.peer_id, "batch": flight.batch.id}
            self._note(Level.INFO, "batch.retried", fields | {"attempt": flight.attempts})
            if flight.attempts > self.options.max_retries and session.peer_id not in self.faulted:
                self.faulted.add(session.peer_id)
                self._note(Level.WARNING, "peer.faulted", fields | {"attempts": flight.attempts})
            send(flight.batch)
        return retried

    def _send_batch(
        self,
        session: Session,
        now: Now,
        send: Callable[[Message], None],
        launched: list[tuple[int, Range]],
    ) -> None:
        window = min(self.options.window, session.credit)
        if len(session.flights) >= window or session.peer_id in self.faulted:
            return
        load = build_batch(
            self.replica,
            self._wanted(session, now),
            batch_id=session.batches_sent + 1,
            limits=self.options.batch,
            withheld=self._is_withheld,
        )
        if load is None:
            return
        session.batches_sent += 1
        wait = min(self.options.retry_interval_ms, self.options.ack_timeout_ms)
        flight = Flight(load.batch, load.covers, load.writes, now.mono_ms, now.mono_ms + wait)
        session.launch(flight)
        if not self.options.require_ack:
            session.land([load.batch.id], now.mono_ms)
        launched += load.covers
        if self.traced:
            dots: dict[int, DotSet] = {}
            for origin, (first, last) in load.covers:
                dots.setdefault(origin, DotSet()).add(first, last)
            fields: dict[str, object] = {"peer": session.peer_id, "batch": load.batch.id}
            fields["sync_ids"] = sync_ids(self.replica.origins.__getitem__, dots.items())
            self._note(Level.DEBUG, "batch.sent", fields)
        send(load.batch)

    def _wanted(self, session: Session, now: Now) -> Iterator[tuple[int, Range]]:
        """Give the writes that the peer lacks and that are due, own ones first."""
        me, relay_ms = self.replica.me, session.relay_ms
        for number, log in self.replica.haves():
            last = self.last_sendable if number == me else None
            for found in missing(log, session.sent[number], last):
                node_id = self.replica.origins[number].node_id
                if number != me and node_id in session.neighbours and node_id != session.peer_id:
                    wait = RELAY_TICKS * self.options.tick_interval_ms
                    if now.mono_ms < relay_ms.setdefault(number, now.mono_ms + wait):
                        break
                yield number, found
            else:
                relay_ms.pop(number, None)

    def _is_withheld(self, key: str) -> bool:
        if self.options.auto_queue or self.released >= self.replica.top:
            return False
        me, released = self.replica.me, self.released
        return any(s[0] == me and s[1] > released for s in siblings_of(self.replica.entries[key]))

    def _next_have_ms(self, now: Now) -> int:
        return now.mono_ms + int(HAVE_INTERVAL_MS * (0.7 + 0.6 * self._jitter()))

    def deadline(self, push: Push) -> int | None:
        """Give the monotonic time of the next poll that will have something to do."""
        times: list[int] = []
        for session in self.sessions.values():
            if not session.is_active:
                times.append(session.heard_ms + GREETING_MAX_MS)
                continue
            last = max(session.heard_ms, session.pinged_ms)
            times += [session.heard_ms + SILENCE_MAX_MS, last + PING_INTERVAL_MS]
            if self.active.get(session.peer_id) == session.link:
                times.append(session.have_ms)
                if push is Push.ALL:
                    times += session.relay_ms.values()
                    times += (flight.due_ms for flight in session.flights.values())
        return min(times, default=None)

    # Members and addresses.

    def register(self, peer: Peer, source: PeerSource, now: Now) -> Member | None:
        """Dial an address from now on.

        Returns:
            The member record to remember it by; None when it is remembered already.
        """
        self.dialer.add(peer, now.mono_ms)
        known = self.members.get(peer.node_id) or Member(node_id=peer.node_id)
        member = replace(known, host=peer.host, port=peer.port, source=source)
        return None if self.members.get(peer.node_id) == member else member

    def disconnect(self, node_id: str, now: Now) -> None:
        """Stop dialling a peer and end the connection with it."""
        attempt: Attempt | None = self.dialer.attempts.get(node_id)
        self.dialer.remove(node_id)
        if attempt is not None and attempt.link is not None and attempt.link not in self.sessions:
            self._drops.append(attempt.link)
        for session in [s for s in self.sessions.values() if s.peer_id == node_id]:
            self._drop(session, "disconnected here", now, Bye())

    def requeue_failed(self, now: Now) -> None:
        """Try faulted peers again at once."""
        self.faulted.clear()
        for session in self.sessions.values():
            for flight in session.flights.values():
                flight.attempts = 1
                flight.due_ms = now.mono_ms

    def _note(self, level: Level, event: str, fields: dict[str, object]) -> None:
        if level > Level.DEBUG or self.traced:
            self.notices.append(Notice(level, event, fields))


def covered(arrivals: Arrivals) -> list[tuple[int, DotSet]]:
    """Give the writes that a batch brings, by origin number: claimed, and of its siblings."""
    dots: dict[int, DotSet] = {}
    for origin, first, runs in arrivals.claims:
        count = sum(run[0] for run in runs)
        dots.setdefault(origin, DotSet()).add(first, first + count - 1)
    for sibling in arrivals.siblings:
        origin, n = sibling[0], sibling[1]
        have = dots.setdefault(origin, DotSet())
        if n > have.base and n not in have:
            have.add(n, n)
    for state in arrivals.states:
        for origin, n, *_ in state.siblings:
            dots.setdefault(origin, DotSet()).add(n, n)
    return list(dots.items())


def sync_ids(origin: Callable[[int], Origin], dots: Iterable[tuple[int, DotSet]]) -> list[str]:
    """Name writes for people, ranges as "node-a-1..64"."""
    return [
        f"{origin(number).node_id}-{first}" + (f"..{last}" if last > first else "")
        for number, have in dots
        for first, last in have.ranges()
    ]

"""The replication engine: what happens comes in, records and messages go out.

The rules that everything rests on:

 1. A message is made from evolved state, and state evolves from durable records: so an ACK or
    a batch never speaks of what this node could lose. `receive` gives a record, not an answer;
    the answer is in the `poll` that follows its `evolve`.
 2. What a peer lacks is `mine.have - theirs`, at each moment, by cursors. Nothing is queued for
    it, and nothing is given up: a peer that does not answer is asked again, more and more
    rarely, and what it says when it comes back is believed.

Not thread-safe: the driver calls it under one lock.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from enum import Enum
from typing import Final, NamedTuple

from softadastra.store.clock import observed
from softadastra.store.dots import DotSet, Range
from softadastra.store.replica import Merged, Replica, Writes
from softadastra.store.siblings import siblings_of
from softadastra.sync.batches import covered
from softadastra.sync.connections import Connections
from softadastra.sync.delivery import Delivery, sync_ids
from softadastra.sync.dialing import Dialer
from softadastra.sync.greeting import Refusal, check_greeting
from softadastra.sync.members import Member, Members
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
from softadastra.sync.notices import Level, Notices
from softadastra.sync.records import Arrived, Forgotten, Pruned, Record, Released
from softadastra.sync.session import SILENCE_MAX_MS, Session
from softadastra.sync.settings import EngineOptions, Now
from softadastra.types import Peer, PeerSource

__all__ = ["Engine", "Output", "Push"]

GREETING_MAX_MS: Final = 5_000
"""A connection without a greeting is dropped after so long."""
HAVE_INTERVAL_MS: Final = 30_000
"""Anti-entropy: how often peers tell what they have when nothing changes, +-30 %."""


class Push(Enum):
    """What data may leave at a poll."""

    NOTHING = 1
    OVERDUE = 2
    """Batches whose acknowledgement is overdue."""
    ALL = 3


class Output(NamedTuple):
    """What is to be done now: the sends, then the drops."""

    sends: list[tuple[int, Message]]
    drops: list[int]
    launched: list[tuple[int, Range]]
    """The writes, by origin number, that the batches among the sends bring for the first time."""
    batches: int
    """How many batches are among the sends."""
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
        self.floor = 0
        """Own writes up to this one were pruned from the outbox."""
        self.heard_wall_ms: dict[str, int] = {}
        self.members = Members()
        self.notices = Notices()
        self.dialer = Dialer(retry_max_ms=options.retry_interval_ms, jitter=jitter)
        self.connections = Connections(
            replica.node_id,
            self.dialer,
            self.notices,
            tick_interval_ms=options.tick_interval_ms,
        )
        self.delivery = Delivery(replica, self.members, options, self.notices, jitter)
        self._nonce = nonce
        self._jitter = jitter

    def served(self, member: Member) -> int:
        """Give up to which own write a member counts as served."""
        session = self.connections.of_peer(member.node_id)
        if session is not None and not self.options.require_ack:
            return session.sent[self.replica.me].base
        return member.confirmed

    # Records.

    def evolve(self, record: Record) -> None:
        """Change the state by a durable record; recovery calls it over the log."""
        match record:
            case Writes():
                self.replica.evolve_writes(record)
            case Arrived():
                self._evolve_arrived(record)
            case Member():
                self.members.restore(record)
            case Pruned():
                self.floor = record.floor
            case Released():
                self.delivery.released = record.n
            case Forgotten():
                self.members.forget(record.node_id)

    def _evolve_arrived(self, record: Arrived) -> None:
        merged = self.replica.evolve_arrivals(record.arrivals)
        self.replica.clock = max(self.replica.clock, record.clock)
        session = self.connections.sessions.get(record.link)
        if session is None:
            return
        session.acks_due.append(record.batch_id)
        origins = self.replica.origins
        brought = covered(record.arrivals)
        for origin, dots in brought.items():
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        writers = frozenset(origins[origin].node_id for origin in brought)
        self.connections.arrivals_from(session, writers, record.received_ms)
        self._tell_merged(session.peer_id, record.batch_id, brought, merged)

    def _tell_merged(
        self, peer: str, batch_id: int, brought: dict[int, DotSet], merged: Merged
    ) -> None:
        origins, note = self.replica.origins, self.notices.note
        for key, loser, winner in merged.lost:
            names = [f"{origins[s[0]].node_id}-{s[1]}" for s in (loser, winner)]
            note(Level.INFO, "conflict.lost", key=key, sync_id=names[0], winner=names[1])
        for key in merged.keys if self.replica.conflicted else ():
            if key in self.replica.conflicted:
                names = [
                    f"{origins[s[0]].node_id}-{s[1]}"
                    for s in siblings_of(self.replica.entries[key])
                ]
                note(Level.INFO, "conflict.found", key=key, sync_id=names)
        if self.notices.is_traced:
            ids = sync_ids(origins, brought.items())
            facts = {"peer": peer, "batch": batch_id, "applied": len(merged.keys)}
            note(Level.DEBUG, "batch.merged", **facts, sync_id=ids)

    # Messages.

    def receive(self, link: int, message: Message, payload: bytes, now: Now) -> Arrived | None:
        """Take in a message.

        Returns:
            The record that is to be made durable and evolved before anything is answered.
        """
        session = self.connections.sessions.get(link)
        if session is None:
            return None
        session.heard_ms = now.mono_ms
        match message:
            case Hello():
                self._greeted(session, message, now)
            case Reject():
                words = f"rejected: {message.reason.name.lower()}: {message.words}"
                peer = self.connections.name(session)
                self.notices.note(Level.WARNING, "peer.rejected", peer=peer, reason=words)
                self.connections.drop(session, words, now)
            case _ if session.peer is None:
                self.refuse(link, f"{type(message).__name__} before the greeting", now)
            case _:
                self.heard_wall_ms[session.peer_id] = now.wall_ms
                return self._received(session, message, payload, now)
        return None

    def _received(
        self, session: Session, message: Message, payload: bytes, now: Now
    ) -> Arrived | None:
        match message:
            case Batch():
                return self._decide_batch(session, message, payload, now)
            case Ack():
                session.credit = message.credit
                landed = session.land(message.batches, now.mono_ms)
                self._learn(session, message.have, is_complete=False)
                self.delivery.recovered(session.peer_id)
                facts = {"peer": session.peer_id, "batches": message.batches, "landed": landed}
                self.notices.note(Level.DEBUG, "batch.acknowledged", **facts)
            case Have():
                session.neighbours = message.neighbours
                self._learn(session, message.have, is_complete=True)
                if session.land(session.arrived(), now.mono_ms):
                    self.delivery.recovered(session.peer_id)
                self._compare(session, message.have, message.digest)
            case Ping():
                session.pong_due = message.sent_ms
            case Bye():
                self.connections.drop(session, "closed by the peer", now)
            case _:  # a Pong says no more than that the peer is there
                pass
        return None

    def refuse(self, link: int, words: str, now: Now, refusal: Refusal | None = None) -> None:
        """Drop a connection whose peer sent what it must not."""
        session = self.connections.sessions.get(link)
        if session is not None:
            peer = self.connections.name(session)
            self.notices.note(Level.WARNING, "peer.refused", peer=peer, reason=words)
            farewell = Reject(refusal.reason, refusal.words) if refusal else None
            self.connections.drop(session, words, now, farewell)

    def _greeted(self, session: Session, hello: Hello, now: Now) -> None:
        attempt = self.dialer.of_link(session.link)
        refusal = check_greeting(
            hello,
            cluster=self.options.cluster,
            me=self.replica.origins[self.replica.me],
            policies=self.replica.policies.names,
            top=self.replica.top,
            expected=attempt.peer.node_id if attempt else None,
        )
        if refusal is not None:
            self.refuse(session.link, refusal.words, now, refusal)
            return
        session.greet(hello, now.wall_ms)
        session.have_ms = self._next_have_ms(now)
        peer = hello.node_id
        self.heard_wall_ms[peer] = now.wall_ms
        self.delivery.recovered(peer)
        member = self.members.get(peer) or Member(node_id=peer, source=PeerSource.INBOUND)
        if not member.accepted:
            self.members.change(replace(member, accepted=True))
        self._learn(session, hello.have, is_complete=True)
        if attempt is not None:
            self.dialer.connected(attempt)
        if self.connections.elect(session, now):
            lag = self.replica.top - session.known[self.replica.me].base
            facts = {"peer": peer, "dialled": session.dialled, "lag": lag}
            skew_ms = session.skew_ms
            self.notices.note(Level.INFO, "peer.connected", **facts, clock_skew_ms=skew_ms)
        self._compare(session, hello.have, hello.digest)

    def _decide_batch(
        self, session: Session, batch: Batch, payload: bytes, now: Now
    ) -> Arrived | None:
        arrivals = batch.arrivals(self.replica.origins)
        mine = covered(arrivals).get(self.replica.me)
        if mine is not None and mine.top > self.replica.top:
            words = f"a batch brings write {mine.top} of this node, which made {self.replica.top}"
            self.refuse(session.link, words, now)
            return None
        stamps = batch.columns[2] + [s[2] for state in arrivals.states for s in state.siblings]
        clock = observed(self.replica.clock, max(stamps, default=0), now.wall_ms)
        return Arrived(clock, payload, arrivals, session.link, batch.id, now.mono_ms)

    def _learn(self, session: Session, have: Haves, *, is_complete: bool) -> None:
        """Take what a peer says that it has; it is believed, also when it is less than before."""
        number = self.replica.origins.number
        said = {number(origin): dots for origin, dots in have.items()}
        if is_complete:
            for origin in session.known.keys() - said.keys():
                session.learn(origin, DotSet())
        for origin, dots in said.items():
            session.learn(origin, dots)
        member = self.members[session.peer_id]
        base = session.known[self.replica.me].base
        if base != member.confirmed:
            self.members.change(replace(member, confirmed=base))

    def _compare(self, session: Session, have: Haves, digest: bytes) -> None:
        """Two nodes that have the same writes and not the same state must find it out."""
        ours = self.replica.digest
        if digest != ours and have == self.have():
            facts = {"peer": session.peer_id, "ours": ours.hex(), "theirs": digest.hex()}
            self.notices.note(Level.ERROR, "digest.differed", **facts)

    # Output.

    def have(self, only: Container[int] | None = None) -> Haves:
        """Give what this node has, as a message says it."""
        origins = self.replica.origins
        return {
            origins[number]: DotSet(log.base, log.ranges_beyond())
            for number, log in self.replica.haves()
            if only is None or number in only
        }

    def poll(self, now: Now, push: Push) -> Output:
        """Give what is to be done now: at most one new batch a peer, so poll until it is empty."""
        connections = self.connections
        for session in list(connections.sessions.values()):
            limit = SILENCE_MAX_MS if session.is_active else GREETING_MAX_MS
            if now.mono_ms - session.heard_ms >= limit:
                connections.drop(session, "silent", now)
        output = Output(connections.farewells, connections.drops, [], 0, 0)
        connections.farewells, connections.drops = [], []
        batches = retried = 0
        for session in connections.sessions.values():
            output.sends.extend((session.link, m) for m in self._answers(session, now))
            if push is Push.NOTHING or not connections.is_carrying(session):
                continue
            flights = self.delivery.overdue(session, now)
            retried += sum(flight.writes for flight in flights)
            fresh = self.delivery.next_batch(session, now) if push is Push.ALL else None
            if fresh is not None:
                flights.append(fresh)
                output.launched.extend(fresh.covers)
            batches += len(flights)
            output.sends.extend((session.link, flight.batch) for flight in flights)
        return output._replace(batches=batches, retried=retried)

    def _answers(self, session: Session, now: Now) -> list[Message]:
        """Give what a session has to say beside data."""
        messages: list[Message] = []
        if session.hello_due:
            session.hello_due = False
            messages.append(self._hello(now))
        if not session.is_active:
            return messages
        if session.acks_due:
            have = self.have(session.ack_origins)
            messages.append(Ack(session.acks_due, have, self.options.window))
            session.acks_due, session.ack_origins = [], set()
        if session.pong_due is not None:
            messages.append(Pong(session.pong_due))
            session.pong_due = None
        if now.mono_ms >= session.have_ms and self.connections.is_carrying(session):
            session.have_ms = self._next_have_ms(now)
            neighbours = frozenset(self.connections.active)
            messages.append(Have(self.have(), self.replica.digest, neighbours))
        if now.mono_ms >= session.ping_ms:
            session.pinged_ms = now.mono_ms
            messages.append(Ping(now.mono_ms))
        return messages

    def _hello(self, now: Now) -> Hello:
        me = self.replica.origins[self.replica.me]
        return Hello(
            cluster=self.options.cluster,
            node_id=me.node_id,
            incarnation=me.incarnation,
            nonce=self._nonce,
            wall_ms=now.wall_ms,
            policies=self.replica.policies.names,
            have=self.have(),
            digest=self.replica.digest,
            credit=self.options.window,
            neighbours=frozenset(self.connections.active),
        )

    def _next_have_ms(self, now: Now) -> int:
        return now.mono_ms + int(HAVE_INTERVAL_MS * (0.7 + 0.6 * self._jitter()))

    def deadline(self, push: Push) -> int | None:
        """Give the monotonic time of the next poll that will have something to do."""
        times: list[int] = []
        for session in self.connections.sessions.values():
            if not session.is_active:
                times.append(session.heard_ms + GREETING_MAX_MS)
                continue
            times += (session.heard_ms + SILENCE_MAX_MS, session.ping_ms)
            if self.connections.is_carrying(session):
                times.append(session.have_ms)
                if push is Push.ALL:
                    if session.blocked_ms is not None:
                        times.append(session.blocked_ms)
                    times += session.relay_ms.values()
                    times += (flight.due_ms for flight in session.flights.values())
        return min(times, default=None)

    def unsent(self, link: int, message: Message, now: Now) -> None:
        """A connection was full. Data is sent again soon; the rest is asked for again."""
        session = self.connections.sessions.get(link)
        if session is not None and isinstance(message, Batch):
            session.withdraw(message.id, now.mono_ms)

    # What people ask for.

    def register(self, peer: Peer, source: PeerSource, now: Now) -> Member | None:
        """Dial an address from now on.

        Returns:
            The member record to remember it by; None when it is remembered already.
        """
        self.dialer.add(peer, now.mono_ms)
        known = self.members.get(peer.node_id)
        member = replace(
            known or Member(node_id=peer.node_id), host=peer.host, port=peer.port, source=source
        )
        return None if known == member else member

    def disconnect(self, node_id: str, now: Now) -> None:
        """Stop dialling a peer and end the connection with it."""
        attempt = self.dialer.attempts.get(node_id)
        self.dialer.remove(node_id)
        if attempt is not None and attempt.link is not None:
            self.connections.drops.append(attempt.link)
        for session in [s for s in self.connections.sessions.values() if s.peer_id == node_id]:
            self.connections.drop(session, "disconnected here", now, Bye())

    def requeue_failed(self, now: Now) -> None:
        """Try faulted peers again at once."""
        self.delivery.faulted.clear()
        for session in self.connections.sessions.values():
            for flight in session.flights.values():
                flight.attempts = 1
                flight.due_ms = now.mono_ms

    def close(self, now: Now) -> None:
        """Take leave of every peer; the next poll has the messages."""
        for session in list(self.connections.sessions.values()):
            farewell = Bye() if session.is_active else None
            self.connections.drop(session, "closed here", now, farewell)

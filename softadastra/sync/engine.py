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
from typing import Final

from softadastra.store.clock import observed
from softadastra.store.dots import DotSet
from softadastra.store.replica import Collected, Committed, Replica, Writes
from softadastra.sync.batches import covered
from softadastra.sync.connections import Connections
from softadastra.sync.delivery import Delivery, have_of
from softadastra.sync.dialing import Dialer
from softadastra.sync.greeting import Refusal, check_greeting
from softadastra.sync.members import Member, Members
from softadastra.sync.membership import Membership
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
    Report,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.notices import Level, Notices
from softadastra.sync.output import Output, Push
from softadastra.sync.records import (
    REPLAYED,
    Arrived,
    Forgotten,
    Pruned,
    Record,
    Released,
)
from softadastra.sync.session import SILENCE_MAX_MS, Session
from softadastra.sync.settings import EngineOptions, Now
from softadastra.sync.snapshots import Verdict
from softadastra.types import Peer, PeerSource

__all__ = ["Engine"]

RECONCILE_INTERVAL_MS: Final = 60_000
"""How long one reconciliation is given before unequal digests begin another."""
GREETING_MAX_MS: Final = 5_000
"""A connection without a greeting is dropped after so long."""
HAVE_INTERVAL_MS: Final = 30_000
"""Anti-entropy: how often peers tell what they have when nothing changes, +-30 %."""


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
        self.members = Members()
        self.membership = Membership(replica, self.members, max_offline_ms=options.max_offline_ms)
        self.notices = Notices()
        self.dialer = Dialer(retry_max_ms=options.retry_interval_ms, jitter=jitter)
        self.connections = Connections(
            replica.node_id,
            self.dialer,
            self.notices,
            tick_interval_ms=options.tick_interval_ms,
        )
        self.delivery = Delivery(replica, self.members, options, self.notices, jitter)
        self._pushed_ms = -1
        """When data was last asked for."""
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
        self.delivery.evolved += 1
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
                self.membership.collector.known.pop(record.node_id, None)
            case Collected():
                self.replica.evolve_collected(record)
            case Committed():
                self._evolve_committed(record)

    def _evolve_committed(self, record: Committed) -> None:
        self.replica.evolve_committed(record)
        link, message_id = self.delivery.snapshots.committed(record) or (REPLAYED, 0)
        session = self.connections.sessions.get(link)
        if session is None:
            return
        session.acks_due.append(message_id)
        for origin, dots in record.have.items():
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        facts = {"peer": session.peer_id, "dropped": len(record.drops)}
        self.notices.note(Level.INFO, "snapshot.committed", **facts)

    def _evolve_arrived(self, record: Arrived) -> None:
        session = self.connections.sessions.get(record.link)
        message = record.message
        self.delivery.snapshots.before_merge(record, session, self.replica)
        merged = self.replica.evolve_arrivals(record.arrivals)
        self.replica.clock = max(self.replica.clock, record.clock)
        if session is None:
            return
        session.acks_due.append(message.id)
        origins = self.replica.origins
        dots_brought = covered(record.arrivals)
        for origin, dots in dots_brought.items():
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        writers = frozenset(origins[origin].node_id for origin in dots_brought)
        self.connections.arrivals_from(session, writers, record.received_ms)
        self.delivery.tell_merged(session.peer_id, message.id, dots_brought, merged)

    # Messages.

    def receive(
        self, link: int, message: Message, payload: bytes, now: Now
    ) -> Arrived | Committed | None:
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
                self.membership.heard_wall_ms[session.peer_id] = now.wall_ms
                return self._received(session, message, payload, now)
        return None

    def _received(
        self, session: Session, message: Message, payload: bytes, now: Now
    ) -> Arrived | Committed | None:
        match message:
            case Batch():
                return self._decide_arrival(session, message, payload, now)
            case SnapshotBegin() | SnapshotRange() | SnapshotCommit():
                taken = self.delivery.snapshots.receive(session, message, self.replica)
                if taken is Verdict.ACKNOWLEDGE:
                    session.acks_due.append(message.id)
                elif isinstance(taken, Committed):
                    return taken
                elif taken is Verdict.TAKE and isinstance(message, SnapshotRange):
                    return self._decide_arrival(session, message, payload, now)
            case Ack():
                session.credit = message.credit
                for flight in session.land(message.batches, now.mono_ms):
                    self.delivery.snapshots.landed(session.peer_id, flight.message)
                self._learn(session, message.have, is_complete=False)
                self.delivery.recovered(session.peer_id)
                facts = {"peer": session.peer_id, "batches": message.batches}
                self.notices.note(Level.DEBUG, "batch.acknowledged", **facts)
            case Have():
                session.neighbours = message.neighbours
                self._learn(session, message.have, is_complete=True)
                self.membership.hear_of(message.known, self.connections.active, now)
                if session.land(session.arrived(), now.mono_ms):
                    self.delivery.recovered(session.peer_id)
                self._compare(session, message.have, message.digest, now)
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
        # Soon: who else there is must be known before anything is collected.
        session.have_ms = session.known_ms = now.mono_ms + self.connections.have_delay_ms
        peer = hello.node_id
        self.membership.heard_wall_ms[peer] = now.wall_ms
        self.delivery.recovered(peer)
        member = self.members.get(peer) or Member(node_id=peer, source=PeerSource.INBOUND)
        self.members.change(replace(member, accepted=True, heard_ms=now.wall_ms))
        self.membership.collector.hear(peer, session.known)
        self._learn(session, hello.have, is_complete=True)
        self.delivery.snapshots.greeted(session, hello.resume)
        if attempt is not None:
            self.dialer.connected(attempt)
        if self.connections.elect(session, now):
            lag = self.replica.top - session.known[self.replica.me].base
            facts = {"dialled": session.dialled, "lag": lag, "clock_skew_ms": session.skew_ms}
            self.notices.note(Level.INFO, "peer.connected", peer=peer, **facts)
        self._compare(session, hello.have, hello.digest, now)

    def decide_collection(self, now: Now) -> Collected | None:
        """Decide what may be let go now, when it is time to look."""
        if not self.membership.is_time_to_collect(now):
            return None
        snapshots = self.delivery.snapshots
        snapshots.forget_absent(self.connections.active, now.mono_ms)
        return None if snapshots.serving else self.membership.decide_collection(now)

    def _decide_arrival(
        self, session: Session, message: Batch | SnapshotRange, payload: bytes, now: Now
    ) -> Arrived | None:
        batch = message if isinstance(message, Batch) else message.batch
        arrivals = batch.arrivals(self.replica.origins)
        mine = covered(arrivals).get(self.replica.me)
        if mine is not None and mine.top > self.replica.top:
            words = f"a batch brings write {mine.top} of this node, which made {self.replica.top}"
            self.refuse(session.link, words, now)
            return None
        stamps = batch.columns[2] + [s[2] for state in arrivals.states for s in state.siblings]
        clock = observed(self.replica.clock, max(stamps, default=0), now.wall_ms)
        return Arrived(clock, payload, message, arrivals, session.link, now.mono_ms)

    def _learn(self, session: Session, have: Haves, *, is_complete: bool) -> None:
        """Take what a peer says that it has; it is believed, also when it is less than before."""
        number = self.replica.origins.number
        said = {number(origin): dots for origin, dots in have.items()}
        if is_complete:
            for origin in session.known.keys() - said.keys():
                session.learn(origin, DotSet())
        for origin, dots in said.items():
            session.learn(origin, dots)
        member = self.members.connected(session.peer_id)
        base = session.known[self.replica.me].base
        if base != member.confirmed:
            self.members.change(replace(member, confirmed=base))

    def _compare(self, session: Session, have: Haves, digest: bytes, now: Now) -> None:
        """Two nodes that have the same writes and not the same state must find it out."""
        ours = self.replica.digest
        if digest != ours and have == self.have():
            facts = {"peer": session.peer_id, "ours": ours.hex(), "theirs": digest.hex()}
            self.notices.note(Level.ERROR, "digest.differed", **facts)
            if now.mono_ms >= session.reconcile_ms:
                session.reconcile_ms = now.mono_ms + RECONCILE_INTERVAL_MS
                self.delivery.snapshots.unequal.add(session.peer_id)

    # Output.

    def have(self, only: Container[int] | None = None) -> Haves:
        """Give what this node has, as a message says it."""
        return have_of(self.replica, only)

    def poll(self, now: Now, push: Push) -> Output:
        """Give what is to be done now: at most one new batch a peer, so poll until it is empty."""
        connections = self.connections
        if push is Push.ALL:
            self._pushed_ms = now.mono_ms
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
            output.sends.extend((session.link, flight.message) for flight in flights)
        return output._replace(batches=batches, retried=retried)

    def _answers(self, session: Session, now: Now) -> list[Message]:
        """Give what a session has to say beside data."""
        messages: list[Message] = []
        if session.hello_due:
            session.hello_due = False
            messages.append(self._hello(self.connections.name(session), now))
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
            reports: dict[str, Report] = {}
            if now.mono_ms >= session.known_ms:
                session.known_ms = self._next_have_ms(now)
                reports = self.membership.reports(session.peer_id, now)
            session.have_ms = session.known_ms
            neighbours = frozenset(self.connections.active)
            messages.append(Have(self.have(), self.replica.digest, neighbours, reports))
        if now.mono_ms >= session.ping_ms:
            session.pinged_ms = now.mono_ms
            messages.append(Ping(now.mono_ms))
        return messages

    def _hello(self, peer: str, now: Now) -> Hello:
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
            resume=self.delivery.snapshots.resume(peer),
        )

    def _next_have_ms(self, now: Now) -> int:
        return now.mono_ms + int(HAVE_INTERVAL_MS * (0.7 + 0.6 * self._jitter()))

    def deadline(self, push: Push) -> int | None:
        """Give the monotonic time of the next poll that will have something to do."""
        times: list[int] = [self.membership.collect_ms] if self.connections.active else []
        for session in self.connections.sessions.values():
            if not session.is_active:
                times.append(session.heard_ms + GREETING_MAX_MS)
                continue
            times += (session.heard_ms + SILENCE_MAX_MS, session.ping_ms)
            if self.connections.is_carrying(session):
                times.append(session.have_ms)
                if push is Push.ALL:
                    # What was due at the last poll, and could not leave (a full window, a write
                    # that is held), waits for something to happen, not for a time.
                    waits = (*session.relay_ms.values(), session.blocked_ms or 0)
                    times += (time for time in waits if time > self._pushed_ms)
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

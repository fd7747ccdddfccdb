"""What peers say, taken in: greetings, batches, acknowledgements, haves.

Nothing of a peer's changes the replica here. What is to change it is given as a record; it is made
durable and evolved before anything is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never

from softadastra.store.changes import Committed, Visitor
from softadastra.store.clock import observed
from softadastra.store.dots import DotSet
from softadastra.store.outliving import outlived
from softadastra.store.replica import Replica
from softadastra.sync.admission import Admission
from softadastra.sync.connections import Connections
from softadastra.sync.delivery import Delivery, have_of
from softadastra.sync.dialing import Attempt
from softadastra.sync.fields import VALUE_BYTES_MAX
from softadastra.sync.greeting import Refusal, check_greeting, farewell
from softadastra.sync.histories import tops_of
from softadastra.sync.identity import Identity, incarnation_of
from softadastra.sync.members import Member, Members, found_at
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
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.notices import Level, Notices
from softadastra.sync.records import Arrived
from softadastra.sync.session import Session
from softadastra.sync.settings import EngineOptions, Now
from softadastra.sync.snapshots import SnapshotMessage, Verdict
from softadastra.sync.traces import Traces
from softadastra.types import PeerSource

__all__ = ["Reception"]

RECONCILE_INTERVAL_MS: Final = 60_000
"""How long one reconciliation is given before unequal digests begin another."""


class Reception:
    """Takes in one node's messages.

    Args:
        replica: the node's data.
        options: settings.
        members: who is known.
        membership: what is known of them.
        connections: who is connected.
        admission: who may be.
        delivery: what is on its way to whom.
        notices: where to tell what happens.
        traces: where to tell what becomes of single writes.
        nonce: drawn when the node opens.
    """

    def __init__(
        self,
        replica: Replica,
        options: EngineOptions,
        members: Members,
        membership: Membership,
        connections: Connections,
        admission: Admission,
        delivery: Delivery,
        notices: Notices,
        traces: Traces,
        *,
        nonce: int,
    ) -> None:
        self.identity = Identity(replica, notices, nonce)
        self._replica = replica
        self._options = options
        self._members = members
        self._membership = membership
        self._connections = connections
        self._admission = admission
        self._delivery = delivery
        self._notices = notices
        self._traces = traces

    def receive(
        self, link: int, message: Message, payload: bytes, now: Now
    ) -> Arrived | Committed | None:
        """Take in a message.

        Returns:
            The record that is to be made durable and evolved before anything is answered.
        """
        session = self._connections.sessions.get(link)
        if session is None:
            return None
        session.heard_ms = now.mono_ms
        session.traffic.bytes_in += len(payload)
        match message:
            case Hello():
                self._greeted(session, message, now)
            case Reject():
                words = f"rejected: {message.reason.name.lower()}: {message.words}"
                peer = self._connections.name(session)
                self._notices.note(Level.WARNING, "peer.rejected", peer=peer, reason=words)
                self._connections.drop(session, words, now)
            case _ if session.peer is None:
                # No offence: what carried the greeting may have lost it.
                self.refuse(link, f"{type(message).__name__} before the greeting", now)
            case _:
                self._membership.heard[session.peer_id] = now
                self._traces.received(session, message)
                return self._received(session, message, payload, now)
        return None

    def _received(
        self, session: Session, message: Message, payload: bytes, now: Now
    ) -> Arrived | Committed | None:
        match message:
            case Batch() | SnapshotBegin() | SnapshotRange() | SnapshotCommit() if (
                session.parted_ms is not None
            ):
                pass
            case Batch():
                return self._decide_arrival(session, message, payload, now)
            case SnapshotBegin() | SnapshotRange() | SnapshotCommit():
                return self._receive_part(session, message, payload, now)
            case Ack():
                session.credit = message.credit
                landed = session.land_measured(message.batches, now.mono_ms)
                for flight in landed:
                    self._delivery.snapshots.landed(session.peer_id, flight.message)
                said = self._replica.origins.numbered(message.have)
                if not message.batches:
                    session.hear_arrivals(said)
                self._learn(session, said)
                if landed or not session.flights:
                    self._delivery.recovered(session.peer_id)
                if message.batches:
                    self._traces.acknowledged(session, message.batches)
            case Have() if not session.is_of_this(message.number):
                self.refuse(session.link, "a Have of another connection", now)
            case Have():
                session.hear_neighbours(message.neighbours, self._connections.active)
                self.identity.compare(session, message.have, message.named, message.lives, now)
                self._learn_all(session, message.number, message.have)
                self._hear(session)
                self._membership.hear_of(message.known, self._connections.active, now)
                landed = session.land(session.arrived(), now.mono_ms)
                if landed:
                    self._traces.confirmed(session, [flight.message.id for flight in landed])
                if landed or not session.flights:
                    self._delivery.recovered(session.peer_id)
                self._compare(session, message.have, message.digest, now)
            case Ping():
                session.pong_due = message.sent_ms
            case Pong(sent_ms):
                session.hear_pong(sent_ms, now.mono_ms)
            case Bye():
                self._connections.drop(session, "closed by the peer", now)
            case Hello() | Reject():
                raise AssertionError("greetings are taken before")
            case _ as unreachable:
                assert_never(unreachable)
        return None

    def _receive_part(
        self, session: Session, message: SnapshotMessage, payload: bytes, now: Now
    ) -> Arrived | Committed | None:
        """Take in a part of a snapshot."""
        if not self._connections.is_carrying(session):
            # Of two live nodes of one name the second began one in the place of the first's, whose
            # commit was then ignored for ever. What is still due here comes again.
            return None
        snapshots = self._delivery.snapshots
        fault = snapshots.fault_of(session.peer_id, message, self._replica)
        if fault is not None:
            self.refuse(session.link, fault, now)
            return None
        told = snapshots.told_by(session.peer_id, message, self._replica)
        if told is not None:
            # Since the greeting either side may have got writes of another history.
            have, lives = told
            self.identity.compare(session, have, {}, lives, now)
            if session.parted_ms is not None:
                return None
        taken = snapshots.receive(session, message, self._replica)
        if taken is Verdict.ACKNOWLEDGE:
            session.acks_due.append(message.id)
        elif isinstance(taken, Committed):
            return taken
        elif taken is Verdict.TAKE and isinstance(message, SnapshotRange):
            return self._decide_arrival(session, message, payload, now)
        return None

    def offend(self, link: int, words: str, now: Now) -> None:
        """Drop a connection whose peer sent what no node sends; it may be shut out for it."""
        session = self._connections.sessions.get(link)
        if session is not None:
            self._admission.offended(session, words, now)
            self.refuse(link, words, now)

    def refuse(self, link: int, words: str, now: Now, refusal: Refusal | None = None) -> None:
        """Drop a connection whose peer sent what it must not, or cannot stay."""
        session = self._connections.sessions.get(link)
        if session is not None:
            self._admission.tell_refused(session, words, now)
            told = refusal.told if refusal else words
            self._connections.drop(session, told, now, farewell(words, refusal))

    def _greeted(self, session: Session, hello: Hello, now: Now) -> None:
        attempt = self._connections.dialer.of_link(session.link)
        refusal = check_greeting(
            hello,
            cluster=self._options.cluster,
            me=self._replica.origins[self._replica.me],
            policies=self._replica.policies.names,
            proved=session.proved,
            # A connection that changes its name would leave the first one connected for ever.
            expected=session.peer_id or (attempt.peer.node_id if attempt else None),
        )
        if refusal is None and session.peer is None:
            refusal = self._admission.refusal(session, hello, now)
        if refusal is not None:
            self.refuse(session.link, refusal.words, now, refusal)
            if hello.node_id in self._members:
                self._connections.turned_away(hello.node_id, refusal, now)
            return
        is_first = session.peer is None
        if session.peer is not None and hello.number != session.peer.number:
            self.refuse(session.link, "a greeting of another connection", now)
            return
        session.greet(hello, now.wall_ms)
        # Soon: who else there is must be known before anything is collected.
        session.have_ms = session.known_ms = now.mono_ms + self._connections.have_delay_ms
        peer = hello.node_id
        self._membership.heard[peer] = now
        self._traces.received(session, hello)
        self._delivery.recovered(peer)
        known = self._members.get(peer) or Member(node_id=peer, source=PeerSource.INBOUND)
        member = incarnation_of(hello, known, self._notices)
        if attempt is not None:
            member = self._reached(attempt, member, now)
        self._members.change(replace(member, accepted=True, heard_ms=now.wall_ms))
        self.identity.compare(session, hello.have, hello.named, hello.lives, now)
        self._learn_all(session, hello.number, hello.have)
        if self._connections.elect(session, now):
            lag = self._replica.top - session.known[self._replica.me].base
            facts = {"dialled": session.dialled, "lag": lag, "clock_skew_ms": session.skew_ms}
            self._notices.note(Level.INFO, "peer.connected", peer=peer, **facts)
        if is_first and self._connections.of_peer(peer) is session:
            # Not on a second connection that is not used: on the first one it goes on.
            self._delivery.snapshots.greeted(session, hello.resume)
        self._hear(session)
        self._compare(session, hello.have, hello.digest, now)

    def _reached(self, attempt: Attempt, member: Member, now: Now) -> Member:
        """Note that who was expected at an address has greeted there."""
        dialer = self._connections.dialer
        dialer.connected(attempt, now.mono_ms)
        if not dialer.is_found(attempt):
            return member
        met = found_at(member, attempt.peer)
        if met.source is PeerSource.MDNS:
            dialer.prove(attempt)
        return met

    def _decide_arrival(
        self, session: Session, message: Batch | SnapshotRange, payload: bytes, now: Now
    ) -> Arrived | None:
        batch = message if isinstance(message, Batch) else message.batch
        me = self._replica.origins[self._replica.me]
        if not self._replica.origins.has_room(batch.origins):
            words = f"a batch names more writers than the {len(self._replica.origins)} that fit"
            self.refuse(session.link, words, now)
            return None
        arrivals = batch.arrivals(self._replica.origins)
        tops = tops_of(batch)
        if self.identity.has_parted(session, batch, tops, now):
            return None
        mine = dict(zip(batch.origins, tops, strict=True)).get(me, 0)
        if mine > self._replica.top:
            # Where these were lost, the peer has heard of them since it greeted, and says so anew.
            words = f"a batch names write {mine} of this node, which made {self._replica.top}"
            self.refuse(session.link, words, now)
            return None
        stamp, longest = (
            max(batch.columns[2], default=0),
            max(map(len, batch.columns[4]), default=0),
        )
        for state in arrivals.states:
            stamp = max(stamp, *(sibling[2] for sibling in state.siblings))
            longest = max(longest, *(len(sibling[4]) for sibling in state.siblings))
        if longest > VALUE_BYTES_MAX:
            # What is taken here must be possible to pass on, with more beside it.
            words = f"a value of {longest} bytes, at most {VALUE_BYTES_MAX} are allowed"
            self.offend(session.link, words, now)
            return None
        clock = observed(self._replica.clock, stamp, now.wall_ms)
        obsolete: list[Visitor] = []
        if session.is_of_this(batch.told) and batch.told >= session.told_number:
            # One that was made earlier, and comes late, says nothing of what was told since.
            obsolete = outlived(self._replica, arrivals, session.told)
        rows: list[Visitor] = []
        if isinstance(message, SnapshotRange):
            rows = self._delivery.snapshots.whereabouts(session.peer_id, arrivals, self._replica)
        link, now_ms = session.link, now.mono_ms
        return Arrived(clock, payload, message, arrivals, obsolete, rows, link, now_ms)

    def _hear(self, session: Session) -> None:
        """Let what a peer has count for collection; not what a second one of its name says.

        As it told the whole of it: an acknowledgement is of some origins, and who has a remove by
        that may have an older write by another one, which is on its way here to meet it.
        """
        if self._connections.is_carrying(session):
            self._membership.collector.hear(session.peer_id, session.told)

    def _learn_all(self, session: Session, number: int, have: Haves) -> None:
        """Take all that a peer says that it has, the last of it included that it has no more."""
        said = self._replica.origins.numbered(have)
        session.hear_have(number, said)
        for origin in (session.known.keys() | session.sent.keys()) - said.keys():
            session.learn(origin, DotSet())
        self._learn(session, said)

    def _learn(self, session: Session, said: Mapping[int, DotSet]) -> None:
        """Take what a peer says that it has; it is believed, also when it is less than before."""
        for origin, dots in said.items():
            session.learn(origin, dots)
        member = self._members.connected(session.peer_id)
        base = session.known[self._replica.me].base
        if base != member.confirmed:
            self._members.change(replace(member, confirmed=base))

    def _compare(self, session: Session, have: Haves, digest: bytes, now: Now) -> None:
        """Two nodes that have the same writes and not the same state must find it out."""
        ours = self._replica.digest
        is_due = now.mono_ms >= session.reconcile_ms and session.parted_ms is None
        if digest != ours and is_due and have == have_of(self._replica):
            facts = {"peer": session.peer_id, "ours": ours.hex(), "theirs": digest.hex()}
            self._notices.note(Level.ERROR, "digest.differed", **facts)
            session.reconcile_ms = now.mono_ms + RECONCILE_INTERVAL_MS
            self._delivery.snapshots.unequal.add(session.peer_id)

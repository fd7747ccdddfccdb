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

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

from softadastra.store.changes import OWN, Collected, Committed, Lost, Write, Writes
from softadastra.store.checkpoint import Entries, History, Rows, Totals, restore
from softadastra.store.dots import DotSet, Range
from softadastra.store.doubling import undouble
from softadastra.store.index import count_of
from softadastra.store.lives import Life, lived
from softadastra.store.replica import Replica
from softadastra.store.splitting import Split, split
from softadastra.sync.admission import Admission
from softadastra.sync.answers import Answers
from softadastra.sync.batches import covered
from softadastra.sync.connections import CONTEST_MS, Connections
from softadastra.sync.delivery import Delivery, have_of
from softadastra.sync.dialing import Dialer
from softadastra.sync.greeting import duplicate_of
from softadastra.sync.members import Member, Members
from softadastra.sync.membership import Membership
from softadastra.sync.messages import Batch, Bye, Have, Haves, Message, SnapshotRange
from softadastra.sync.notices import Level, Notices
from softadastra.sync.output import Output, Push
from softadastra.sync.reception import Reception
from softadastra.sync.records import (
    REPLAYED,
    Arrived,
    Counted,
    Forgotten,
    Lived,
    Placed,
    Pruned,
    Record,
    Registered,
    Released,
)
from softadastra.sync.session import BLOCKED_MS, SILENCE_MAX_MS, SNAPSHOT_PARTS, Session
from softadastra.sync.settings import KNOWN_MAX, EngineOptions, Now
from softadastra.sync.timeline import Timeline
from softadastra.sync.traces import Traces
from softadastra.types import Peer, PeerSource

__all__ = ["Engine"]

PARTED_MAX_MS: Final = 60_000
"""How long a connection is kept on which histories have parted: one of the nodes splits its branch
off as soon as it knows where, and connects anew."""
OWN_WRITES: Final = (Write, Writes)
GREETING_MAX_MS: Final = 5_000
"""A connection without a greeting is dropped after so long."""
MEMBERS_FOUND_MAX: Final = KNOWN_MAX
"""While there are so many members, nobody becomes one by being found: each costs a line in every
message about who has what, and who is named or dials this node has the better claim."""


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
        self.traces = Traces(replica, self.notices)
        self.dialer = Dialer(retry_max_ms=options.retry_interval_ms, jitter=jitter)
        self.connections = Connections(
            replica.node_id,
            self.dialer,
            self.notices,
            tick_interval_ms=options.tick_interval_ms,
        )
        self.admission = Admission(options, self.members, self.connections, self.notices)
        self.delivery = Delivery(
            replica,
            self.members,
            self.membership.collector.known,
            self.connections,
            options,
            self.notices,
            jitter,
            nonce,
        )
        self.life: int | None = None
        """What the writes of this opening are told from those of others by, until the first one."""
        self.timeline = Timeline()
        self.place: Placed | None = None
        """Where the log was when it was last opened."""
        self._is_known_anew = False
        """Whether origins have other numbers than those that sessions know."""
        self._reception = Reception(
            replica,
            options,
            self.members,
            self.membership,
            self.connections,
            self.admission,
            self.delivery,
            self.notices,
            self.traces,
            nonce=nonce,
        )
        self.receive = self._reception.receive
        self.refuse = self._reception.refuse
        self.offend = self._reception.offend
        self._pushed_ms = -1
        """When data was last asked for."""
        self._answers = Answers(
            replica,
            options,
            self.connections,
            self.membership,
            self.delivery.snapshots,
            nonce=nonce,
            jitter=jitter,
        )

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
        if isinstance(record, OWN_WRITES):  # 500 instructions less than a case
            self.replica.evolve_writes(record)
            if record.clock >= self.timeline.due:
                self.timeline.mark(record)
            return
        match record:
            case Arrived():
                self._evolve_arrived(record)
            case Member():
                self.members.restore(record)
            case Pruned():
                # Two callers may have decided at once, and done it in the other order.
                self.traces.pruned(self.floor + 1, record.floor)
                self.floor = max(self.floor, record.floor)
            case Released():
                self.traces.released(self.delivery.released + 1, record.n)
                self.delivery.released = max(self.delivery.released, record.n)
            case Registered(peer, source):
                self.members.register(peer, source)
            case Forgotten():
                self.members.forget(record.node_id)
                self.membership.collector.known.pop(record.node_id, None)
                self.delivery.snapshots.forget(record.node_id)
                self.connections.forget(record.node_id)
            case Collected():
                self.replica.evolve_collected(record)
                self.traces.collected(record)
                self._tell_haves_first()
            case Committed():
                self._evolve_committed(record)
            case Lived():
                past = lived(self.replica.lives.get(OWN, ()), record.first - 1)
                self.replica.lives[OWN] = [*past, Life(record.first, record.life)]
                self.life = None
            case Split():
                self._evolve_split(record)
            case Placed():
                self.place = record
            case Counted(retries):
                self.members.forgotten_retries = retries
            case History() | Entries() | Rows() | Lost() | Totals():
                restore(self.replica, record)
            case _ as unreachable:
                assert_never(unreachable)

    def _evolve_split(self, record: Split) -> None:
        """Give a branch of a history its name; everybody is greeted anew."""
        is_own = self.replica.origins.number(record.origin) == OWN
        split(self.replica, record)
        if is_own:
            self.timeline.renumber(record.after)
            self.life = None
            self.floor = 0
            self.delivery.released = max(0, self.delivery.released - record.after)
            for member in list(self.members):
                self.members.change(replace(member, confirmed=0))
        # What is known by number of others is of before.
        self.membership.collector.forget_all()
        self.delivery.snapshots.forget_all()
        self._is_known_anew = True

    def _evolve_committed(self, record: Committed) -> None:
        link, message_id = self.delivery.snapshots.committed(record) or (REPLAYED, 0)
        session = self.connections.sessions.get(link)
        if session is not None:
            self.traces.joined(session, record)
        self.replica.evolve_committed(record)
        for receiver in self.connections.sessions.values():
            receiver.abandon_snapshot()
        self._tell_haves_first()
        if session is None:
            return
        session.acks_due.append(message_id)
        for origin, dots in record.have.items():
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        facts = {"peer": session.peer_id, "dropped": len(record.drops)}
        self.notices.note(Level.INFO, "snapshot.committed", **facts)

    def _tell_haves_first(self) -> None:
        """Let all peers be told what is here before the next batch.

        What is written over a collected tombstone does not name it any more. A peer that still
        holds that tombstone knows by what it was told that this node had it (`store/outliving.py`).
        """
        for session in self.connections.sessions.values():
            session.tell_have_by(0)

    def _evolve_arrived(self, record: Arrived) -> None:
        session = self.connections.sessions.get(record.link)
        message = record.message
        self.delivery.snapshots.before_merge(record, session, self.replica)
        dots_brought = {} if session is None else covered(record.arrivals)
        told = self._to_tell(record, dots_brought) if len(self.connections.sessions) > 1 else []
        had = count_of(self.replica.logs, dots_brought)
        merged = self.replica.evolve_arrivals(record.arrivals, record.outlived)
        rows = {(origin, n): row for row, origin, n in record.whereabouts}
        doubled = [found for found in merged.known if undouble(self.replica, *found, rows)]
        for key, (number, n, *_) in doubled:
            sync_id = f"{self.replica.origins[number].node_id}-{n}"
            self.notices.note(Level.ERROR, "write.doubled", sync_id=sync_id, key=key)
        self.replica.clock = max(self.replica.clock, record.clock)
        if session is None:
            return
        session.traffic.batches_in += 1
        session.traffic.writes_in += count_of(self.replica.logs, dots_brought) - had
        session.acks_due.append(message.id)
        for origin, dots in dots_brought.items():
            session.ack_origins.add(origin)
            for first, last in dots.ranges():
                session.holds(origin, first, last)
        self.connections.arrivals_from(session, told, record.received_ms)
        is_again = session.merges_again(message.id)
        self.traces.merged(session, record, dots_brought, merged, is_again=is_again)
        self.delivery.tell_conflicts(merged)

    def _to_tell(
        self, record: Arrived, brought: Mapping[int, DotSet]
    ) -> list[tuple[int, int, str]]:
        """Give a write, with its writer, of each origin of which others are to hear that it came.

        That is what was not here before. Of a snapshot it is all: while one comes, nobody is to
        begin another one, also when most of it is here already.
        """
        is_all = isinstance(record.message, SnapshotRange)
        told = []
        for origin, dots in brought.items():
            log = self.replica.logs[origin]
            n = next((last for _, last in dots.ranges() if is_all or last not in log), None)
            if n is not None:
                told.append((origin, n, self.replica.origins[origin].node_id))
        return told

    def decide_collection(self, now: Now) -> Collected | None:
        """Decide what may be let go now, when it is time to look."""
        if not self.membership.is_time_to_collect(now):
            return None
        self.membership.begin_waiting(now.wall_ms)
        snapshots = self.delivery.snapshots
        snapshots.forget_absent(self.connections.active, now.mono_ms)
        return None if snapshots.serving else self.membership.decide_collection(now)

    def decide_alone(self, wall_ms: int) -> Collected | None:
        """Decide what may be let go when there is nobody whom it is kept for."""
        return None if self.delivery.snapshots.serving else self.membership.decide_alone(wall_ms)

    def decide(self, now: Now) -> Split | Collected | None:
        """Decide what nobody asks for, one thing at a time: ask until there is nothing."""
        return self.decide_split() or self.decide_collection(now)

    def decide_split(self) -> Split | None:
        """Decide what of a history goes on under another name, when one has parted."""
        return self._reception.identity.take_split()

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
            if session.link not in connections.sessions:
                # Another process of its name has just taken its place.
                continue
            reason = self._end_of(session, now)
            if reason is not None:
                farewell = Bye() if self._is_known_anew else None
                connections.drop(session, reason, now, farewell)
            elif session.contested_ms is not None and connections.contest(session, now):
                refusal = duplicate_of(session.peer_id)
                self.refuse(session.link, refusal.words, now, refusal)
        self._is_known_anew = False
        sends, drops = connections.farewells, connections.drops
        connections.farewells, connections.drops = [], []
        launched: list[tuple[int, Range]] = []
        retried, is_more = 0, False
        ahead_ms = self._answers.asks_ahead_ms(now)
        for session in connections.sessions.values():
            if session.has_new_neighbours and push is Push.ALL:
                self.delivery.tell_neighbours_first(session, now)
            for answer in self._answers.to(session, now, ahead_ms):
                sends.append((session.link, answer))
            if push is Push.NOTHING or not connections.is_carrying(session):
                continue
            for flight in self.delivery.overdue(session, now):
                sends.append((session.link, flight.message))
                retried += flight.writes
            fresh = self.delivery.next_batch(session, now) if push is Push.ALL else None
            if fresh is not None:
                is_more = is_more or not self.delivery.is_served(session)
                sends.append((session.link, fresh.message))
                launched += fresh.covers
        return Output(sends, drops, launched, retried, is_more)

    def _end_of(self, session: Session, now: Now) -> str | None:
        """Give why a connection ends now; None: it goes on."""
        limit = GREETING_MAX_MS if session.peer is None else SILENCE_MAX_MS
        if now.mono_ms - session.heard_ms >= limit:
            return "silent"
        if self._is_known_anew:
            return "histories are compared anew"
        if session.parted_ms is not None and now.mono_ms - session.parted_ms >= PARTED_MAX_MS:
            return "histories have parted, and neither node can tell where"
        return None

    def deadline(self, push: Push) -> int | None:
        """Give the monotonic time of the next poll that will have something to do."""
        times: list[int] = [self.membership.collect_ms] if self.connections.active else []
        for session in self.connections.sessions.values():
            if not session.is_active:
                times.append(session.heard_ms + GREETING_MAX_MS)
                continue
            times += (session.heard_ms + SILENCE_MAX_MS, session.ping_ms)
            if session.ack_ms is not None:
                times.append(session.ack_ms)
            if session.contested_ms is not None:
                times.append(session.contested_ms + CONTEST_MS)
            if session.parted_ms is not None:
                times.append(session.parted_ms + PARTED_MAX_MS)
            if self.connections.is_carrying(session):
                times.append(session.have_ms)
                if push is Push.ALL:
                    # What was due at the last poll, and could not leave (a full window, a write
                    # that is held), waits for something to happen, not for a time.
                    waits = (
                        *session.patience.deadlines,
                        session.snapshot_ms,
                        session.blocked_ms or 0,
                    )
                    times += [time for time in waits if time > self._pushed_ms]
                    times += [flight.due_ms for flight in session.flights.values()]
        return min(times, default=None)

    def unsent(self, link: int, message: Message, now: Now) -> None:
        """A connection was full. Data is sent again soon; the rest is asked for again."""
        session = self.connections.sessions.get(link)
        if session is not None and isinstance(message, Batch):
            session.withdraw(message.id, now.mono_ms)
        elif session is not None and isinstance(message, Have):
            session.have_ms = now.mono_ms + BLOCKED_MS
            # Of whom it told the peer has not heard, and hears next time.
            session.reports_begin = next(iter(message.known), session.reports_begin)
        elif session is not None and isinstance(message, SNAPSHOT_PARTS):
            session.hold_back(message.id, now.mono_ms)

    def trace_sent(self, link: int, message: Message) -> None:
        """Tell that the transport took a message."""
        self.traces.sent(self.connections.sessions.get(link), message)

    # What people ask for.

    def register(self, peer: Peer, source: PeerSource, now: Now) -> Registered | None:
        """Dial an address from now on.

        Returns:
            The record to remember it by; None when it is remembered already.
        """
        self.admission.pardon(peer.node_id)
        self.dialer.add(peer, now.mono_ms)
        known = self.members.get(peer.node_id)
        is_known = known is not None and (known.host, known.port, known.source) == (
            peer.host,
            peer.port,
            source,
        )
        return None if is_known else Registered(peer, source)

    def propose(self, addresses: Sequence[Peer], now: Now) -> bool:
        """Try addresses that a peer, all of one node id, is said to have; nobody is a member by it.

        Returns:
            Whether they are taken: see `Dialer.propose`, and a full list of members takes nobody.
        """
        node_id = addresses[0].node_id
        is_full = node_id not in self.members and len(self.members) >= MEMBERS_FOUND_MAX
        if node_id == self.replica.node_id or is_full:
            return False
        return self.dialer.propose(addresses, now.mono_ms)

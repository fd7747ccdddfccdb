"""What leaves for a peer and when: own writes at once, others' by way of their origin first.

A write of another node is relayed at once to a peer that cannot have it from its origin. One that
is connected to it is left to it, and to who else has the write, for a patience (`patience.py`): so
in a full mesh each write crosses the wire about once a receiver, and in a line it waits for no
timer.

A peer that lacks many writes of others, or a snapshot, could get them from each of its neighbours.
It gets them from the one of the smallest name that has them; the others go on when it is told
that this one is gone, or one by one when nothing has come for a patience.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from zlib import crc32

from softadastra.store.changes import Merged
from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, shown, siblings_of
from softadastra.sync.batches import build_batch, missing
from softadastra.sync.collection import Known
from softadastra.sync.connections import Connections
from softadastra.sync.members import Members
from softadastra.sync.messages import Haves, SnapshotBegin
from softadastra.sync.notices import Level, Notices
from softadastra.sync.session import BEHIND_MIN, SNAPSHOT_PARTS, Flight, Session, backoff_ms
from softadastra.sync.settings import EngineOptions, Now
from softadastra.sync.snapshots import Snapshots
from softadastra.sync.traces import batch_facts

__all__ = ["Delivery", "have_of"]

NONE: Final = DotSet()


class Delivery:
    """Chooses batches for sessions, and sends them again when their answer is overdue.

    Args:
        replica: what this node has.
        members: where resends are counted.
        known: what other nodes have, by node id, as far as this one has heard.
        connections: who is connected.
        options: settings.
        notices: where to tell what happens.
        jitter: gives a number from 0 to 1, uniformly.
        nonce: drawn when the node opens.
    """

    def __init__(
        self,
        replica: Replica,
        members: Members,
        known: Mapping[str, Known],
        connections: Connections,
        options: EngineOptions,
        notices: Notices,
        jitter: Callable[[], float],
        nonce: int,
    ) -> None:
        self.released = 0
        """Own writes up to this one may be sent, when `auto_queue` is off."""
        self.evolved = 0
        """How many records this node's state was made of: while it stays, nothing is new here."""
        self.snapshots = Snapshots(nonce)
        self.faulted: set[str] = set()
        """Members that did not answer after `max_retries` resends."""
        self._replica = replica
        self._members = members
        self._known = known
        self._connections = connections
        self._options = options
        self._notices = notices
        self._jitter = jitter

    @property
    def _is_all_sendable(self) -> bool:
        """Whether all own writes may leave."""
        return self._options.auto_queue or self.released >= self._replica.top

    @property
    def last_sendable(self) -> int:
        """The last own write that may be sent."""
        return self._replica.top if self._options.auto_queue else self.released

    def recovered(self, peer: str) -> None:
        """A faulted peer has answered."""
        if peer in self.faulted:
            self.faulted.discard(peer)
            self._notices.note(Level.INFO, "peer.recovered", peer=peer)

    def overdue(self, session: Session, now: Now) -> list[Flight]:
        """Give the batches that are to be sent again now, with the next time noted.

        What is behind a part of a snapshot goes with it: the peer takes the parts in their order,
        and has thrown away what came without the one before.
        """
        flights: list[Flight] = []
        is_behind = False
        for flight in session.flights.values():
            is_part = isinstance(flight.message, SNAPSHOT_PARTS)
            if flight.due_ms <= now.mono_ms or (is_part and is_behind):
                flights.append(flight)
                is_behind = is_behind or is_part
        peer = session.peer_id
        for flight in flights:
            interval_ms = self._options.retry_interval_ms
            attempts = max(1, flight.attempts)
            flight.due_ms = now.mono_ms + backoff_ms(interval_ms, attempts, self._jitter)
            flight.attempts += 1
            if flight.attempts == 1:
                # The connection was full at its first time: it leaves only now.
                continue
            member = self._members.connected(peer)
            self._members.change(replace(member, retries=member.retries + 1))
            facts = batch_facts(session, flight.message) | {"attempts": flight.attempts}
            self._notices.note(Level.INFO, "batch.retried", **facts)
            if flight.attempts > self._options.max_retries and peer not in self.faulted:
                self.faulted.add(peer)
                self._notices.note(Level.WARNING, "peer.faulted", **facts)
        return flights

    def tell_neighbours_first(self, session: Session, now: Now) -> None:
        """Let a peer be told of new neighbours now, if it is about to get own writes of this node.

        It would bring these to the new neighbours, too, of whom it does not know that they get them
        from here; and so would all others.
        """
        if session.sent[self._replica.me].base < self.last_sendable:
            session.tell_have_by(now.mono_ms)

    def is_served(self, session: Session) -> bool:
        """Whether a peer was sent all that it lacked, and nothing has come since."""
        return session.served_at == self.evolved

    def next_batch(self, session: Session, now: Now) -> Flight | None:
        """Give the next batch for a peer, on its way; None when nothing is due or nothing fits."""
        window = min(self._options.window, session.credit)
        if (
            len(session.flights) >= window
            # With nothing in flight one batch asks whether a faulted peer is back.
            or (session.peer_id in self.faulted and session.flights)
            or session.is_blocked(now.mono_ms)
            or session.parted_ms is not None
        ):
            return None
        if self.is_served(session) and not self.snapshots.is_due(session.peer_id):
            return None
        wait_ms = min(self._options.retry_interval_ms, self._options.ack_timeout_ms)
        due_ms = now.mono_ms + wait_ms
        if self.snapshots.is_needed(self._replica, session):
            if not self._is_all_sendable:
                # A range has to hold all of its keys, and some may not leave yet.
                return None
            if self._is_snapshot_elsewhere(session, now):
                return None
            return self._next_of_snapshot(session, now, due_ms)
        lacked = self._lacked(session)
        if not lacked:
            session.served_at = self.evolved
        load = build_batch(
            self._replica,
            self._wanted(session, lacked, now),
            batch_id=session.batches_sent + 1,
            receiver=session,
            limits=self._options.batch,
            withheld=None if self._is_all_sendable else self._is_withheld,
        )
        if load is None:
            return None
        flight = Flight(load.batch, load.covers, load.writes, now.mono_ms, due_ms)
        session.launch(flight)
        (number, ranges), *others = lacked
        if number == self._replica.me and not others and load.writes == count(ranges):
            # Not of what is relayed: that it is served ends its delay, when it is looked at again.
            session.served_at = self.evolved
        if not self._options.require_ack:
            session.land([load.batch.id], now.mono_ms)
        return flight

    def _next_of_snapshot(self, session: Session, now: Now, due_ms: int) -> Flight | None:
        have = have_of(self._replica)
        message = self.snapshots.next_message(
            self._replica, session, have, self._options.batch, now.mono_ms
        )
        if message is None:
            return None
        if isinstance(message, SnapshotBegin):
            self._notices.note(Level.INFO, "snapshot.started", peer=session.peer_id)
        flight = Flight(message, [], 0, now.mono_ms, due_ms)
        session.launch(flight)
        return flight

    def _wanted(
        self, session: Session, lacked: Iterable[tuple[int, list[Range]]], now: Now
    ) -> Iterator[tuple[int, Range]]:
        """Give the writes that the peer lacks and that are due, own ones first."""
        me = self._replica.me
        session.note_lacked(sum(count(ranges) for number, ranges in lacked if number != me))
        rivals = [] if session.behind_least is None else self._rivals(session)
        for number, ranges in lacked:
            if number != me and self._is_left(session, number, ranges[0][0], rivals, now):
                continue
            for found in ranges:
                yield number, found

    def _is_left(
        self, session: Session, number: int, n: int, rivals: list[Known] | None, now: Now
    ) -> bool:
        """Whether a write of another node is left to others: it probably comes from one of them.

        Args:
            session: of the peer that lacks it.
            number: of its origin.
            n: its number there.
            rivals: see `_rivals`.
            now: the time.
        """
        writer = self._replica.origins[number].node_id
        if writer == session.peer_id:
            return False
        is_joined = self._connections.is_joined(session, writer)
        place = 1 if is_joined or rivals is None else self._rivals_with(number, n, rivals)
        if not place:
            return False
        patience, owed_ms = session.patience, session.oldest_sent_ms
        patience.begin(number, now.mono_ms)
        if not patience.is_over(number, now.mono_ms, owed_ms):
            return True
        if is_joined:
            # Only now: it takes a look at all neighbours.
            place += self._relays_before(session, number, n, writer)
        patience.extend(number, place)
        return not patience.is_over(number, now.mono_ms, owed_ms)

    def _rivals_with(self, number: int, n: int, rivals: list[Known]) -> int:
        """Give how many rivals have a write."""
        return sum(n in have.get(number, NONE) for have in rivals)

    def _relays_before(self, session: Session, number: int, n: int, writer: str) -> int:
        """Give how many of a peer's neighbours relay a write before this node does.

        Of those who have it, in an order that is another one for each writer: no node is to relay
        for all.
        """
        mine = order(self._replica.node_id, writer)
        return sum(
            other.peer_id in session.neighbours
            and other.peer_id != writer
            and n in other.known.get(number, NONE)
            and order(other.peer_id, writer) < mine
            for other in map(self._connections.of_peer, self._connections.active)
            if other is not None
        )

    def _rivals(self, session: Session) -> list[Known] | None:
        """Give what those have who go before this node when a peer lacks much of others.

        It would get all of that from each of its neighbours. Of those who have it, the one of the
        smallest name sends it.

        Returns:
            None when it is not known yet who they are, or what they have: the peer tells that soon.
        """
        if not session.has_told:
            return None
        rivals: list[Known] = []
        for peer in session.neighbours:
            if peer < self._replica.node_id:
                have = self._known.get(peer)
                if have is None:
                    return None
                rivals.append(have)
        return rivals

    def _is_snapshot_elsewhere(self, session: Session, now: Now) -> bool:
        """Whether a peer that needs a snapshot probably gets one from somebody else.

        It does as long as more and more arrives of what is collected here, and a patience longer.
        """
        if self.snapshots.is_due(session.peer_id) or len(self._replica.entries) <= BEHIND_MIN:
            return False
        lacked = [
            (number, ranges)
            for number, log in self._replica.haves()
            if (ranges := list(subtract(log.collected.ranges(), session.known[number])))
        ]
        writes = sum(count(ranges) for _, ranges in lacked)
        if writes != session.snapshot_lacked:
            session.snapshot_lacked = writes
            session.snapshot_ms = now.mono_ms + session.patience.length_ms
        rivals = self._rivals(session)
        is_expected = rivals is None or any(has_all(have, lacked) for have in rivals)
        return is_expected and now.mono_ms < session.snapshot_ms

    def _lacked(self, session: Session) -> list[tuple[int, list[Range]]]:
        """Give what the peer lacks of each origin of which it lacks anything."""
        lacked: list[tuple[int, list[Range]]] = []
        me, released = self._replica.me, None if self._options.auto_queue else self.released
        for number, log in self._replica.haves():
            ranges = missing(log, session.sent[number], released if number == me else None)
            if ranges:
                lacked.append((number, ranges))
            else:
                session.patience.end(number)
        return lacked

    def _is_withheld(self, key: str) -> bool:
        """Whether a key's state holds an own write that may not leave yet."""
        me, released = self._replica.me, self.released
        siblings = siblings_of(self._replica.entries[key])
        return any(s[0] == me and s[1] > released for s in siblings)

    def requeue_failed(self, sessions: Iterable[Session], now: Now) -> None:
        """Try faulted peers again at once."""
        self.faulted.clear()
        for session in sessions:
            for flight in session.flights.values():
                flight.attempts = 1
                flight.due_ms = now.mono_ms

    def tell_conflicts(self, merged: Merged) -> None:
        """Tell which concurrent writes a peer's batch made meet here."""
        replica, note = self._replica, self._notices.note

        def names(siblings: Iterable[Sibling]) -> list[str]:
            return [f"{replica.origins[s[0]].node_id}-{s[1]}" for s in siblings]

        for key, loser, winner in merged.lost:
            lost, won = names((loser, winner))
            note(Level.INFO, "conflict.lost", key=key, sync_id=lost, winner=won)
        for key in merged.keys if replica.conflicted else ():
            if key in replica.conflicted:
                ids = names(shown(siblings_of(replica.entries[key])))
                note(Level.INFO, "conflict.found", key=key, sync_id=ids)


def order(node_id: str, writer: str) -> tuple[int, str]:
    """Give where a node stands among those who relay what another one wrote."""
    return crc32(f"{node_id} {writer}".encode()), node_id


def count(ranges: Iterable[Range]) -> int:
    """Count the writes in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def has_all(have: Known, writes: Iterable[tuple[int, Iterable[Range]]]) -> bool:
    """Whether a node has all of these writes, by origin number."""
    return not any(
        True for number, ranges in writes for _ in subtract(ranges, have.get(number, NONE))
    )


def have_of(replica: Replica, only: Container[int] | None = None) -> Haves:
    """Give what this node has, as a message says it."""
    return {
        replica.origins[number]: DotSet(log.base, log.ranges_beyond())
        for number, log in replica.haves()
        if only is None or number in only
    }

"""Snapshots: for a peer that lacks what is collected here, or that differs with an equal have.

Sending all live keys is not enough. With H = the sender's have when it began: what a range
brings is merged like a batch. A sibling here whose write is in H and which the range does not
contain is a *candidate*, and so is one that others bring for a finished range with its write
in H. At the commit, in one record, the candidates still held are dropped and H joins have;
never earlier, because until then the sender may be lost with the only record of why.

While a node serves a snapshot it collects nothing. When it commits one itself it abandons
those that it serves: what it has sent may contain what the commit drops.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from softadastra.store.changes import Arrivals, Committed, Visitor
from softadastra.store.dots import DotSet, contains, subtract
from softadastra.store.doubling import Holders, holders
from softadastra.store.lives import Life
from softadastra.store.replica import Replica
from softadastra.store.siblings import siblings_of
from softadastra.sync.batches import Limits, batch_of, entry_size
from softadastra.sync.histories import lives_from
from softadastra.sync.messages import Haves, Lives, SnapshotBegin, SnapshotCommit, SnapshotRange
from softadastra.sync.records import Arrived
from softadastra.sync.session import Session
from softadastra.sync.wire import BATCH_ENTRIES_MAX

__all__ = ["Incoming", "Serving", "SnapshotMessage", "Snapshots", "Verdict"]

SnapshotMessage: TypeAlias = SnapshotBegin | SnapshotRange | SnapshotCommit

LAST_KEY: Final = "\U0010ffff" * 2
"""Behind every key but those that begin with it, which a range to the end contains as well."""


@dataclass(slots=True)
class Serving:
    """A snapshot on its way out, to one peer."""

    id: int
    have: dict[int, DotSet]
    """H: what this node had when it began."""
    link: int
    """The connection on which it was begun, or taken up again."""
    heard_ms: int
    """When the peer was last there; without it the snapshot is given up after a while."""
    sent_to: str | None = None
    """The last key that was sent; None: none was."""
    finished_to: str | None = None
    """The last key that the peer has acknowledged; it resumes there."""
    is_sent: bool = False
    """Whether the last range was sent."""
    is_committing: bool = False


@dataclass(slots=True)
class Incoming:
    """A snapshot on its way in, from one peer. It is forgotten at a restart."""

    id: int
    have: dict[int, DotSet]
    lives: dict[int, Sequence[Life]]
    decided_to: str | None = None
    """The last key of the ranges that are being made durable."""
    finished_to: str | None = None
    is_complete: bool = False
    commit: tuple[int, int] | None = None
    """The connection and the id of the commit that is being made durable."""
    candidates: set[Visitor] = field(default_factory=set)
    holders: Holders | None = None
    """Which key here held which write when that was first asked."""

    def covers(self, origin: int, n: int) -> bool:
        """Whether a write is in H."""
        dots = self.have.get(origin)
        return dots is not None and n in dots

    def is_next(self, after: str | None) -> bool:
        """Whether the range behind a key is the one to come."""
        return not self.is_complete and after in (self.decided_to, self.finished_to)

    def finish(self, last: str, *, is_end: bool) -> None:
        """Note that a range has come."""
        if self.finished_to is None or last > self.finished_to:
            self.finished_to = last
        self.is_complete = self.is_complete or is_end

    def is_finished(self, key: str) -> bool:
        """Whether the range of a key has come."""
        return self.is_complete or (self.finished_to is not None and key <= self.finished_to)

    def expect(self, replica: Replica, keys: Iterable[str], brought: set[Visitor]) -> None:
        """Note what is here of a range, in H, and not in what came of it."""
        for key in keys:
            for origin, n, *_ in siblings_of(replica.entries.get(key)):
                if self.covers(origin, n) and (key, origin, n) not in brought:
                    self.candidates.add((key, origin, n))

    def arrived(self, visitors: Iterable[Visitor]) -> None:
        """Note what others brought for ranges that have come."""
        for key, origin, n in visitors:
            if self.is_finished(key) and self.covers(origin, n):
                self.candidates.add((key, origin, n))

    def drops(self, replica: Replica) -> list[Visitor]:
        """Give the candidates that are still held."""
        return sorted(
            (key, origin, n)
            for key, origin, n in self.candidates
            if any(s[:2] == (origin, n) for s in siblings_of(replica.entries.get(key)))
        )


JOINED_MAX: Final = 1 << 24
"""Writes that may join behind rows at a commit, of one origin: 8 bytes each."""

SERVING_MAX_MS: Final = 600_000
"""How long a snapshot waits for its peer to come back and resume it: nothing is collected."""


class Verdict(Enum):
    """What to do with a message of a snapshot."""

    TAKE = 1
    ACKNOWLEDGE = 2
    """It came before."""
    IGNORE = 3
    """Something before it is missing; it comes again."""


class Snapshots:
    """The snapshots that this node serves, and those that come in; one each way with a peer.

    Args:
        nonce: drawn when the node opens.
    """

    def __init__(self, nonce: int) -> None:
        self.serving: dict[str, Serving] = {}
        self.incoming: dict[str, Incoming] = {}
        self.unequal: set[str] = set()
        """Peers that have the same writes and not the same state: they get a snapshot too."""
        self._last_id = nonce >> 1
        """Unlike those of this node's other lives: a peer resumes no snapshot of an earlier one."""

    def is_due(self, peer: str) -> bool:
        """Whether a peer is to get a snapshot, or the rest of one, whatever it lacks."""
        return peer in self.unequal or peer in self.serving

    def is_needed(self, replica: Replica, session: Session) -> bool:
        """Whether deltas cannot bring a peer what it lacks."""
        if self.is_due(session.peer_id):
            return True
        for number, log in replica.logs.items():
            collected = log.collected
            if not (collected.base or collected.above):
                continue  # nearly always
            known = session.known[number]
            is_suspect = collected.base > known.base or collected.above
            if is_suspect and not contains(known, collected):
                return True
        return False

    def greeted(self, session: Session, resume: tuple[int, str] | None) -> None:
        """A peer is here again: go on behind what it has, or begin anew."""
        serving = self.serving.get(session.peer_id)
        if serving is None:
            return
        if resume is not None and resume[0] == serving.id:
            serving.link = session.link
            serving.finished_to = serving.sent_to = resume[1]
            serving.is_sent = serving.is_committing = False
        else:
            del self.serving[session.peer_id]

    def forget_absent(self, present: Container[str], now_ms: int) -> None:
        """Give up snapshots whose peer does not come back."""
        for peer, serving in list(self.serving.items()):
            if peer in present:
                serving.heard_ms = now_ms
            elif now_ms - serving.heard_ms > SERVING_MAX_MS:
                del self.serving[peer]

    def next_message(
        self, replica: Replica, session: Session, have: Haves, limits: Limits, now_ms: int
    ) -> SnapshotMessage | None:
        """Give the next message of a peer's snapshot; None while its answers are waited for."""
        message_id = session.batches_sent + 1
        serving = self.serving.get(session.peer_id)
        if serving is None or serving.link != session.link:
            # Another connection may have taken its place, whose end knows of no beginning.
            self._last_id += 1
            number = replica.origins.number
            had = {number(origin): dots.copy() for origin, dots in have.items()}
            self.serving[session.peer_id] = Serving(self._last_id, had, session.link, now_ms)
            self.unequal.discard(session.peer_id)
            # Of an earlier one its receiver acknowledges nothing any more: it would be sent again
            # for ever, and the commit of this one would wait for it.
            session.abandon_snapshot()
            lives = lives_from(replica, session.lives_told)
            return SnapshotBegin(self._last_id, message_id, have, lives)
        if not serving.is_sent:
            return self._next_range(replica, serving, session, limits)
        if session.flights or serving.is_committing:
            return None
        serving.is_committing = True
        return SnapshotCommit(serving.id, message_id)

    def _next_range(
        self, replica: Replica, serving: Serving, session: Session, limits: Limits
    ) -> SnapshotRange:
        after = serving.sent_to
        page = replica.page(prefix="", after=after, limit=min(limits.entries, BATCH_ENTRIES_MAX))
        keys = fitting(replica, page, limits)
        is_end = len(keys) == len(page) and not replica.page(
            prefix="", after=keys[-1] if keys else after, limit=1
        )
        last = LAST_KEY if is_end else keys[-1]
        serving.sent_to = last
        serving.is_sent = is_end
        batch = batch_of(replica, keys, [], session.batches_sent + 1, session)
        return SnapshotRange(serving.id, after, last, is_end, batch)

    def fault_of(self, peer: str, message: SnapshotMessage, replica: Replica) -> str | None:
        """Say why a message of a peer's snapshot is refused; None when it is not."""
        match message:
            case SnapshotBegin():
                return unbearable(replica.origins.numbered(message.have), replica)
            case SnapshotCommit() if incoming := self.incoming.get(peer):
                # What came since it began may have made rows that were not there.
                return unbearable(incoming.have, replica)
            case _:
                return None

    def told_by(
        self, peer: str, message: SnapshotMessage, replica: Replica
    ) -> tuple[Haves, Lives] | None:
        """Give what the sender of a snapshot had, with its histories, when it matters."""
        match message:
            case SnapshotBegin():
                return message.have, message.lives
            case SnapshotCommit() if incoming := self.incoming.get(peer):
                names = replica.origins
                have = {names[number]: dots for number, dots in incoming.have.items()}
                return have, {names[number]: told for number, told in incoming.lives.items()}
            case _:
                return None

    def receive(
        self, session: Session, message: SnapshotMessage, replica: Replica
    ) -> Committed | Verdict:
        """Decide what to do with a message of a peer's snapshot."""
        peer = session.peer_id
        incoming = self.incoming.get(peer)
        if isinstance(message, SnapshotBegin):
            if incoming is None or incoming.id != message.snapshot:
                had = replica.origins.numbered(message.have)
                lives = replica.origins.numbered(message.lives)
                self.incoming[peer] = Incoming(message.snapshot, had, lives)
            return Verdict.ACKNOWLEDGE
        if isinstance(message, SnapshotCommit):
            return self._receive_commit(incoming, message, session.link, replica)
        if incoming is None or incoming.id != message.snapshot:
            return Verdict.IGNORE
        if incoming.is_next(message.after):
            incoming.decided_to = message.last
            return Verdict.TAKE
        return Verdict.ACKNOWLEDGE if incoming.is_finished(message.last) else Verdict.IGNORE

    def _receive_commit(
        self, incoming: Incoming | None, message: SnapshotCommit, link: int, replica: Replica
    ) -> Committed | Verdict:
        if incoming is None:
            return Verdict.ACKNOWLEDGE
        if incoming.id != message.snapshot or not incoming.is_complete:
            return Verdict.IGNORE
        incoming.commit = (link, message.id)
        return Committed(incoming.have, incoming.drops(replica), incoming.lives)

    def undecide(self) -> None:
        """Nothing of what was decided became durable: those ranges are yet to come."""
        for incoming in self.incoming.values():
            incoming.decided_to = incoming.finished_to

    def before_merge(self, record: Arrived, session: Session | None, replica: Replica) -> None:
        """Note the candidates that a batch or a range makes, before it is merged."""
        if not self.incoming:
            return
        message, via = record.message, None
        if isinstance(message, SnapshotRange) and session is not None:
            via = self.incoming.get(session.peer_id)
            if via is not None and via.id != message.snapshot:
                # It was decided, and the next one has begun: what this lacks says nothing of that.
                via = None
            if via is not None:
                keys = replica.keys_between(message.after, message.last)
                via.expect(replica, keys, replica.dots_of(record.arrivals))
                via.finish(message.last, is_end=message.is_end)
        visitors = replica.visitors(record.arrivals)
        for incoming in self.incoming.values():
            if incoming is not via:
                incoming.arrived(visitors)

    def whereabouts(self, peer: str, arrivals: Arrivals, replica: Replica) -> list[Visitor]:
        """Give where the writes of a range are here whose rows are collected.

        Asked of all keys, once a snapshot: that comes when digests differ, at most once a minute.
        """
        incoming = self.incoming.get(peer)
        if incoming is None:
            return []
        found: list[Visitor] = []
        for key, origin, n in replica.dots_of(arrivals):
            here = siblings_of(replica.entries.get(key))
            is_here = any(s[:2] == (origin, n) for s in here)
            if not is_here and n in replica.logs[origin].collected:
                if incoming.holders is None:
                    incoming.holders = holders(replica)
                row = incoming.holders.get((origin, n))
                if row is not None:
                    found.append((row, origin, n))
        return sorted(found)

    def committed(self, record: Committed) -> tuple[int, int] | None:
        """Note that a snapshot is over; give the connection and the id to acknowledge."""
        # What this node has sent of its own may contain what the commit has dropped.
        self.serving.clear()
        for peer, incoming in list(self.incoming.items()):
            if incoming.have is record.have:
                del self.incoming[peer]
                return incoming.commit
        return None

    def forget(self, peer: str) -> None:
        """Give up what is under way with a peer that was struck off; collection waits for it."""
        self.serving.pop(peer, None)
        self.incoming.pop(peer, None)
        self.unequal.discard(peer)

    def forget_all(self) -> None:
        """Give up all snapshots: origins have other numbers now."""
        self.serving.clear()
        self.incoming.clear()
        self.unequal.clear()

    def resume(self, peer: str) -> tuple[int, str] | None:
        """Give how far the snapshot of a peer has come, for it to go on behind that.

        One that nothing has come of, or all, is not forgotten here: it may be under way on another
        connection. If not, the next one takes its place.
        """
        incoming = self.incoming.get(peer)
        if incoming is None or incoming.finished_to is None or incoming.is_complete:
            return None
        incoming.decided_to = incoming.finished_to
        return incoming.id, incoming.finished_to

    def landed(self, peer: str, message: object) -> None:
        """Note that a message of a snapshot is durable at its peer."""
        serving = self.serving.get(peer)
        if serving is None:
            return
        if isinstance(message, SnapshotRange) and message.snapshot == serving.id:
            serving.finished_to = message.last
        elif isinstance(message, SnapshotCommit) and message.snapshot == serving.id:
            del self.serving[peer]


def unbearable(had: dict[int, DotSet], replica: Replica) -> str | None:
    """Say what of H cannot be joined; None when all of it can.

    A commit makes rows of H: more of them than fit into memory would end this node now, and at
    each recovery.
    """
    for number, dots in had.items():
        if number == replica.me and dots.top > replica.top:
            return f"a snapshot has write {dots.top} of this node, which made {replica.top}"
        log = replica.logs[number]
        ours = DotSet(log.base, log.ranges_beyond())
        joined = sum(last - first + 1 for first, last in subtract(dots.ranges(), ours))
        if joined > JOINED_MAX and (len(log) or dots.above):
            name = replica.origins[number].node_id
            return f"a snapshot has {joined} writes of {name!r} more, at most {JOINED_MAX} can join"
    return None


def fitting(replica: Replica, keys: list[str], limits: Limits) -> list[str]:
    """Give the first of these keys whose entries fit into one message; at least one."""
    size = 0
    for position, key in enumerate(keys):
        size += entry_size(key, replica.entries[key])
        if position and size > limits.size_bytes:
            return keys[:position]
    return keys

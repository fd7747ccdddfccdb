"""What becomes of single writes and single messages, told at level DEBUG.

`softadastra trace` puts the journey of a write together from it. Each message that is told of has
a name that its sender and its receiver both know: a batch its number and its connection, a word
about what a node has its number alone. So a reader pairs the two ends without looking at a clock.

Nothing here changes anything, and nothing is made up for it while nobody wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from softadastra.store.changes import Collected, Committed, Merged
from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.origins import Origin, Origins
from softadastra.store.replica import Replica
from softadastra.store.writes import Assigned
from softadastra.sync.messages import (
    Batch,
    Have,
    Hello,
    Message,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.notices import Accepted, Level, Notices
from softadastra.sync.records import Arrived
from softadastra.sync.session import Payload, Session

__all__ = ["Traces", "batch_facts"]

NONE: Final = DotSet()


class Traces:
    """Tells of one node's writes and messages.

    Args:
        replica: what this node has.
        notices: where to tell it.
    """

    __slots__ = ("_notices", "_replica", "_run")

    def __init__(self, replica: Replica, notices: Notices) -> None:
        self._replica = replica
        self._notices = notices
        self._run = Accepted(replica.node_id, 0, [], durable=False)
        """The last own writes that were told of; they may be told to others by now."""

    def accepted(self, results: Iterable[Assigned | None], *, durable: bool) -> bool:
        """Tell of own writes that are committed; give whether there was nothing to tell before."""
        waiting = self._notices.waiting
        is_first = not waiting
        run = self._run
        for result in results:
            if result is not None and result[2] != "unchanged":
                key, _, _, node_id, n = result
                if waiting and waiting[-1] is run and n == run.first + len(run.keys):
                    run.keys.append(key)
                else:
                    run = self._run = Accepted(node_id, n, [key], durable=durable)
                    waiting.append(run)
        return is_first and bool(waiting)

    def sent(self, session: Session | None, message: Message) -> None:
        """Tell that the transport took a message, of those that say what a node has."""
        if not self._notices.is_traced or session is None:
            return
        match message:
            case Batch() | SnapshotBegin() | SnapshotRange() | SnapshotCommit():
                flight = session.flights.get(message.id)
                if flight is not None and flight.attempts > 1:
                    return  # told as batch.retried
                facts = batch_facts(session, message)
                ids = sync_ids(origins_of(message), ranges_of(carried(message)))
                self._notices.note(Level.DEBUG, "batch.sent", **facts, sync_id=ids)
            case Hello(number=number) | Have(number=number):
                word = {"peer": session.peer_id, "number": f"{number:x}"}
                self._notices.note(Level.DEBUG, "have.told", **word)
            case _:
                pass

    def received(self, session: Session, message: Message) -> None:
        """Tell that a message has come; nothing of it is durable yet."""
        if not self._notices.is_traced:
            return
        match message:
            case Batch() | SnapshotBegin() | SnapshotRange() | SnapshotCommit():
                facts = batch_facts(session, message)
                self._notices.note(Level.DEBUG, "batch.received", **facts)
            case Hello(number=number) | Have(number=number):
                word = {"peer": session.peer_id, "number": f"{number:x}"}
                self._notices.note(Level.DEBUG, "have.heard", **word)
            case _:
                pass

    def merged(
        self,
        session: Session,
        record: Arrived,
        brought: Mapping[int, DotSet],
        merged: Merged,
        *,
        is_again: bool,
    ) -> None:
        """Tell what a batch has brought, and which of it only as superseded by the rest."""
        if not self._notices.is_traced:
            return
        origins, arrivals = self._replica.origins, record.arrivals
        alive: dict[int, DotSet] = {}
        siblings = [s for state in arrivals.states for s in state.siblings]
        for origin, n, *_ in (*arrivals.siblings, *siblings):
            dots = alive.setdefault(origin, DotSet())
            if n not in dots:
                dots.add(n, n)
        superseded = [
            (number, subtract(dots.ranges(), alive.get(number, NONE)))
            for number, dots in brought.items()
        ]
        facts = batch_facts(session, record.message) | {"applied": len(merged.keys)}
        facts["again"] = is_again
        facts["sync_id"] = sync_ids(origins, ranges_of(brought))
        facts["superseded"] = sync_ids(origins, superseded)
        self._notices.note(Level.DEBUG, "batch.merged", **facts)

    def acknowledged(self, session: Session, batches: list[int]) -> None:
        """Tell that batches are durable at their receiver, as it says."""
        if self._notices.is_traced:
            facts = {"peer": session.peer_id, "connection": session.connection}
            self._notices.note(Level.DEBUG, "batch.acknowledged", **facts, batches=batches)

    def confirmed(self, session: Session, batches: list[int]) -> None:
        """Tell that a peer has all that batches bring, from whomever, and did not acknowledge."""
        if self._notices.is_traced:
            facts = {"peer": session.peer_id, "connection": session.connection}
            self._notices.note(Level.DEBUG, "batch.confirmed", **facts, batches=batches)

    def collected(self, record: Collected) -> None:
        """Tell that nobody will ask for writes any more."""
        if self._notices.is_traced:
            ids = sync_ids(self._replica.origins, record.ranges.items())
            facts = {"sync_id": ids, "removed": record.keys}
            self._notices.note(Level.DEBUG, "write.collected", **facts)

    def joined(self, session: Session, record: Committed) -> None:
        """Tell what the end of a snapshot, which is not evolved yet, makes of single writes."""
        if not self._notices.is_traced:
            return
        replica, peer = self._replica, session.peer_id
        for key, number, n in record.drops:
            sync_id = f"{replica.origins[number].node_id}-{n}"
            facts = {"peer": peer, "key": key, "sync_id": sync_id}
            self._notices.note(Level.DEBUG, "write.dropped", **facts)
        fresh = []
        for number, dots in record.have.items():
            log = replica.logs.get(number)
            here = NONE if log is None else DotSet(log.base, log.ranges_beyond())
            fresh.append((number, subtract(dots.ranges(), here)))
        ids = sync_ids(replica.origins, fresh)
        self._notices.note(Level.DEBUG, "snapshot.joined", peer=peer, sync_id=ids)

    def pruned(self, first: int, last: int) -> None:
        """Tell that own writes are counted no more."""
        if self._notices.is_traced:
            self._notices.note(Level.DEBUG, "write.pruned", sync_id=self._own(first, last))

    def released(self, first: int, last: int) -> None:
        """Tell that own writes may leave that were held back."""
        if self._notices.is_traced:
            self._notices.note(Level.DEBUG, "write.released", sync_id=self._own(first, last))

    def synced(self, first: int, last: int) -> None:
        """Tell that the log was synced, and which own writes are durable by it."""
        if self._notices.is_traced:
            self._notices.note(Level.DEBUG, "wal.synced", sync_id=self._own(first, last))

    def _own(self, first: int, last: int) -> list[str]:
        return sync_ids(self._replica.origins, [(self._replica.me, [(first, last)])])


def batch_facts(session: Session, message: Payload) -> dict[str, object]:
    """Name a batch as both of its ends do."""
    return {"peer": session.peer_id, "connection": session.connection, "batch": message.id}


def origins_of(message: Payload) -> list[Origin]:
    """Give what the numbers in a message stand for."""
    match message:
        case Batch():
            return message.origins
        case SnapshotRange():
            return message.batch.origins
        case _:
            return []


def carried(message: Payload) -> dict[int, DotSet]:
    """Give the writes that a message brings, by its own numbers: claimed, and of its siblings."""
    match message:
        case Batch():
            batch = message
        case SnapshotRange():
            batch = message.batch
        case _:
            return {}
    dots: dict[int, DotSet] = {}
    for claim in batch.claims:
        dots.setdefault(claim.origin, DotSet()).add(claim.first, claim.last)
    columns = zip(batch.columns[0], batch.columns[1], strict=True)
    states = ((s[0], s[1]) for state in batch.states for s in state.siblings)
    for origin, n in (*columns, *states):
        have = dots.setdefault(origin, DotSet())
        if n not in have:
            have.add(n, n)
    return dots


def ranges_of(dots: Mapping[int, DotSet]) -> list[tuple[int, Iterable[Range]]]:
    """Give sets of writes as ranges."""
    return [(number, have.ranges()) for number, have in dots.items()]


def sync_ids(
    origins: Origins | Sequence[Origin], writes: Iterable[tuple[int, Iterable[Range]]]
) -> list[str]:
    """Name writes for people, ranges as "node-a-1..64"."""
    return [
        f"{origins[number].node_id}-{first}" + (f"..{last}" if last > first else "")
        for number, ranges in writes
        for first, last in ranges
        if first <= last
    ]

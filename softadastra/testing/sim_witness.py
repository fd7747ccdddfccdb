"""What is told to the checkers of a node's writes: what they are called, and what they had seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import RESOLUTION, TOMBSTONE, siblings_of
from softadastra.store.writes import Assigned, Assignment
from softadastra.testing.checkers.ledger import Fact, Outcome
from softadastra.testing.checkers.lineage import Lineage, Name
from softadastra.testing.sim_life import SimLife

__all__ = ["Witness"]


class Witness:
    """Looks at some writes before they are decided, and when their outcome is known.

    Args:
        life: the process that is about to write.
        lineage: what writes are called.
        asked: the writes.
        is_settlement: whether the node itself makes them, as a policy says.
    """

    def __init__(
        self,
        life: SimLife,
        lineage: Lineage,
        asked: Sequence[Assignment],
        *,
        is_settlement: bool,
    ) -> None:
        self._is_settlement = is_settlement
        self._life = life
        self._lineage = lineage
        self._asked = asked
        replica = life.engine.replica
        self._saw = {key: frozenset(self._held(replica, key)) for key, *_ in asked}
        self._changing = [
            (key, value, flags)
            for key, value, flags in asked
            if flags or value != (replica.value(key) or TOMBSTONE)
        ]

    def accepted(self, results: Sequence[Assigned | None]) -> list[Fact]:
        """Give the writes that are done.

        Args:
            results: for each that was asked for, what became of it.
        """
        replica = self._life.engine.replica
        return [
            self._fact(
                self._lineage.name(replica, replica.me, row[4]),
                assignment,
                Outcome.ACCEPTED,
                self._stamp(replica, row[0], row[4]),
            )
            for assignment, row in zip(self._asked, results, strict=True)
            if row is not None and row[2] != "unchanged"
        ]

    def unknown(self) -> list[Fact]:
        """Give the writes of which nobody knows whether they are durable; none has evolved."""
        return [
            self._fact(self._next_name(place), assignment, Outcome.UNKNOWN, 0)
            for place, assignment in enumerate(self._changing, 1)
        ]

    def _fact(self, name: Name, assignment: Assignment, outcome: Outcome, stamp: int) -> Fact:
        key, value, flags = assignment
        is_resolution = bool(flags & RESOLUTION)
        return Fact(
            *name,
            key,
            value,
            self._saw[key],
            outcome,
            stamp,
            is_resolution,
            self._is_settlement,
        )

    def _next_name(self, place: int) -> Name:
        replica, fresh = self._life.engine.replica, self._life.engine.life
        if fresh is not None:
            return Origin(replica.node_id, fresh), place
        return self._lineage.name(replica, replica.me, replica.top + place)

    def _held(self, replica: Replica, key: str) -> Iterator[Name]:
        for origin, n, *_ in siblings_of(replica.entries.get(key)):
            yield self._lineage.name(replica, origin, n)

    def _stamp(self, replica: Replica, key: str, n: int) -> int:
        siblings = siblings_of(replica.entries[key])
        return next((s[2] for s in siblings if s[:2] == (replica.me, n)), 0)

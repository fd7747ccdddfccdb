"""When index rows and tombstones may go: when nobody can ask for them any more.

Two steps. A write is *stable* when every active member has it. What is stable is collected once
this node also has everything that those members had by then: a write that did not know of a
remove may still be on its way here, and must meet the remove. A tombstone goes only with all
rows of its key, when its context is inside our own have, and when the clock has passed its
stamp: later writes here are then later in the total order too.

`reference/model.py` of the design has the histories that break without each of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from softadastra.store.changes import Collected
from softadastra.store.clock import milliseconds
from softadastra.store.dots import DotSet, contains, intersect, subtract
from softadastra.store.replica import Replica
from softadastra.store.siblings import State, context_of, siblings_of

__all__ = ["Collector", "Known"]

Known: TypeAlias = dict[int, DotSet]
"""What a node has, by origin number."""


class Collector:
    """What is known of what all members have, and how far collection may go."""

    __slots__ = ("_active", "_needed", "_stable", "known")

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        """Node id -> what it has, as it said itself or others said of it. Lost at a restart:
        nothing is collected until everybody was heard of again."""
        self._stable: Known | None = None
        self._needed: Known = {}
        self._active: frozenset[str] = frozenset()
        """Whose writes are needed. Who is no longer active may have said what nobody can bring."""

    def forget_all(self) -> None:
        """Forget what everybody has: origins have other numbers now."""
        self.known.clear()
        self._stable = None

    def hear(self, node_id: str, known: Known) -> None:
        """Take all that a node has at one moment, as it says itself, or others say of it."""
        self.known[node_id] = known

    def decide(self, replica: Replica, active: Iterable[str], wall_ms: int) -> Collected | None:
        """Decide what may go now; nothing changes in the replica.

        Args:
            replica: what this node has.
            active: the members that hold back collection.
            wall_ms: the wall clock.
        """
        members = frozenset(active)
        rows = [self.known.get(node_id) for node_id in members]
        said = [row for row in rows if row is not None]
        if not said or len(said) < len(rows):
            return None
        if self._stable is None or members != self._active:
            self._active = members
            self._stable, self._needed = barrier(replica, said)
            return None
        if not all(
            contains(DotSet(log.base, log.ranges_beyond()), dots)
            for number, dots in self._needed.items()
            for log in [replica.logs[number]]
        ):
            if not is_claimed(self._needed, said):
                # Who had it has lost it, with its disk: it will never come.
                self._stable = None
            return None
        stable, self._stable = self._stable, None
        return collectable(replica, stable, wall_ms)


def barrier(replica: Replica, rows: list[Known]) -> tuple[Known, Known]:
    """Give what every member has, and everything that any of them has."""
    needed: Known = {}
    for row in rows:
        for number, dots in row.items():
            needed.setdefault(number, DotSet()).update(dots)
    stable: Known = {}
    for number, log in replica.haves():
        everywhere = DotSet(log.base, log.ranges_beyond())
        for row in rows:
            everywhere = intersect(everywhere, row.get(number, DotSet()))
        stable[number] = everywhere
    return stable, needed


def is_claimed(needed: Known, rows: list[Known]) -> bool:
    """Whether each of these writes is still had by somebody."""
    claimed: Known = {}
    for row in rows:
        for number, dots in row.items():
            claimed.setdefault(number, DotSet()).update(dots)
    return all(contains(claimed.get(number, DotSet()), dots) for number, dots in needed.items())


def collectable(replica: Replica, stable: Known, wall_ms: int) -> Collected | None:
    """Give the stable rows that are left, and the tombstones that may go with or after them."""
    ranges = {
        number: list(subtract(dots.ranges(), replica.logs[number].collected))
        for number, dots in stable.items()
    }
    ranges = {number: found for number, found in ranges.items() if found}
    if not ranges and not replica.tombstones:
        return None
    kept = {
        key
        for number, log in replica.haves()
        for stable_here in [stable.get(number, DotSet())]
        for n, key in log.rows(above=stable_here.base)
        if n not in stable_here
    }
    keys = [
        key
        for key in replica.tombstones
        if key not in kept and may_vanish(replica, replica.entries[key], stable, wall_ms)
    ]
    return Collected(ranges, keys) if ranges or keys else None


def may_vanish(replica: Replica, state: State, stable: Known, wall_ms: int) -> bool:
    """Whether a tombstone may go, as far as it itself says."""
    siblings = siblings_of(state)
    return (
        all(n in stable.get(origin, DotSet()) for origin, n, *_ in siblings)
        and all(milliseconds(stamp) < wall_ms for _, _, stamp, *_ in siblings)
        and all(replica.logs[origin].base >= n for origin, n in context_of(state).items())
    )

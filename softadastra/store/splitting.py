"""Giving a branch of an origin's history a name of its own.

    before    (a, 1)  1 ... 100  101 ... 103          101 begins the life 9
    after     (a, 1)  1 ... 100, (a, 9)  1 ... 3

The writes stay what they are, under other numbers: what superseded what, their stamps and values.
Every node that holds the branch renames it alike, so it is the same writes everywhere.

Our own origin is always the number OWN. When our own branch is split off, OWN stands for its new
name from then on, and the old name gets another number: it is as a stranger's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from softadastra.store.changes import OWN
from softadastra.store.index import OriginLog
from softadastra.store.lives import Life, joined
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import (
    Sibling,
    State,
    context_of,
    siblings_of,
    simplest,
)

__all__ = ["Split", "split"]


class Split(NamedTuple):
    """A branch of an origin has a name of its own."""

    origin: Origin
    after: int
    """The last number that stays with the origin."""
    life: int
    """The incarnation under which the rest goes on."""


class Renaming(NamedTuple):
    """What becomes of the writes of one origin."""

    origin: int
    after: int
    kept: int
    """The number of the origin of writes up to `after`."""
    moved: int
    """The number of the origin of those behind it."""
    known: int | None
    """What those behind it were numbered by so far, where others told of them."""

    @property
    def old(self) -> tuple[int, int | None]:
        """The numbers that change their meaning."""
        return self.origin, self.known

    def sibling(self, sibling: Sibling) -> Sibling:
        """Rename a sibling."""
        origin, n, *rest = sibling
        if origin == self.known:
            return (self.moved, n, *rest)  # type: ignore[return-value]  # the rest of a Sibling
        if origin != self.origin:
            return sibling
        if n <= self.after:
            return (self.kept, n, *rest)  # type: ignore[return-value]  # the rest of a Sibling
        return (self.moved, n - self.after, *rest)  # type: ignore[return-value]  # as above

    def state(self, state: State, rank: Callable[[Sibling], object]) -> State:
        """Rename a key's state."""
        siblings = tuple({s[:2]: s for s in map(self.sibling, siblings_of(state))}.values())
        context = {o: n for o, n in context_of(state).items() if o not in self.old}
        if self.known is not None and self.known in context_of(state):
            context[self.moved] = context_of(state)[self.known]
        covered = context_of(state).get(self.origin, 0)
        if covered:
            context[self.kept] = max(context.get(self.kept, 0), min(covered, self.after))
        if covered > self.after:
            context[self.moved] = max(context.get(self.moved, 0), covered - self.after)
        # An origin's newer write supersedes its older ones without a word. These have another
        # origin now, so it has to be said.
        if self.after and any(
            s[0] == self.origin and s[1] > self.after for s in siblings_of(state)
        ):
            context[self.kept] = self.after
        context = {o: n for o, n in context.items() if n}
        return simplest(tuple(sorted(siblings, key=rank)), context)  # type: ignore[arg-type]


def split(replica: Replica, change: Split) -> None:
    """Rename the writes of an origin behind `after`, wherever they are named. It is durable."""
    origins = replica.origins
    name = Origin(change.origin.node_id, change.life)
    origin = origins.number(change.origin)
    known = origins.known(name)
    if origin == OWN:
        kept, moved = origins.rename(OWN, name), OWN
    else:
        kept, moved = origin, origins.number(name)
    renaming = Renaming(origin, change.after, kept, moved, known)
    low, high = replica.logs.pop(origin, OriginLog()).parted(change.after)
    replica.logs[renaming.kept] = low
    if known is not None and known in replica.logs:
        # Another node has told of some of the branch under its new name.
        high.absorb(replica.logs.pop(known))
    replica.logs[renaming.moved] = high
    split_lives(replica, renaming, change)
    split_named(replica, renaming, change)
    affected = [
        (key, renaming.state(state, replica.rank))
        for key, state in replica.entries.items()
        if any(s[0] in renaming.old for s in siblings_of(state))
        or any(number in context_of(state) for number in renaming.old)
    ]
    replica.replace(affected)
    lost = [
        item._replace(loser=renaming.sibling(item.loser), winner=renaming.sibling(item.winner))
        for item in replica.lost
    ]
    replica.lost.clear()
    replica.lost += lost


def split_lives(replica: Replica, renaming: Renaming, change: Split) -> None:
    """Give each name the lives that are its own."""
    lives = replica.lives.pop(renaming.origin, [])
    replica.lives[renaming.kept] = [life for life in lives if life.first <= change.after]
    branch = [
        Life(life.first - change.after, life.id) for life in lives if life.first > change.after
    ]
    known = replica.lives.pop(renaming.known, []) if renaming.known is not None else []
    replica.lives[renaming.moved] = joined(
        change.life, known, [life for life in branch if life.first > 1]
    )


def split_named(replica: Replica, renaming: Renaming, change: Split) -> None:
    """Give each name the numbers that came in contexts."""
    named = replica.named.pop(renaming.origin, 0)
    moved = replica.named.pop(renaming.known, 0) if renaming.known is not None else 0
    replica.named[renaming.kept] = min(named, change.after)
    replica.named[renaming.moved] = max(named - change.after, moved)

"""Which siblings here a peer's batch supersedes without saying so.

Its sender had the write, and the state that it sent does not hold it: so it is superseded there.
Nearly always the state says so itself. Not when a tombstone was collected there and the key was
written again: then nothing but this tells a write that knew of the remove from one that did not,
and `keep_local` at the node that made the remove would take the new write back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from softadastra.store.changes import Arrivals, Visitor
from softadastra.store.dots import DotSet
from softadastra.store.replica import Replica
from softadastra.store.siblings import State, context_of, covers, siblings_of

__all__ = ["outlived"]

NOTHING = DotSet()


def outlived(replica: Replica, arrivals: Arrivals, told: Mapping[int, DotSet]) -> list[Visitor]:
    """Give the siblings here that a batch supersedes without naming them.

    Args:
        replica: what this node holds.
        arrivals: the batch.
        told: what its sender had before it made the batch, by origin number. What it had later
            says nothing of the states in the batch.
    """
    entries = replica.entries
    if entries.keys().isdisjoint(arrivals.keys):
        return []
    theirs: Iterable[State] = chain(arrivals.siblings, arrivals.states)
    return [
        visitor
        for key, state in zip(arrivals.keys, theirs, strict=True)
        if (ours := entries.get(key)) is not None and not continues(ours, state)
        for visitor in unnamed(key, ours, state, told)
    ]


def continues(ours: State, theirs: State) -> bool:
    """Whether both are single writes of one origin, as nearly always: then the later one stands."""
    return type(ours) is tuple and type(theirs) is tuple and ours[0] == theirs[0]


def unnamed(key: str, ours: State, theirs: State, told: Mapping[int, DotSet]) -> Iterator[Visitor]:
    """Give our siblings of a key that the sender had, and neither holds nor names."""
    siblings, context = siblings_of(theirs), context_of(theirs)
    for origin, n, *_ in siblings_of(ours):
        if (
            n in told.get(origin, NOTHING)
            and not covers(siblings, context, origin, n)
            and all(s[:2] != (origin, n) for s in siblings)
        ):
            yield key, origin, n

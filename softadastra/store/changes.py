"""What changes a replica: values that are decided, made durable, and then evolved.

Each is one record in the log, or a part of one. Origins are numbers (`origins.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from softadastra.store.dots import DotSet, Range
from softadastra.store.lives import Life
from softadastra.store.siblings import KeyState, Sibling, State

__all__ = [
    "OWN",
    "Arrivals",
    "Claim",
    "Collected",
    "Committed",
    "Lost",
    "Merged",
    "OwnWrites",
    "Replacement",
    "Visitor",
    "Write",
    "Writes",
]

OWN = 0
"""The number of this node's own origin: the first that a replica meets."""


NO_LIVES: Final[Mapping[int, Sequence[Life]]] = {}


class Write(NamedTuple):
    """This node's next write, decided and not yet done: all that is left of its key is one sibling.

    Nearly every put is one, and takes half the time of `Writes` with one row. One record in the
    log. Named tuples, not dataclasses: one is made at each put (2x faster).
    """

    clock: int
    """The local clock after it."""
    key: str
    sibling: Sibling

    # As `Writes` has them, for readers of both.

    @property
    def first(self) -> int:
        """Its number."""
        return self.sibling[1]

    @property
    def keys(self) -> list[str]:
        """Its key."""
        return [self.key]

    @property
    def states(self) -> list[State]:
        """What it makes of the key."""
        return [self.sibling]


class Writes(NamedTuple):
    """This node's next writes, decided and not yet done. One record in the log."""

    first: int
    """The number of the first write; the others follow without a gap."""
    clock: int
    """The local clock after them."""
    keys: list[str]
    states: list[State]
    """What each write makes of its key; a later one of the same key replaces it."""


OwnWrites: TypeAlias = Write | Writes
"""What this node's own writes are decided as."""


class Claim(NamedTuple):
    """Consecutive writes of one origin that a batch brings, by the position of their entry.

    Each run is (count, position, stride): stride 1 for writes of consecutive entries, 0 for
    writes of one and the same entry.
    """

    origin: int
    first: int
    runs: list[tuple[int, int, int]]

    @property
    def last(self) -> int:
        """The number of the last of them."""
        return self.first + sum([count for count, _, _ in self.runs]) - 1


class Arrivals(NamedTuple):
    """A peer's batch, with origins by our numbers."""

    claims: list[Claim]
    keys: list[str]
    """The keys of `siblings`, then those of `states`, each once."""
    siblings: list[Sibling]
    """Entries with one sibling and no context: nearly all."""
    states: list[KeyState]
    lives: Mapping[int, Sequence[Life]] = NO_LIVES
    """Of the origins whose writes it brings: those that its receiver may not know."""

    def top_of(self, origin: int) -> int:
        """Give the highest number of an origin that it brings or names, 0 when it does neither."""
        tops = [claim.last for claim in self.claims if claim.origin == origin]
        tops += [sibling[1] for sibling in self.siblings if sibling[0] == origin]
        for state in self.states:
            tops += [sibling[1] for sibling in state.siblings if sibling[0] == origin]
            tops.append(state.context.get(origin, 0))
        return max(tops, default=0)

    def dots(self) -> set[Visitor]:
        """Give all of its siblings."""
        dots = {(key, s[0], s[1]) for key, s in zip(self.keys, self.siblings, strict=False)}
        for key, state in zip(self.keys[len(self.siblings) :], self.states, strict=True):
            dots.update((key, s[0], s[1]) for s in state.siblings)
        return dots


class Lost(NamedTuple):
    """A write that did not know of another one, and lost to it."""

    key: str
    loser: Sibling
    winner: Sibling


class Merged(NamedTuple):
    """What a batch changed."""

    keys: list[str]
    """Whose entries changed here."""
    lost: list[Lost]
    known: list[tuple[str, Sibling]]
    """Siblings that came, of writes that were here: the same ones, but for `doubling.py`."""


class Collected(NamedTuple):
    """Index rows that nobody will ask for, and tombstones that go with theirs."""

    ranges: dict[int, list[Range]]
    keys: list[str]


Replacement: TypeAlias = tuple[str, State | None, State]
"""A key, its state before and its state now."""

Visitor: TypeAlias = tuple[str, int, int]
"""A sibling of a key: (key, origin number, n)."""


class Committed(NamedTuple):
    """The end of a snapshot: what its sender had, and which of our siblings are obsolete."""

    have: dict[int, DotSet]
    drops: list[Visitor]
    lives: Mapping[int, Sequence[Life]] = NO_LIVES
    """Of the origins of `have`."""

    def top_of(self, origin: int) -> int:
        """Give the highest number of an origin that is had then, 0 when none is."""
        return self.have[origin].top if origin in self.have else 0

"""Every write that a simulated cluster took, and what may have become of it.

An accepted write may be lost in two ways only, and both are known here by name: every disk
that held it durably was lost or damaged, or its own node lost power before the sync that
`auto_flush=False` puts off. All others are there in the end, or were superseded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from softadastra.store.origins import Origin

__all__ = ["Dot", "Fact", "Ledger", "Outcome"]

Dot: TypeAlias = tuple[Origin, int]
"""The n-th write of an origin."""


class Outcome(Enum):
    """What is known of a write."""

    ACCEPTED = 1
    UNKNOWN = 2
    """The sync failed: it is durable, or it is not."""


@dataclass(slots=True)
class Fact:
    """One write."""

    origin: Origin
    n: int
    key: str
    packed: bytes
    """The packed value; TOMBSTONE for a remove."""
    saw: frozenset[Dot]
    """The siblings that its node held for the key."""
    outcome: Outcome
    stamp: int = 0
    """What its node gave it; 0: nobody knows, because its outcome was not known, or because a
    later write of the same record replaced it at once."""

    @property
    def dot(self) -> Dot:
        """Its name."""
        return self.origin, self.n

    def __str__(self) -> str:
        return f"{self.origin.node_id}-{self.n}"


class Ledger:
    """The writes of a cluster, by origin and number."""

    def __init__(self) -> None:
        self._facts: dict[Origin, list[Fact]] = {}
        self.may_be_lost: set[Dot] = set()
        """Writes whose every durable copy was lost or damaged."""

    def __iter__(self) -> Iterator[Fact]:
        for facts in self._facts.values():
            yield from facts

    def __len__(self) -> int:
        return sum(map(len, self._facts.values()))

    def fact(self, dot: Dot) -> Fact | None:
        """Give a write; None when there was never one of this name."""
        origin, n = dot
        facts = self._facts.get(origin, ())
        return facts[n - 1] if n <= len(facts) else None

    def top(self, origin: Origin) -> int:
        """Give the number of an origin's last write."""
        return len(self._facts.get(origin, ()))

    def above(self, origin: Origin, top: int) -> Sequence[Fact]:
        """Give the writes of an origin above `top`."""
        return self._facts.get(origin, [])[top:]

    def record(self, facts: Sequence[Fact]) -> None:
        """Add writes that follow the last one of their origin."""
        for fact in facts:
            self._facts.setdefault(fact.origin, []).append(fact)

    def cut(self, origin: Origin, top: int) -> None:
        """Strike off the writes above `top`: their node lost them, and gives the numbers again."""
        facts = self._facts.get(origin, [])
        self.may_be_lost -= {fact.dot for fact in facts[top:]}
        del facts[top:]

    def lose(self, dots: Iterable[Dot]) -> None:
        """Take in that the last durable copy of these is lost or damaged."""
        self.may_be_lost.update(dots)

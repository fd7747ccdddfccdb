"""Every write that a simulated cluster took, and what may have become of it.

An accepted write may be lost in two ways only, and both are known here by name: every disk
that held it durably was lost or damaged, or its own node lost power before the sync that
`auto_flush=False` puts off. All others are there in the end, or were superseded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from softadastra.store.origins import Origin
from softadastra.testing.checkers.lineage import Name

__all__ = ["Fact", "Ledger", "Outcome"]


class Outcome(Enum):
    """What is known of a write."""

    ACCEPTED = 1
    UNKNOWN = 2
    """The sync failed: it is durable, or it is not."""


@dataclass(slots=True)
class Fact:
    """One write."""

    life: Origin
    """The life that made it, under the name of its node."""
    n: int
    """As its how manyth."""
    key: str
    packed: bytes
    """The packed value; TOMBSTONE for a remove."""
    saw: frozenset[Name]
    """The siblings that its node held for the key."""
    outcome: Outcome
    stamp: int = 0
    """What its node gave it; 0: nobody knows, because its outcome was not known, or because a
    later write of the same record replaced it at once."""
    is_resolution: bool = False
    """Whether it settles a conflict: of several the greatest counts."""
    is_settlement: bool = False
    """Whether no program wrote it, but the node itself, as a policy says."""

    @property
    def name(self) -> Name:
        """What no renaming changes."""
        return self.life, self.n

    def __str__(self) -> str:
        return in_words(self.name)


def in_words(name: Name) -> str:
    """Give a name in words: node, a few digits of the life, and the number in it."""
    life, n = name
    return f"{life.node_id}:{life.incarnation & 0xFFFF:04x}-{n}"


class Ledger:
    """The writes of a cluster, by life and number."""

    def __init__(self) -> None:
        self._facts: dict[Origin, list[Fact]] = {}
        self.may_be_lost: set[Name] = set()
        """Writes whose every durable copy was lost or damaged, or that never had one."""
        self.is_set_back = False
        """Whether a member has come, or may come, back with less than others believe it to have:
        wiped, restored, or away for so long that it held back collection no more; or is met after
        others have collected, who had not heard of it."""

    def __iter__(self) -> Iterator[Fact]:
        for facts in self._facts.values():
            yield from facts

    def __len__(self) -> int:
        return sum(map(len, self._facts.values()))

    def fact(self, name: Name) -> Fact | None:
        """Give a write; None when there was never one of this name."""
        life, n = name
        facts = self._facts.get(life, ())
        return facts[n - 1] if n <= len(facts) else None

    def top(self, life: Origin) -> int:
        """Give how many writes a life made."""
        return len(self._facts.get(life, ()))

    def record(self, facts: Sequence[Fact]) -> None:
        """Add writes that follow the last one of their life."""
        for fact in facts:
            self._facts.setdefault(fact.life, []).append(fact)

    def lose(self, names: Iterable[Name]) -> None:
        """Take in that there is no durable copy of these."""
        self.may_be_lost.update(names)

    def regain(self, names: Iterable[Name]) -> None:
        """Take in that there is one again: an old copy of a log was brought back."""
        self.may_be_lost.difference_update(names)

    def superseded_by(self, facts: Iterable[Fact]) -> set[Name]:
        """Give all writes that the writers of these had seen, themselves or by one that had."""
        superseded: set[Name] = set()
        unexamined = [name for fact in facts for name in fact.saw]
        while unexamined:
            name = unexamined.pop()
            if name not in superseded:
                superseded.add(name)
                fact = self.fact(name)
                unexamined += fact.saw if fact is not None else ()
        return superseded

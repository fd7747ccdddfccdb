"""Names of writes that no renaming changes: the life that made them, and their place in it.

A branch of an origin's history that has parted goes on under another name, and its writes under
other numbers (`store/splitting.py`). What stays is which opening of the log gave a number out, and
as its how manyth. So the checkers speak of writes by that: it is the same before and after.

    the dot (a, 103), whose life 9 began with 101    the name (a, 9), 3
    split off, the dot (a:9, 3)                      the name (a, 9), 3
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from softadastra.store.dots import DotSet
from softadastra.store.lives import Life, history
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.sync.messages import Haves

__all__ = ["Lineage", "Name"]

Name: TypeAlias = tuple[Origin, int]
"""The n-th write of a life; the life stands where an origin has its incarnation."""


class Lineage:
    """Gives writes their names."""

    def __init__(self) -> None:
        self._copied: dict[Origin, Origin] = {}
        self.doubled: set[Origin] = set()
        """Lives whose writes were renamed by one who had met nobody: a copy of an outbox. Where the
        original was met too, they are there twice, and know nothing of each other."""

    def copied(self, new: Origin, old: Origin, lives: Sequence[Life]) -> None:
        """Take in that all writes of an origin go on under another name, as nobody was ever met.

        Args:
            new: their name from then on.
            old: their first life.
            lives: all of them.
        """
        self._copied[new] = self._copied.get(old, old)
        self.doubled.update(self._life(old.node_id, life) for life in lives)

    def name(self, replica: Replica, number: int, n: int) -> Name:
        """Give the name of a write, by the number that its origin has in a replica."""
        lives = replica.history(number)
        life = lives[bisect_right(lives, n, key=lambda life: life.first) - 1]
        return self._life(replica.origins[number].node_id, life), n - life.first + 1

    def all_names(self, replica: Replica) -> Haves:
        """Give the names of all writes that a replica has."""
        origins = replica.origins
        have = {
            origins[number]: DotSet(log.base, log.ranges_beyond())
            for number, log in replica.haves()
        }
        return self.names(have, {origins[number]: told for number, told in replica.lives.items()})

    def origins(self, replica: Replica) -> dict[Origin, tuple[Origin, int]]:
        """Give under which origin a replica has each life, and how many writes come before it."""
        return {
            self._life(replica.origins[number].node_id, life): (
                replica.origins[number],
                life.first - 1,
            )
            for number, _ in replica.haves()
            for life in replica.history(number)
        }

    def names(self, have: Haves, lives: Mapping[Origin, Sequence[Life]]) -> Haves:
        """Give the names of writes.

        Args:
            have: the writes.
            lives: of their origins, but for those that are named by an incarnation.
        """
        named: dict[Origin, DotSet] = {}
        for origin, dots in have.items():
            past = history(origin.incarnation, lives.get(origin, ()))
            ends = [life.first - 1 for life in past[1:]] + [dots.top]
            for life, end in zip(past, ends, strict=True):
                for first, last in dots.ranges():
                    low, high = max(first, life.first), min(last, end)
                    if low <= high:
                        name = self._life(origin.node_id, life)
                        place = low - life.first + 1
                        named.setdefault(name, DotSet()).add(place, place + high - low)
        return named

    def _life(self, node_id: str, life: Life) -> Origin:
        name = Origin(node_id, life.id)
        return self._copied.get(name, name)

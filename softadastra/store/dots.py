"""Sets of write numbers of one origin: all up to a base, and ranges above it.

Numbers start at 1 and rise by 1, so nearly always the set is just its base. The ranges are
inclusive, sorted, disjoint, and never touch each other or the base.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TypeAlias

__all__ = ["DotSet", "Range", "contains", "intersect", "subtract"]

Range: TypeAlias = tuple[int, int]


class DotSet:
    """A set of write numbers of one origin."""

    __slots__ = ("above", "base")

    def __init__(self, base: int = 0, above: Iterable[Range] = ()) -> None:
        self.base = base
        self.above: list[Range] = list(above)

    def __contains__(self, n: int) -> bool:
        if n <= self.base or not self.above:
            return n <= self.base
        # The first range that ends at n or behind it.
        position = bisect_left(self.above, n, key=itemgetter(1))
        return position < len(self.above) and self.above[position][0] <= n

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DotSet):
            return NotImplemented
        return self.base == other.base and self.above == other.above

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"DotSet({self.base}, {self.above})"

    def copy(self) -> DotSet:
        """Give an independent copy."""
        return DotSet(self.base, self.above)

    @property
    def top(self) -> int:
        """The highest number in the set, 0 when it is empty."""
        return self.above[-1][1] if self.above else self.base

    def ranges(self) -> Iterator[Range]:
        """Give all of the set as ranges, lowest first."""
        if self.base:
            yield 1, self.base
        yield from self.above

    def add(self, first: int, last: int) -> None:
        """Add the numbers from first to last."""
        if first <= self.base + 1:
            if last <= self.base:
                return
            self.base = last
            while self.above and self.above[0][0] <= self.base + 1:
                self.base = max(self.base, self.above.pop(0)[1])
            return
        # A range that ends right before `first` joins, so look from first - 1 on.
        low = bisect_left(self.above, first - 1, key=itemgetter(1))
        high = low
        while high < len(self.above) and self.above[high][0] <= last + 1:
            first, last = min(first, self.above[high][0]), max(last, self.above[high][1])
            high += 1
        self.above[low:high] = [(first, last)]

    def update(self, other: DotSet) -> None:
        """Add all numbers of another set."""
        for first, last in other.ranges():
            self.add(first, last)


def intersect(mine: DotSet, theirs: DotSet) -> DotSet:
    """Give the numbers that are in both."""
    both = DotSet()
    for first, last in mine.ranges():
        for low, high in theirs.ranges():
            if max(first, low) <= min(last, high):
                both.add(max(first, low), min(last, high))
    return both


def contains(mine: DotSet, theirs: DotSet) -> bool:
    """Whether all numbers of `theirs` are in `mine`."""
    return not any(True for _ in subtract(theirs.ranges(), mine))


def subtract(mine: Iterable[Range], theirs: DotSet) -> Iterator[Range]:
    """Give the ranges of `mine`, sorted, without the numbers of `theirs`."""
    above = theirs.above
    for first, last in mine:
        start = max(first, theirs.base + 1)
        for low, high in above:
            if high < start:
                continue
            if low > last:
                break
            if low > start:
                yield start, low - 1
            start = max(start, high + 1)
        if start <= last:
            yield start, last

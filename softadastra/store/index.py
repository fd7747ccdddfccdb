"""The index: per origin, the key of each write that this node has, superseded ones included.

With it a catch-up costs what the peer lacks, not what the store holds; it is the outbox and
the relay queue of all peers at once. Superseded writes stay in it: if a batch could claim a
write while the one that replaced it comes later, a link that dies in between would leave a
node that claims a value it does not hold, and a third node would drop the only copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, cast

from softadastra.store.dots import DotSet, Range

__all__ = ["OriginLog", "Stretch", "count_of"]


class Stretch(NamedTuple):
    """Rows in order, from some write on."""

    first: int
    keys: Sequence[str | None]
    size: int
    """So many of them; what is behind came later."""


class OriginLog:
    """The writes of one origin that this node has. 8 bytes a write that is not collected.

    Invariant H: n is in here exactly when this node holds the value of the write n, or of one
    that superseded it.
    """

    __slots__ = ("_is_lent", "_rows", "beyond", "collected")

    def __init__(self) -> None:
        self.collected = DotSet()
        """The writes that are here without a row. All up to its base, and some above."""
        self._rows: list[str | None] = []
        """The keys of the writes above `collected.base`, without a gap; None: collected."""
        self._is_lent = False
        """Whether somebody reads `_rows` as they were: they are added to, and else not changed."""
        self.beyond: dict[int, str | None] = {}
        """The keys of writes above the first gap; nearly always empty."""

    @property
    def base(self) -> int:
        """All writes up to this number are here."""
        return self.collected.base + len(self._rows)

    @property
    def top(self) -> int:
        """The highest number that is here."""
        return max(self.beyond) if self.beyond else self.base

    def __contains__(self, n: int) -> bool:
        return n <= self.collected.base + len(self._rows) or n in self.beyond

    def __len__(self) -> int:
        """Count the rows, collected ones between others included."""
        return len(self._rows) + len(self.beyond)

    def key(self, n: int) -> str | None:
        """Give the key of write n, which must be here; None when its row is collected."""
        position = n - self.collected.base - 1
        if position < 0:
            return None
        return self._rows[position] if position < len(self._rows) else self.beyond[n]

    def keys(self, first: int, last: int) -> list[str]:
        """Give the keys of writes from first to last: all of them are here, none collected."""
        start = first - self.collected.base - 1
        found = self._rows[start : start + last - first + 1]
        found += [self.beyond[n] for n in range(first + len(found), last + 1)]
        assert all(found), "what is collected has no row"
        return cast("list[str]", found)

    def add(self, n: int, key: str) -> None:
        """Add write n; adding one that is here changes nothing."""
        self._add(n, key)

    def _add(self, n: int, key: str | None) -> None:
        base = self.base
        if n == base + 1:
            self._rows.append(key)
            self._join()
        elif n > base:
            self.beyond.setdefault(n, key)

    def follow(self, n: int, key: str) -> None:
        """Add write n, which is nearly always the next one."""
        if n == self.collected.base + len(self._rows) + 1 and not self.beyond:
            self._rows.append(key)
        else:
            self._add(n, key)

    def extend(self, first: int, keys: list[str]) -> None:
        """Add the writes from `first` on."""
        if first == self.collected.base + len(self._rows) + 1 and not self.beyond:
            self._rows += keys
        else:
            for n, key in enumerate(keys, first):
                self._add(n, key)

    def collect(self, first: int, last: int) -> None:
        """Let go the rows of these writes, and take those that are not here for had."""
        base, gone = self.base, self.collected.base
        if self._is_lent:
            self._rows, self._is_lent = self._rows.copy(), False
        if first > gone + 1:
            # Those that follow what is collected leave with the front of the rows, below.
            for n in range(first, min(last, base) + 1):
                self._rows[n - gone - 1] = None
        if last > base and (len(self) or first > base + 1):
            self._collect_beyond(max(first, base + 1), last)
        self.collected.add(first, last)
        del self._rows[: self.collected.base - gone]

    def _collect_beyond(self, first: int, last: int) -> None:
        if first == self.base + 1:
            self._rows += [None] * (last - first + 1)
            self.beyond = {n: key for n, key in self.beyond.items() if n > last}
            self._join()
        else:
            self.beyond.update(dict.fromkeys(range(first, last + 1)))

    def _join(self) -> None:
        """Move what the end of the rows has reached to them."""
        beyond = self.beyond
        while beyond and (n := self.base + 1) in beyond:
            self._rows.append(beyond.pop(n))

    @classmethod
    def restored(cls, have: DotSet, collected: DotSet) -> OriginLog:
        """Make the writes that are had again, none of them with a row."""
        log = cls()
        log.collected = collected.copy()
        log._rows = [None] * (have.base - collected.base)
        for first, last in have.above:
            log.beyond.update(dict.fromkeys(range(first, last + 1)))
        return log

    def fill(self, numbers: Iterable[int], keys: Iterable[str]) -> None:
        """Give writes that are had their rows again, but for those that are collected."""
        collected, rows, beyond = self.collected, self._rows, self.beyond
        first = collected.base + 1
        is_whole = not collected.above
        for n, key in zip(numbers, keys, strict=False):
            if n >= first and (is_whole or n not in collected):
                if n - first < len(rows):
                    rows[n - first] = key
                else:
                    beyond[n] = key

    def lend(self) -> list[Stretch]:
        """Give all rows as they are now, to be read while others are added and collected."""
        self._is_lent = True
        found = [Stretch(self.collected.base + 1, self._rows, len(self._rows))]
        found += (Stretch(n, [key], 1) for n, key in self.beyond.items())
        return found

    def parted(self, after: int) -> tuple[OriginLog, OriginLog]:
        """Give the writes up to `after`, and those behind it numbered from 1."""
        low, high = OriginLog(), OriginLog()
        for first, last in self.collected.ranges():
            if first <= after:
                low.collect(first, min(last, after))
            if last > after:
                high.collect(max(first - after, 1), last - after)
        for n, key in self.rows():
            if n <= after:
                low.add(n, key)
            else:
                high.add(n - after, key)
        return low, high

    def absorb(self, other: OriginLog) -> None:
        """Add all writes of another log of the same origin."""
        for n, key in other.rows():
            self.add(n, key)
        for first, last in other.collected.ranges():
            self.collect(first, last)

    def rows(self, above: int = 0) -> Iterator[tuple[int, str]]:
        """Give the writes above a number that have a row, with their keys."""
        start = max(0, above - self.collected.base)
        for n, key in enumerate(islice(self._rows, start, None), self.collected.base + start + 1):
            if key is not None:
                yield n, key
        for n, key in self.beyond.items():
            if key is not None and n > above:
                yield n, key

    def ranges(self) -> Iterator[Range]:
        """Give the numbers that are here as sorted ranges."""
        if self.base:
            yield 1, self.base
        yield from self.ranges_beyond()

    def ranges_beyond(self) -> Iterator[Range]:
        """Give the numbers above the base as sorted ranges."""
        if not self.beyond:
            return
        numbers = iter(sorted(self.beyond))
        first = last = next(numbers)
        for n in numbers:
            if n != last + 1:
                yield first, last
                first = n
            last = n
        yield first, last


def count_of(logs: Mapping[int, OriginLog], numbers: Iterable[int]) -> int:
    """Count the writes that are here of some origins, by number."""
    # Looking adds no origin: their order is what batches follow.
    count = 0
    for number in numbers:
        log = logs.get(number)
        if log is not None:
            count += log.base + len(log.beyond)
    return count

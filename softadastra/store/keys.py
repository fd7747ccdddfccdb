"""The keys as they came, for who reads all of them beside changes, and in order, for scans.

The list of them as they came is only ever added to, so that its reader copies nothing and nobody
waits for him: to list a million keys of a dict takes 10 ms. A key that leaves stays in it until a
quarter have left.

The order is made at the first scan, which then costs what it returns; a store that is never scanned
pays nothing for it. New keys gather unsorted until the next scan. A key whose value was removed
stays: the reader looks it up.

The keys are in parts of about a thousand, each sorted. To make them of a million takes half a
second, and a sort in one call lets no other thread run meanwhile, whatever lock it holds. So runs
of a few thousand are sorted, cut at samples of all of them, and what is between two samples is
merged (Shi and Schaeffer, "Parallel Sorting by Regular Sampling", 1992). Whoever shares the store
with others makes the order of what is listed on his own, and hands it back; what changes meanwhile
is caught up with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final, NamedTuple

__all__ = ["Listed", "OrderedKeys", "Parts", "Unordered", "in_order"]

RUN_KEYS: Final = 8_192
"""Sorted in one call: 2 ms (measured). Python lets another thread run every 5 ms."""
PART_KEYS: Final = 1_024
"""About so many are in a part, and at most twice as many: inserting moves half of these."""
BEHIND_PART: Final = 4
"""Of how many keys one has changed when it takes less to make the order anew (measured)."""
GONE_PART: Final = 4
"""Of how many listed keys one has left when all that have are struck off: 30 ms for a million."""

Parts = list[list[str]]
"""Keys in order: none of these is empty, and none is longer than `2 * PART_KEYS`."""


class Listed(NamedTuple):
    """The keys at one moment, and some that had left by then. Readable beside changes."""

    keys: Sequence[str]
    size: int
    """So many of them; what is behind came later."""


class Unordered(NamedTuple):
    """What an order is to be made of."""

    listed: Listed
    gone: frozenset[str]
    """Of these, the keys that had left."""
    number: int
    """Of the order."""


class OrderedKeys:
    """All keys of a store, as they came and in code-point order. Not thread-safe."""

    __slots__ = ("_changed", "_gone", "_is_made", "_lasts", "_listed", "_number", "_parts")

    def __init__(self) -> None:
        self._listed: list[str] = []
        """The keys as they came, each once. It is added to, and else replaced."""
        self._gone: set[str] = set()
        """The listed keys that have left; nearly always none."""
        self._parts: Parts = []
        self._lasts: list[str] = []
        """The last key of each part."""
        self._is_made = False
        self._number = 0
        """Of the order that is made, or begun; 0: nobody has asked for any."""
        self._changed: list[str] = []
        """Keys that came or went since it was begun, and are yet to be caught up with."""

    @property
    def behind(self) -> int | None:
        """How many keys are to be caught up with; None when the order is yet to be made."""
        return len(self._changed) if self._is_made else None

    @property
    def listed(self) -> Listed:
        """The keys as they came."""
        return Listed(self._listed, len(self._listed))

    def came(self, key: str) -> None:
        """Take in that a key is new to the store."""
        if key in self._gone:
            self._gone.discard(key)
        else:
            self._listed.append(key)
        if self._number:
            self._changed.append(key)

    def came_all(self, keys: Collection[str]) -> None:
        """Take in that keys are new to the store."""
        if self._gone:
            for key in keys:
                self.came(key)
            return
        self._listed += keys
        if self._number:
            self._changed += keys

    def left(self, key: str) -> None:
        """Take in that a key has left the store."""
        self._gone.add(key)
        if len(self._gone) * GONE_PART > len(self._listed):
            self._listed = [key for key in self._listed if key not in self._gone]
            self._gone = set()
        if self._number:
            self._changed.append(key)

    def begin(self, keys: Collection[str]) -> Unordered | None:
        """Begin to make the order. Several may, one of whom is first.

        Returns:
            What to make it of; None when it is made, and not far behind.
        """
        if self._is_made and len(self._changed) * BEHIND_PART <= len(keys):
            return None
        if self._is_made or not self._number:
            self._is_made = False
            self._parts, self._lasts, self._changed = [], [], []
            self._number += 1
        return Unordered(self.listed, frozenset(self._gone), self._number)

    def adopt(self, parts: Parts, number: int) -> None:
        """Take the order of what `begin` gave, unless another one was made meanwhile."""
        if not self._is_made and number == self._number:
            self._is_made = True
            self._parts = parts
            self._lasts = [part[-1] for part in parts]

    def catch_up(self, keys: Collection[str], limit: int | None = None) -> None:
        """Take in up to `limit` of the keys that came or went; None: all."""
        first = max(0, len(self._changed) - limit) if limit else 0
        taken = self._changed[first:]
        del self._changed[first:]
        for key in taken:
            if key in keys:
                self._add(key)
            else:
                self._discard(key)

    def page(
        self, keys: Collection[str], *, prefix: str, after: str | None, limit: int
    ) -> list[str]:
        """Give up to `limit` keys with the prefix, in order, that come after `after`.

        Args:
            keys: all keys, of which the order is made at the first call.
            prefix: what each key starts with.
            after: the last key of the page before; None for the first page.
            limit: how many keys to return at most.
        """
        is_within = after is not None and after >= prefix
        index, at = self._place(keys, after if is_within and after is not None else prefix)
        found: list[str] = []
        for part in islice(self._parts, index, None):
            some = part[at : at + limit + is_within - len(found)]
            at = 0
            if some and not some[-1].startswith(prefix):
                found += some[: bisect_right(some, prefix, key=lambda key: key[: len(prefix)])]
                break
            found += some
            if len(found) >= limit + is_within:
                break
        if is_within and found and found[0] == after:
            del found[0]
        return found[:limit]

    def between(self, keys: Collection[str], *, after: str | None, last: str) -> list[str]:
        """Give the keys behind `after` up to `last`.

        Args:
            keys: all keys, of which the order is made at the first call.
            after: None: from the first one on.
            last: the last key, whether it is there or not.
        """
        index, at = self._place(keys, after or "")
        found: list[str] = []
        for part in islice(self._parts, index, None):
            end = bisect_right(part, last)
            found += part[at:end]
            if end < len(part):
                break
            at = 0
        return found[1:] if found and found[0] == after else found

    def _place(self, keys: Collection[str], first: str) -> tuple[int, int]:
        """Give in which part a key is, or would be, and where in that."""
        unordered = self.begin(keys)
        if unordered is not None:
            self.adopt(in_order(unordered), unordered.number)
        self.catch_up(keys)
        index = bisect_left(self._lasts, first)
        return index, bisect_left(self._parts[index], first) if index < len(self._parts) else 0

    def _add(self, key: str) -> None:
        index = bisect_left(self._lasts, key)
        if index == len(self._parts):
            if not index:
                self._parts.append([key])
                self._lasts.append(key)
                return
            index -= 1
        part = self._parts[index]
        at = bisect_left(part, key)
        if at < len(part) and part[at] == key:
            return
        part.insert(at, key)
        if len(part) > 2 * PART_KEYS:
            self._parts[index : index + 1] = part[:PART_KEYS], part[PART_KEYS:]
            self._lasts.insert(index, part[PART_KEYS - 1])
            index += 1
        self._lasts[index] = self._parts[index][-1]

    def _discard(self, key: str) -> None:
        index = bisect_left(self._lasts, key)
        if index == len(self._parts):
            return
        part = self._parts[index]
        at = bisect_left(part, key)
        if part[at] != key:
            return
        del part[at]
        if part:
            self._lasts[index] = part[-1]
        else:
            del self._parts[index], self._lasts[index]


def in_order(unordered: Unordered) -> Parts:
    """Sort keys without keeping other threads waiting for long."""
    (keys, size), gone, _ = unordered
    runs: list[list[str]] = []
    for first in range(0, size, RUN_KEYS):
        run = keys[first : min(first + RUN_KEYS, size)]
        runs.append(sorted(key for key in run if key not in gone) if gone else sorted(run))
    samples = sorted(key for run in runs for key in run[PART_KEYS - 1 :: PART_KEYS])
    parts: Parts = []
    starts = [0] * len(runs)
    for sample in (*samples, None):
        merged: list[str] = []
        for index, part in enumerate(runs):
            start = starts[index]
            end = len(part) if sample is None else bisect_right(part, sample, start)
            merged += part[start:end]
            starts[index] = end
        merged.sort()
        pieces = max(1, len(merged) // PART_KEYS)
        size = max(1, -(-len(merged) // pieces))
        parts += (merged[first : first + size] for first in range(0, len(merged), size))
    return parts

"""The keys in order, for scans by prefix that cost what they return.

Built at the first scan, so a store that is never scanned pays nothing. New keys gather
unsorted until the next scan. A key whose value was removed stays: the reader looks it up.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sortedcontainers import SortedList

__all__ = ["OrderedKeys"]


class OrderedKeys:
    """All keys of a store in code-point order. Not thread-safe."""

    __slots__ = ("_fresh", "_sorted")

    def __init__(self) -> None:
        self._sorted: SortedList | None = None
        self._fresh: list[str] = []

    def add(self, key: str) -> None:
        """Take in a key that is new to the store."""
        if self._sorted is not None:
            self._fresh.append(key)

    def update(self, keys: Iterable[str]) -> None:
        """Take in keys that are new to the store."""
        if self._sorted is not None:
            self._fresh.extend(keys)

    def discard(self, keys: Iterable[str]) -> None:
        """Let go keys that have left the store."""
        if self._sorted is not None:
            self._merge()
            for key in keys:
                self._sorted.discard(key)

    def _merge(self) -> None:
        if self._sorted is not None and self._fresh:
            self._sorted.update(self._fresh)
            self._fresh.clear()

    def _build(self, keys: Iterable[str]) -> SortedList:
        if self._sorted is None:
            from sortedcontainers import SortedList

            self._sorted = SortedList(keys)
        self._merge()
        return self._sorted

    def between(self, keys: Iterable[str], *, after: str | None, last: str) -> list[str]:
        """Give the keys behind `after` up to `last`.

        Args:
            keys: all keys, from which the order is built at the first call.
            after: None: from the first one on.
            last: the last key, whether it is there or not.
        """
        return list(self._build(keys).irange(after, last, (after is None, True)))

    def page(self, keys: Iterable[str], *, prefix: str, after: str | None, limit: int) -> list[str]:
        """Give up to `limit` keys with the prefix, in order, that come after `after`.

        Args:
            keys: all keys, from which the order is built at the first call.
            prefix: what each key starts with.
            after: the last key of the page before; None for the first page.
            limit: how many keys to return at most.
        """
        ordered = self._build(keys)
        start = prefix if after is None or after < prefix else after
        found: list[str] = []
        inclusive = (after is None or after < prefix, True)
        for key in islice(ordered.irange(start, None, inclusive), limit):
            if not key.startswith(prefix):
                break
            found.append(key)
        return found

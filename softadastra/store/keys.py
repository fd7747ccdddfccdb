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

    def page(self, keys: Iterable[str], *, prefix: str, after: str | None, limit: int) -> list[str]:
        """Give up to `limit` keys with the prefix, in order, that come after `after`.

        Args:
            keys: all keys, from which the order is built at the first call.
            prefix: what each key starts with.
            after: the last key of the page before; None for the first page.
            limit: how many keys to return at most.
        """
        if self._sorted is None:
            from sortedcontainers import SortedList

            self._sorted = SortedList(keys)
        elif self._fresh:
            self._sorted.update(self._fresh)
            self._fresh.clear()
        start = prefix if after is None or after < prefix else after
        found: list[str] = []
        inclusive = (after is None or after < prefix, True)
        for key in islice(self._sorted.irange(start, None, inclusive), limit):
            if not key.startswith(prefix):
                break
            found.append(key)
        return found

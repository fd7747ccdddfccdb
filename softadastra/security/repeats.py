"""Which of many like failures are worth telling: strangers knock as often as they like.

The first one is told at once; those like it are counted, and told again after a minute. What
nobody has met before is told at most so many times a minute in all, so that a flood of made-up
keys fills no log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

__all__ = ["KINDS_MAX", "TELLINGS_MAX", "TELL_INTERVAL_MS", "Repeats"]

TELL_INTERVAL_MS: Final = 60_000
TELLINGS_MAX: Final = 16
"""A minute, of all kinds together: about a screen of a log."""
KINDS_MAX: Final = 256
"""Kinds that are remembered, the least recent one out first: as many as peers that can be known."""


class _Kind:
    __slots__ = ("count", "told_ms")

    def __init__(self) -> None:
        self.count = 0
        self.told_ms: int | None = None


class Repeats:
    """Counts what happens again and again."""

    __slots__ = ("_kinds", "_tellings", "_window_ms")

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._window_ms = 0
        self._tellings = 0

    def note(self, kind: Hashable, now_ms: int) -> int:
        """Note that something happened.

        Args:
            kind: what tells it from others.
            now_ms: the monotonic time.

        Returns:
            How often it happened since it was last told, when it is to be told now; 0: it is not.
        """
        found = self._kinds.setdefault(kind, _Kind())
        self._kinds.move_to_end(kind)
        if len(self._kinds) > KINDS_MAX:
            self._kinds.popitem(last=False)
        found.count += 1
        if found.told_ms is not None and now_ms - found.told_ms < TELL_INTERVAL_MS:
            return 0
        if now_ms - self._window_ms >= TELL_INTERVAL_MS:
            self._window_ms, self._tellings = now_ms, 0
        if self._tellings == TELLINGS_MAX:
            return 0
        self._tellings += 1
        count, found.count, found.told_ms = found.count, 0, now_ms
        return count

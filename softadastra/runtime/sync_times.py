"""How long the syncs of a log take: how many there were, and the times of the latest ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

__all__ = ["RECENT", "SyncTimes"]

RECENT: Final = 1_024
"""Of so many syncs the times are kept: the slowest of a hundred then stands on ten of them."""


class SyncTimes:
    """Counts syncs. One at a time notes; anybody may read."""

    __slots__ = ("_recent", "count")

    def __init__(self) -> None:
        self.count = 0
        """How many there were."""
        self._recent: deque[float] = deque(maxlen=RECENT)

    def measure(self, sync: Callable[[], None]) -> float:
        """Sync; give how many seconds it took. One that fails is not counted."""
        began = perf_counter()
        sync()
        seconds = perf_counter() - began
        self.note(seconds)
        return seconds

    def note(self, seconds: float) -> None:
        """Note how long one took."""
        self.count += 1
        self._recent.append(seconds)

    def sorted(self) -> list[float]:
        """Give the times of the latest ones in seconds, shortest first."""
        # One call into C, which no thread interrupts: iterating would meet an append.
        return sorted(self._recent.copy())

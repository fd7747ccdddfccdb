"""How long the syncs of a log take: how many there were, and the times of the latest ones.

The latest give the quantiles that people look at. Those of an interval, and of many nodes together,
can be made of a histogram alone, so all are counted by how long they took as well.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

__all__ = ["BOUNDS_MS", "RECENT", "SyncTimes"]

RECENT: Final = 1_024
"""Of so many syncs the times are kept: the slowest of a hundred then stands on ten of them."""

BOUNDS_MS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
"""The steps of Prometheus's own clients, 1 : 2.5 : 5 : 10, from a drive with a cache that survives
power loss, which syncs in 0.1 ms, to a card that is being cleaned up."""

BOUNDS: Final = tuple(bound_ms / 1000 for bound_ms in BOUNDS_MS)


class SyncTimes:
    """Counts syncs. One at a time notes; anybody may read."""

    __slots__ = ("_recent", "buckets", "count", "total_seconds")

    def __init__(self) -> None:
        self.count = 0
        """How many there were."""
        self.total_seconds = 0.0
        """How long they took together."""
        self.buckets = [0] * (len(BOUNDS) + 1)
        """How many took no longer than each of `BOUNDS_MS`, and longer than the one before; the
        last counts those that took longer than all."""
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
        self.total_seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self._recent.append(seconds)

    def sorted(self) -> list[float]:
        """Give the times of the latest ones in seconds, shortest first."""
        # One call into C, which no thread interrupts: iterating would meet an append.
        return sorted(self._recent.copy())

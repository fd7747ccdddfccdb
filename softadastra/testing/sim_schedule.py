"""The time of a simulated world: it moves from one thing that is due to the next.

Time is a whole number of milliseconds from 0. What is due at the same moment happens in the
order in which it was asked for, so a run depends on nothing but its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

__all__ = ["Schedule", "Trace", "chance"]


class Schedule:
    """What will happen and when. Not thread-safe: a simulation has one thread."""

    __slots__ = ("_due", "_numbers", "now_ms")

    def __init__(self) -> None:
        self.now_ms = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Let something happen, once, this much later."""
        assert delay_ms >= 0, delay_ms
        heappush(self._due, (self.now_ms + delay_ms, next(self._numbers), action))

    def run(self, duration_ms: int) -> None:
        """Let time pass, and what is due in it happen."""
        end_ms = self.now_ms + duration_ms
        while self._due and self._due[0][0] <= end_ms:
            self.now_ms, _, action = heappop(self._due)
            action()
        self.now_ms = end_ms


class Trace:
    """Writes one readable line an event, when somebody wants them.

    Args:
        schedule: gives the time.
        sink: takes a line; None: nobody reads, and callers need not make words.
    """

    __slots__ = ("_schedule", "_sink")

    def __init__(self, schedule: Schedule, sink: Callable[[str], object] | None) -> None:
        self._schedule = schedule
        self._sink = sink

    @property
    def is_on(self) -> bool:
        """Whether lines are read; ask before making words that cost something."""
        return self._sink is not None

    def tell(self, subject: str, words: str) -> None:
        """Write a line."""
        if self._sink is not None:
            self._sink(f"{self._schedule.now_ms / 1000:>10.3f} s  {subject:<8} {words}")


def chance(seed: int, part: str) -> Random:
    """Give the chance of one part of a world, which what the others draw does not change."""
    # A text seeds by its bytes, a tuple by its hash, which differs from process to process.
    return Random(f"{seed} {part}")  # noqa: S311  it is to be repeated, not to be secret

"""How long a peer is left to others that probably bring it what it lacks.

Who is first in an order that all neighbours know alike sends at once. Who comes behind waits: the
second for one *patience*, the next two for two, the next four for three, and so on. So when the
first one fails another one goes on after one patience, and few have sent what was not needed.

A patience is how long it takes the peer to tell what it got, as far as was seen, and some more: the
timeout of TCP, RFC 6298. Of a peer that is busy, or far away, a fixed time would always be too
short, and all its neighbours would make it busier.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["Patience"]

WAIT_MAX_MS: Final = 30_000
"""Nobody waits longer, whatever he has seen: as long as anti-entropy takes."""
MEAN_SHARE: Final = 1 / 8
SPREAD_SHARE: Final = 1 / 4
SPREADS: Final = 4
"""RFC 6298 section 2: alpha, beta, K."""


class Patience:
    """The waits for one peer, by origin number, and how long they last.

    Args:
        least_ms: a patience is not shorter: the peer gathers what it tells.
    """

    __slots__ = ("_begun", "_due", "_least_ms", "_mean_ms", "_spread_ms")

    def __init__(self, least_ms: int) -> None:
        self._least_ms = least_ms
        self._begun: dict[int, int] = {}
        self._due: dict[int, int] = {}
        """Of the same origins."""
        self._mean_ms: float | None = None
        self._spread_ms = 0.0

    @property
    def length_ms(self) -> int:
        """How long one patience is."""
        if self._mean_ms is None:
            return self._least_ms
        expected_ms = int(self._mean_ms + SPREADS * self._spread_ms)
        return min(max(self._least_ms, expected_ms), WAIT_MAX_MS)

    @property
    def deadlines(self) -> Iterable[int]:
        """When the waits end, as far as that is known."""
        return self._due.values()

    def due_ms(self, origin: int) -> int | None:
        """Give when the wait for an origin ends, as far as that is known; None: there is none."""
        return self._due.get(origin)

    def begin(self, origin: int, now_ms: int) -> None:
        """Begin to wait, unless that was done before."""
        if origin not in self._begun:
            self._begun[origin] = now_ms
            self._due[origin] = now_ms + self.length_ms

    def extend(self, origin: int, place: int) -> None:
        """Let a wait that was begun last as long as it should at a place in the order, from 1."""
        wait_ms = min(place.bit_length() * self.length_ms, WAIT_MAX_MS)
        self._due[origin] = self._begun[origin] + wait_ms

    def is_over(self, origin: int, now_ms: int, owed_ms: int | None) -> bool:
        """Whether a wait that was begun has ended.

        Args:
            origin: its number.
            now_ms: the time.
            owed_ms: when the oldest left of what the peer has still to answer; None: nothing did.
                What it tells is older than that, so while that is from before the wait it cannot
                have told of what is waited for.
        """
        if now_ms < self._due[origin]:
            return False
        begun_ms = self._begun[origin]
        is_answered = owed_ms is None or owed_ms > begun_ms
        return is_answered or now_ms >= begun_ms + WAIT_MAX_MS

    def gained(self, origin: int, now_ms: int) -> None:
        """Take in that others brought the peer writes of an origin: for the rest a wait begins."""
        begun_ms = self._begun.get(origin)
        if begun_ms is not None:
            self.measured(now_ms - begun_ms)
        self.end(origin)

    def measured(self, elapsed_ms: int) -> None:
        """Take in how long it took the peer to tell that it has something."""
        if self._mean_ms is None:
            self._mean_ms, self._spread_ms = float(elapsed_ms), elapsed_ms / 2
            return
        off_ms = abs(self._mean_ms - elapsed_ms)
        self._spread_ms += SPREAD_SHARE * (off_ms - self._spread_ms)
        self._mean_ms += MEAN_SHARE * (elapsed_ms - self._mean_ms)

    def end(self, origin: int) -> None:
        """End a wait: the peer lacks nothing of this origin, or it is another matter now."""
        self._begun.pop(origin, None)
        self._due.pop(origin, None)

    def clear(self) -> None:
        """End all waits; what is still lacked begins others."""
        self._begun.clear()
        self._due.clear()

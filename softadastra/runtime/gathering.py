"""For whom a leader waits before it commits: those who were committed together last.

Who calls in a loop is on his way back then. Whoever is first of them would sync alone while the
others wait for the next sync: 8 threads took turns of one and of seven, and shared a sync by 4.5.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from softadastra.runtime.waiting import closed_gate, open_gate

__all__ = ["Gathering"]

SKIPS_MAX: Final = 63
"""Writers that come at random pay for one wait in 64 commits."""


class Gathering:
    """When to wait for how many, and the wait itself."""

    __slots__ = ("_gate", "_missing", "_skips", "_vain", "crowd", "sync_seconds")

    def __init__(self) -> None:
        self.crowd = 1
        """How many were committed together last."""
        self.sync_seconds = 0.0
        """How long the last sync took; nobody is waited for longer than that."""
        self._gate: Lock | None = None
        """Where a leader waits; None: none does."""
        self._missing = 0
        """So many who have joined open it."""
        self._skips = self._vain = 0
        """How often not to wait, and how often that was when it was in vain last."""

    def gather(self, size: int, lock: Lock, count: Callable[[], int]) -> None:
        """Have the leader of a group of this size wait for those who are on their way, if any are.

        Args:
            size: of the group.
            lock: the committer's, not held.
            count: how many have joined, asked under it.
        """
        if missing := self.missing(size):
            with lock:
                if count() >= missing:
                    return
                self.begin(missing)
            self.wait()

    def missing(self, size: int) -> int:
        """Give how many are worth waiting for by a group of this size.

        When they did not come, they are not waited for the next time, then 3 times, 7, up to 63.
        """
        if self._skips and self.crowd > size:
            self._skips -= 1
            return 0
        return max(0, self.crowd - size)

    def begin(self, missing: int) -> None:
        """Have `joined` end the wait that comes. Holding the committer's lock."""
        self._missing = missing
        self._gate = closed_gate()

    def joined(self, count: int) -> None:
        """Note that so many have joined. Holding the committer's lock."""
        if self._gate is not None and count >= self._missing:
            open_gate(self._gate)

    def wait(self) -> None:
        """Wait until they have, or for as long as a sync takes."""
        assert self._gate is not None
        have_come = self._gate.acquire(timeout=self.sync_seconds)
        self._gate = None
        self._vain = 0 if have_come else min(2 * self._vain + 1, SKIPS_MAX)
        self._skips = self._vain

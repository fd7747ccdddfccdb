"""When to ask the network who is there.

RFC 6762, section 5.2: after the first questions, a second apart, each wait is twice as long as the
one before. Who comes later says so unasked, so that the questions are for what got lost.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Questions"]

FIRST_WAIT_MS: Final = (20, 120)
"""A random wait before the first question, so that machines that are switched on together do not
ask together (RFC 6762, section 5.2)."""
SECOND_WAIT_MS: Final = 1_000
LONGEST_WAIT_MS: Final = 30 * 60_000
"""Less than half of the 75 minutes that an answer is good for: one question may get lost."""
EXTRA_WAIT_MS: Final = 10_000
"""The least time between a question that somebody on the network has caused and the one before."""


class Questions:
    """The times of the questions.

    Args:
        now_ms: the monotonic time; the first question comes at once.
        chance: a number from 0 to 1.
    """

    __slots__ = ("_asked_ms", "_wait_ms", "due_ms")

    def __init__(self, now_ms: int, chance: float) -> None:
        self._asked_ms = now_ms
        self.restart(now_ms, chance)

    def restart(self, now_ms: int, chance: float) -> None:
        """Begin anew: the network is another one, or may have changed while this machine slept."""
        shortest, longest = FIRST_WAIT_MS
        self.due_ms = now_ms + shortest + round(chance * (longest - shortest))
        self._wait_ms = SECOND_WAIT_MS

    def ask_soon(self, now_ms: int) -> None:
        """Bring the next question forward: something was missed, or is in doubt."""
        self.due_ms = min(self.due_ms, max(now_ms, self._asked_ms + EXTRA_WAIT_MS))

    def asked(self, now_ms: int) -> None:
        """Note that a question was asked."""
        self._asked_ms = now_ms
        self.due_ms = now_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, LONGEST_WAIT_MS)

"""Giving way: threads of the node let those who write have the interpreter in between.

The interpreter runs one thread at a time, and takes it from one that does not let go only after
5 ms (sys.getswitchinterval(), which is the application's). A durable put asks for it three times.
So a thread with much to do cuts that into pieces, and sleeps after one beside which somebody wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from softadastra.runtime.commit import Committer

__all__ = ["GivingWay"]

T = TypeVar("T")

PIECE_SECONDS: Final = 0.000_25
"""How long a thread works before it gives way. A put that comes in between waits as long."""

SLEEP_SECONDS: Final = 0.000_2
"""How long it sleeps then. Who waits for the interpreter takes 0.05 to 0.15 ms to wake up, so to
let go of it for a shorter time, as each call to the system does, lets nobody in."""

RECENT_SECONDS: Final = 0.005
"""Who has written writes again, at first. One who waits for the lock meanwhile is not seen."""


class GivingWay:
    """When one thread of the node sleeps for the sake of those who write.

    Args:
        committer: what they write by.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._top = committer.engine.replica.top
        self._rested = self._seen = -RECENT_SECONDS

    def pause(self) -> None:
        """Sleep, if somebody writes and this thread has worked for a while. Not holding a lock.

        While nobody writes it costs a microsecond.
        """
        now = time.perf_counter()
        if now - self._rested < PIECE_SECONDS:
            return
        top = self._committer.engine.replica.top
        if self._committer.is_at_work or top != self._top:
            self._top, self._seen = top, now
        elif now - self._seen > RECENT_SECONDS:
            return
        time.sleep(SLEEP_SECONDS)
        self._rested = time.perf_counter()

    def wait(self, wait: Callable[[], T]) -> T:
        """Let this thread wait for something to do, in which others have the interpreter."""
        begun = time.perf_counter()
        result = wait()
        ended = time.perf_counter()
        if ended - begun >= SLEEP_SECONDS:
            self._rested = ended
        return result

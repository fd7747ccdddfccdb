"""How large a log has become: who is told, and how who writes too fast is held up.

Without a sync who writes leaves the lock, the interpreter and the disk to nobody: a thread that
rewrites the log waited for them while it grew to twenty times its live part (1 MB, written at 80 MB
a second, on two busy processors). So who writes to a log that is much too large sleeps now and
then, the longer the larger it is. RocksDB slows writers that outrun its compaction in this way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

__all__ = ["LogSize"]

HELD_UP_SECONDS: Final = 0.000_2
"""How long who writes sleeps at first: who waits for the interpreter takes 0.05 to 0.15 ms to wake
up."""
HELD_UP_MAX_SECONDS: Final = 0.1
STEPS: Final = 16
"""How often who writes sleeps on the way from pressing to full: by bytes, not by writes, so that
small writes are slowed as large ones are."""


class LogSize:
    """What one node's log may grow to. Everything but `written` is called with the log's lock."""

    __slots__ = ("_full", "_held_up", "_pressing", "due", "is_outgrown", "outgrown", "sleep")

    def __init__(self) -> None:
        self.due = sys.maxsize
        """When the log is larger, `outgrow` is called."""
        self.is_outgrown = False
        """Whether it was."""
        self._pressing = self._full = self._held_up = sys.maxsize
        self.outgrown: Callable[[], None] = lambda: None
        """Called then, once: who is told calls `press`, or `expect` again."""
        self.sleep: Callable[[float], None] = time.sleep

    def expect(self, due: int) -> None:
        """Let it grow up to `due` bytes; when it is larger, who rewrites it is told."""
        self.due = due
        self.is_outgrown = False

    def outgrow(self) -> None:
        """Tell that it has grown beyond `due`.

        Who writes is held up once, shortly: so that who rewrites it can look whether it is to be.
        """
        self.due = self._full = sys.maxsize
        self._pressing = self._held_up = 0
        self.is_outgrown = True
        self.outgrown()

    def press(self, pressing: int, full: int) -> None:
        """Hold up who writes, as it is rewritten by now.

        Args:
            pressing: when it is larger.
            full: the nearer it comes to this, the longer.
        """
        self._pressing = self._held_up = pressing
        self._full = full

    def is_pressing(self, size_bytes: int) -> bool:
        """Whether it has grown so far that who rewrites it goes before who writes."""
        return self.is_outgrown and size_bytes > self._pressing

    def written(self, size_bytes: int) -> None:
        """Hold up who has written without a sync, when the log presses. Not holding a lock."""
        if size_bytes < self._held_up or not self.is_pressing(size_bytes):
            return
        way = self._full - self._pressing
        self._held_up = size_bytes + way // STEPS
        room = max(0.0, (self._full - size_bytes) / way)
        is_full = room * room * HELD_UP_MAX_SECONDS <= HELD_UP_SECONDS
        self.sleep(HELD_UP_MAX_SECONDS if is_full else HELD_UP_SECONDS / (room * room))

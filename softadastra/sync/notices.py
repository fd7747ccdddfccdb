"""What the pure core has to tell: it does not log, it returns notices.

The runtime turns each into one structured event of the same name (`runtime/events.py`).
`docs/events.md` lists them all.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import NamedTuple

__all__ = ["Level", "Notice", "Notices"]


class Level(IntEnum):
    """How much a notice matters. The values are those of the standard library's logging."""

    DEBUG = 10
    """One a message or a write."""
    INFO = 20
    """A change of state."""
    WARNING = 30
    """A peer or the environment misbehaved; nothing is lost."""
    ERROR = 40
    """Data is at risk, or the node cannot go on by itself."""


class Notice(NamedTuple):
    """One thing that happened: `event` is subject.past_tense, `fields` are its facts."""

    level: Level
    event: str
    fields: dict[str, object]


class Notices:
    """The notices that are yet to be told."""

    __slots__ = ("is_traced", "waiting")

    def __init__(self) -> None:
        self.is_traced = False
        """Whether anybody wants those of level DEBUG; they are not made otherwise."""
        self.waiting: deque[Notice] = deque()
        """A deque, because a failing write notes it without the engine's lock."""

    def note(self, level: Level, event: str, **fields: object) -> None:
        """Note what happened."""
        if level > Level.DEBUG or self.is_traced:
            self.waiting.append(Notice(level, event, fields))

    def take(self) -> list[Notice]:
        """Give what is to be told, and forget it."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]

"""What the pure core has to tell: it does not log, it returns notices.

The runtime turns each into one structured event of the same name (`runtime/events.py`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = ["Level", "Notice"]


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

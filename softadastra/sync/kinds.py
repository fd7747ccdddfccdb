"""The kinds of records, as the log has them."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Kind"]


class Kind(IntEnum):
    """The kind of a frame in the log. 0 is invalid; numbers are never given out again."""

    WRITES = 1
    ARRIVED = 2
    MEMBER = 3
    PRUNED = 4
    RELEASED = 5
    FORGOTTEN = 6
    COLLECTED = 7
    COMMITTED = 8
    REGISTERED = 9
    ARRIVED_OVER = 10
    """As ARRIVED, with `outlived` and `whereabouts` before the message."""
    LIVED = 11
    SPLIT = 12
    PLACED = 13
    HISTORY = 14
    ENTRIES = 15
    ROWS = 16
    LOST = 17
    TOTALS = 18
    COUNTED = 19
    WRITE = 20

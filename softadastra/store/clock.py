"""Hybrid logical clock stamps: 48 bits of milliseconds, 16 bits of counter, as one int.

Kulkarni et al., "Logical Physical Clocks" (2014). A stamp decides only between concurrent
siblings; what a writer had seen is decided by dots. Stamps of others are never rejected or
clamped, nodes would disagree about them; only how far they drag the local clock is bounded.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DRAG_MAX_MS", "milliseconds", "next_stamp", "observed"]

COUNTER_BITS: Final = 16

DRAG_MAX_MS: Final = 60_000
"""How far a remote stamp may move the local clock past wall time."""


def milliseconds(stamp: int) -> int:
    """Give the wall-clock part of a stamp, in milliseconds since 1970."""
    return stamp >> COUNTER_BITS


def next_stamp(last: int, wall_ms: int) -> int:
    """Give a stamp above `last` that follows the wall clock when that is ahead."""
    stamp = wall_ms << COUNTER_BITS
    return stamp if stamp > last else last + 1


def observed(last: int, remote: int, wall_ms: int) -> int:
    """Give the local clock after it has seen a remote stamp."""
    return max(last, min(remote, (wall_ms + DRAG_MAX_MS) << COUNTER_BITS))

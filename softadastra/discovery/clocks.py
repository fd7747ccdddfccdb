"""The clocks that discovery reads."""

from __future__ import annotations

import time

__all__ = ["read_ms", "read_slept_ms"]


def read_ms() -> int:
    """Read the monotonic clock."""
    return time.monotonic_ns() // 1_000_000


def read_slept_ms() -> int:
    """Read how long this machine has slept since some time, which a monotonic clock does not count.

    Without a clock that says so, the wall clock does: to have been set has the same effect, which
    is a few questions more.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    total_ns = time.time_ns() if boot is None else time.clock_gettime_ns(boot)
    return (total_ns - time.monotonic_ns()) // 1_000_000

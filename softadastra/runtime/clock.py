"""The clocks of this machine. Nothing else reads them."""

from __future__ import annotations

import time

from softadastra.sync.settings import Now

__all__ = ["read_clocks", "read_wall_ms"]


def read_clocks() -> Now:
    """Read the monotonic and the wall clock, in whole milliseconds."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


def read_wall_ms() -> int:
    """Read the wall clock alone, in whole milliseconds since 1970."""
    return time.time_ns() // 1_000_000

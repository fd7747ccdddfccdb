"""The clocks of this machine. Nothing else reads them."""

from __future__ import annotations

import time

from softadastra.sync.settings import Now

__all__ = ["read_clocks"]


def read_clocks() -> Now:
    """Read the monotonic and the wall clock, in whole milliseconds."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)

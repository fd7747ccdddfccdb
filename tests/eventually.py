"""Waiting for what comes in real time: the condition is looked at until it holds, or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["DEADLINE_SECONDS", "eventually"]

DEADLINE_SECONDS = 60.0
"""After this, what a test waits for is held not to happen. Far more than it takes on the slowest
machine, and nothing is lost by it: what does happen ends the wait."""


def eventually(condition: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        time.sleep(0.005)

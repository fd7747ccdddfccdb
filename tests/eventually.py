"""Waiting for what comes in real time: the condition is looked at until it holds, or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["DEADLINE_SECONDS", "eventually"]

DEADLINE_SECONDS = 20.0


def eventually(condition: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the deadline passed"
        time.sleep(0.005)

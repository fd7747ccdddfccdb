"""What both sides of every row write: keys of 23 bytes, values of 56, none twice."""

from __future__ import annotations

import random

__all__ = ["DEADLINE_SECONDS", "writes"]

DEADLINE_SECONDS = 120.0
"""For one measurement to end. The slowest takes a few seconds; beyond this it hangs."""


def writes(count: int) -> list[tuple[str, str]]:
    """Make the keys and values, the same ones at each call, in an order that is not sorted.

    The values are hexadecimal noise, so that nothing that compresses looks better than it is.
    """
    source = random.Random(count)
    numbers = list(range(count))
    source.shuffle(numbers)
    return [(f"bench/{number:017d}", source.randbytes(28).hex()) for number in numbers]

"""What both sides of every row write: keys of 23 bytes, values of 56, none twice."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["BATCH_WRITES", "DEADLINE_SECONDS", "FILL_WRITES", "each_write", "writes"]

DEADLINE_SECONDS = 600.0
"""For one answer of a measurement. The slowest takes a minute; beyond this it hangs."""

BATCH_WRITES = 256
"""Of writes that are made to be there, not to be measured: enough that a batch costs nothing."""

FILL_WRITES = 4_096
"""Of writes that are made durable before anything is measured, so that few syncs are waited for."""

SCATTERING = 2_654_435_761
"""A prime near 2**32 over the golden ratio: its multiples go through all numbers below any count
that it does not divide, each far from the one before (Knuth, The Art of Computer Programming,
6.4)."""


def writes(count: int) -> list[tuple[str, str]]:
    """Make the keys and values, the same ones at each call, in an order that is not sorted.

    The values are hexadecimal noise, so that nothing that compresses looks better than it is.
    """
    source = random.Random(count)
    numbers = list(range(count))
    source.shuffle(numbers)
    return [(f"bench/{number:017d}", source.randbytes(28).hex()) for number in numbers]


def each_write(count: int, *, first: int = 0) -> Iterator[tuple[str, str]]:
    """Make the same kind of keys and values one after the other, holding none of them.

    Args:
        count: how many.
        first: where the numbers in the keys begin.
    """
    assert count % SCATTERING, f"{count} is a multiple of {SCATTERING}"
    source = random.Random(count)
    for index in range(count):
        number = first + index * SCATTERING % count
        yield f"bench/{number:017d}", source.randbytes(28).hex()

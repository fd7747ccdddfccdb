"""What is kept of many waits: what half, all but 1 in 100 and all but 1 in 1,000 stay below."""

from __future__ import annotations

from collections.abc import Iterable

from .measure import Figure

__all__ = ["of_latencies", "of_seconds"]

PARTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def of_seconds(seconds: Iterable[float]) -> dict[str, float]:
    """Give the percentiles in microseconds; of fewer than 1,000 waits p99.9 is the longest."""
    ordered = sorted(seconds)
    return {
        name: ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e6
        for name, part in PARTS.items()
    }


def of_latencies(
    *, p50: tuple[float, float] | None = None, tail: float | None = None
) -> tuple[Figure, ...]:
    """Make the figures of a row of waits.

    Args:
        p50: floor and aim of the median, as multiples of the other side's.
        tail: floor of the longest but 1 in 1,000, likewise.
    """
    floor, aim = p50 or (None, None)
    return (
        Figure(name="p50", unit="µs", is_less_better=True, floor=floor, aim=aim),
        Figure(name="p99", unit="µs", is_less_better=True),
        Figure(name="p99.9", unit="µs", is_less_better=True, floor=tail),
    )

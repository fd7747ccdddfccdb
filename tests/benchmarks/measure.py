"""Alternate the product with its bare counterpart, and compare them pair by pair.

A machine's speed drifts by a factor of two within minutes; the ratio of two runs that follow
each other holds. Which of the two comes first changes from pair to pair.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Comparison", "Pair", "Row", "Side", "measure"]

Side: TypeAlias = Callable[[Path, int], float]
"""Does so many writes in an empty directory; returns writes per second."""

ROW_SECONDS_MAX = 180.0
"""No further pair is begun after this; the result says how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the benchmark."""

    name: str
    work: str
    beside: str
    floor: float
    """The ratio that is required; half of it for a first version."""
    aim: float
    count: int
    """Writes a measurement; a fifth of it with `--quick`."""
    product: Side
    bare: Side
    pairs_min: int = 1
    """So many pairs at least, but with `--quick`: more where the two sides differ by little."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Writes per second of both sides, measured one after the other."""

    product: float
    bare: float

    @property
    def ratio(self) -> float:
        """How much of the bare rate the product reaches."""
        return self.product / self.bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the pairs of a row say."""

    row: Row
    count: int
    pairs: tuple[Pair, ...]

    @property
    def ratio(self) -> float:
        """The median of the paired ratios."""
        return statistics.median(pair.ratio for pair in self.pairs)

    @property
    def ratio_range(self) -> tuple[float, float]:
        """The least and the greatest of them."""
        ratios = [pair.ratio for pair in self.pairs]
        return min(ratios), max(ratios)

    @property
    def product(self) -> float:
        """The median rate of the product, in writes per second."""
        return statistics.median(pair.product for pair in self.pairs)

    @property
    def bare(self) -> float:
        """The median rate of the bare parts, in writes per second."""
        return statistics.median(pair.bare for pair in self.pairs)


def measure(row: Row, *, count: int, pairs: int, directory: Path) -> Comparison:
    """Measure a row.

    Args:
        row: what to do on both sides.
        count: writes a measurement.
        pairs: how often both sides run, unless `ROW_SECONDS_MAX` comes first.
        directory: holds the files of both sides, each measurement's in a new one.
    """
    return Comparison(row=row, count=count, pairs=tuple(_pairs(row, count, pairs, directory)))


def _pairs(row: Row, count: int, pairs: int, directory: Path) -> Iterator[Pair]:
    deadline = time.monotonic() + ROW_SECONDS_MAX
    for index in range(pairs):
        if index and time.monotonic() > deadline:
            return
        if index % 2:
            bare = _run(row.bare, directory, count)
            product = _run(row.product, directory, count)
        else:
            product = _run(row.product, directory, count)
            bare = _run(row.bare, directory, count)
        yield Pair(product, bare)


def _run(side: Side, directory: Path, count: int) -> float:
    with tempfile.TemporaryDirectory(dir=directory, prefix="bench-") as fresh:
        return side(Path(fresh), count)

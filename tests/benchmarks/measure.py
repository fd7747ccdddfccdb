"""Alternate the product with what it is measured beside, and compare the two pair by pair.

A machine's speed drifts by a factor of two within minutes; the ratio of two runs that follow
each other holds. Which of the two comes first changes from pair to pair.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Comparison", "Figure", "LeftOutError", "Pair", "Results", "Row", "Side", "measure"]

Side: TypeAlias = Callable[[Path, int], float | Mapping[str, float]]
"""Does so much work in an empty directory; gives its row's figures by name, or the only one."""


class LeftOutError(Exception):
    """A row cannot be measured here, for the reason that this says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a row, and what is asked of it."""

    name: str = ""
    """Tells it from the others of its row; "" for the only one."""
    unit: str = "writes/s"
    is_less_better: bool = False
    is_absolute: bool = False
    """Floor and aim are of the product's own number, not of its ratio to the other side's."""
    floor: float | None = None
    """What is required, None when nothing is."""
    aim: float | None = None
    """What is wished for."""

    def reaches(self, limit: float | None, found: float) -> bool:
        """Whether a number is as good as a limit."""
        if limit is None:
            return False
        return found <= limit if self.is_less_better else found >= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the benchmark, or one for each of its figures."""

    name: str
    work: str
    beside: str = ""
    """What the other side does; "" when there is no other side."""
    note: str
    """What limits it, and where the two sides differ in what they promise."""
    count: int
    """Writes a measurement, or what its work says; a part of it with `--quick`."""
    figures: tuple[Figure, ...]
    product: Side
    bare: Side | None = None
    pairs_min: int = 1
    """So many pairs at least, but with `--quick`: more where the two sides differ by little."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both sides, measured one after the other."""

    product: float
    bare: float | None

    @property
    def ratio(self) -> float | None:
        """The product's figure in units of the other's; None when there is no other side."""
        return None if self.bare is None else self.product / self.bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What the pairs say of one figure."""

    figure: Figure
    pairs: tuple[Pair, ...]

    @property
    def judged(self) -> list[float]:
        """Of each pair the number that floor and aim are about."""
        if self.figure.is_absolute:
            return [pair.product for pair in self.pairs]
        return [pair.ratio for pair in self.pairs if pair.ratio is not None]

    @property
    def median(self) -> float:
        """The median of these."""
        return statistics.median(self.judged)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of these."""
        return min(self.judged), max(self.judged)

    @property
    def product(self) -> float:
        """The median of the product."""
        return statistics.median(pair.product for pair in self.pairs)

    @property
    def bare(self) -> float | None:
        """The median of the other side."""
        found = [pair.bare for pair in self.pairs if pair.bare is not None]
        return statistics.median(found) if found else None

    @property
    def reached(self) -> str:
        """ "aim", "floor" or "below"; "" when nothing is asked for."""
        if self.figure.reaches(self.figure.aim, self.median):
            return "aim"
        if self.figure.floor is None:
            return ""
        return "floor" if self.figure.reaches(self.figure.floor, self.median) else "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row with what was found."""

    row: Row
    count: int
    results: tuple[Results, ...] = ()
    left_out: str = ""
    """Why nothing was found; "" when something was."""


def measure(row: Row, *, count: int, pairs: int, directory: Path) -> Comparison:
    """Measure a row.

    Args:
        row: what to do on both sides.
        count: how much of it a measurement does.
        pairs: how often both sides run.
        directory: holds the files of both sides, each measurement's in a new one.
    """
    found: list[tuple[Mapping[str, float], Mapping[str, float]]] = []
    try:
        for index in range(pairs):
            sides = (row.product, row.bare)
            order = sides if index % 2 == 0 else sides[::-1]
            figures = {side: _run(row, side, directory, count) for side in order if side}
            found.append((figures[row.product], figures[row.bare] if row.bare else {}))
    except LeftOutError as reason:
        return Comparison(row=row, count=count, left_out=str(reason))
    return Comparison(
        row=row,
        count=count,
        results=tuple(
            Results(
                figure=figure,
                pairs=tuple(
                    Pair(product[figure.name], bare.get(figure.name)) for product, bare in found
                ),
            )
            for figure in row.figures
        ),
    )


def _run(row: Row, side: Side, directory: Path, count: int) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(dir=directory, prefix="bench-") as fresh:
        found = side(Path(fresh), count)
    return found if isinstance(found, Mapping) else {row.figures[0].name: found}

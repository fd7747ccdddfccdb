"""The results on the terminal, and as the document that holds all that is needed to judge them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

from .measure import Comparison, Results

__all__ = ["SOURCES", "commit_of_sources", "document", "heading", "lines", "number"]

ROOT = Path(__file__).parents[2]
SOURCES = ("softadastra", "tests/benchmarks", "pyproject.toml", ".ci/constraints.txt")
"""What the results depend on: a change of any other file makes no other commit of them."""

_PACKAGES = ("softadastra", "pyzmq", "msgpack", "structlog", "xxhash")
_FORMAT = "{:<31} {:>10} {:>10} {:<9} {:>7} {:>17}  {:>6} {:>6}  {}"


def heading() -> str:
    """Name the columns of `lines`."""
    return _FORMAT.format(
        "row", "product", "beside", "unit", "median", "(min..max)", "floor", "aim", "reaches"
    )


def lines(comparison: Comparison) -> Iterator[str]:
    """Show a row: of each figure the medians, what is judged with its spread, and what is asked."""
    name = comparison.row.name
    if comparison.left_out:
        yield f"{name:<31} left out: {comparison.left_out}"
    for results in comparison.results:
        figure = results.figure
        least, greatest = results.spread
        yield _FORMAT.format(
            f"{name} {figure.name}".rstrip(),
            number(results.product),
            number(results.bare),
            figure.unit,
            number(results.median),
            f"({number(least)}..{number(greatest)})",
            number(figure.floor),
            number(figure.aim),
            results.reached,
        )


def number(value: float | None) -> str:
    """Write a number with three digits that count, None as "-"."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def document(
    comparisons: Sequence[Comparison], *, directory: Path, is_quick: bool
) -> dict[str, Any]:
    """Collect the results with the commit, the machine and the versions."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_of_sources(),
        "is_quick": is_quick,
        "machine": {
            "processor": _processor(),
            "processors": os.cpu_count(),
            "system": platform.system(),
            "kernel": platform.release(),
            "filesystem": _filesystem(directory),
        },
        "versions": {
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "rows": [_row(comparison) for comparison in comparisons],
    }


def _row(comparison: Comparison) -> dict[str, Any]:
    row = comparison.row
    return {
        "name": row.name,
        "work": row.work,
        "beside": row.beside,
        "note": row.note,
        "count": comparison.count,
        "left_out": comparison.left_out,
        "figures": [_figure(results) for results in comparison.results],
    }


def _figure(results: Results) -> dict[str, Any]:
    figure = results.figure
    least, greatest = results.spread
    return {
        "name": figure.name,
        "unit": figure.unit,
        "is_less_better": figure.is_less_better,
        "is_absolute": figure.is_absolute,
        "floor": figure.floor,
        "aim": figure.aim,
        "median": _rounded(results.median),
        "min": _rounded(least),
        "max": _rounded(greatest),
        "reached": results.reached,
        "product": _rounded(results.product),
        "bare": _rounded(results.bare),
        "pairs": [
            {
                "product": _rounded(pair.product),
                "bare": _rounded(pair.bare),
                "ratio": _rounded(pair.ratio),
            }
            for pair in results.pairs
        ],
    }


def _rounded(value: float | None) -> float | None:
    """Keep five digits: more than any measurement here has."""
    return None if value is None else float(f"{value:.5g}")


def commit_of_sources() -> str:
    """Name the commit of what is measured, with "-dirty" when the files differ from it."""
    described = _git("rev-parse", "--short=12", "HEAD")
    if not described:
        return "none"
    is_changed = bool(_git("status", "--porcelain", "--", *SOURCES))
    return f"{described}-dirty" if is_changed else described


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for each in information.read_text(encoding="utf-8").splitlines():
            name, _, value = each.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _filesystem(directory: Path) -> str:
    """Name the kind of file system that the files were on: a sync in memory says nothing."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    kinds = {
        Path(point): kind
        for _, point, kind, *_ in map(str.split, mounts.read_text(encoding="utf-8").splitlines())
    }
    place = directory.resolve()
    return next(kinds[each] for each in (place, *place.parents) if each in kinds)

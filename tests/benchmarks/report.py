"""The results, as a table for people and as JSON with all that is needed to judge them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import zmq

from .measure import Comparison

__all__ = ["document", "heading", "line"]

_PACKAGES = ("softadastra", "pyzmq", "msgpack", "structlog", "sortedcontainers", "xxhash")
_FORMAT = "{:<19} {:>11} {:>11}  {:>5} {:>14}  {:>5} {:>5} {:>5}  {}"


def heading() -> str:
    """Name the columns of `line`."""
    return _FORMAT.format(
        "row", "product/s", "bare/s", "ratio", "(min..max)", "half", "floor", "aim", "reaches"
    )


def line(comparison: Comparison) -> str:
    """Show one row: medians, the median ratio with its range, and what is asked for."""
    row = comparison.row
    least, greatest = comparison.ratio_range
    return _FORMAT.format(
        row.name,
        f"{comparison.product:,.0f}",
        f"{comparison.bare:,.0f}",
        f"{comparison.ratio:.2f}",
        f"({least:.2f}..{greatest:.2f})",
        f"{row.floor / 2:.3g}",
        f"{row.floor:.3g}",
        f"{row.aim:.3g}",
        _reached(comparison),
    )


def document(
    comparisons: Sequence[Comparison], *, directory: Path, is_quick: bool
) -> dict[str, object]:
    """Collect the results with the commit, the machine and the versions."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "is_quick": is_quick,
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "processors": os.cpu_count(),
            "filesystem": _filesystem(directory),
        },
        "versions": {
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "unit": "writes per second; ratios of product to bare, pair by pair",
        "rows": [_row(comparison) for comparison in comparisons],
    }


def _row(comparison: Comparison) -> dict[str, object]:
    row = comparison.row
    least, greatest = comparison.ratio_range
    return {
        "name": row.name,
        "work": row.work,
        "beside": row.beside,
        "writes": comparison.count,
        "ratio": {
            "median": round(comparison.ratio, 4),
            "min": round(least, 4),
            "max": round(greatest, 4),
        },
        "half_floor": row.floor / 2,
        "floor": row.floor,
        "aim": row.aim,
        "reaches": _reached(comparison),
        "pairs": [
            {"product": round(pair.product), "bare": round(pair.bare)} for pair in comparison.pairs
        ],
    }


def _reached(comparison: Comparison) -> str:
    row = comparison.row
    for name, ratio in (("aim", row.aim), ("floor", row.floor), ("half", row.floor / 2)):
        if comparison.ratio >= ratio:
            return name
    return "-"


def _commit() -> str:
    """Name the commit of the sources, with a mark when they differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "none"


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

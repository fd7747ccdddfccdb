"""The records of past runs: one JSON document a run, kept in docs/benchmarks/ and never changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .groups import GROUPS
from .report import ROOT

__all__ = ["RECORDS", "Point", "history", "keep", "newest", "read_all"]

RECORDS = ROOT / "docs" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Point:
    """One figure of one row in one record."""

    record: Mapping[str, Any]
    row: Mapping[str, Any]
    figure: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The row, and which of its figures."""
        return f"{self.row['name']} {self.figure['name']}".rstrip()


def keep(document: Mapping[str, Any], folder: Path = RECORDS) -> Path:
    """Write a run's document into a new file, named by when and of what it was measured.

    Raises:
        ValueError: a quick run, or one of changed files, is no record.
    """
    if document["is_quick"]:
        raise ValueError("a quick run is no record: leave out --quick")
    if not re.fullmatch(r"[0-9a-f]{12}", document["commit"]):
        raise ValueError(
            f"a record names the commit that it is of, and this is {document['commit']!r}: "
            "commit first"
        )
    second = document["measured_at"][:19].replace(":", "")
    path = folder / f"{second}-{document['commit']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")
    return path


def read_all(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """Read all records, the oldest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted(found, key=lambda record: str(record["measured_at"]))


def history(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """Give each figure's points by its title, the oldest first, in the order of the groups.

    What no group has any more stays in its records, and is shown no more.
    """
    points: dict[str, list[Point]] = {title: [] for title in _titles()}
    for record in records:
        for row in record["rows"]:
            for figure in row["figures"]:
                point = Point(record, row, figure)
                if point.title in points:
                    points[point.title].append(point)
    return {title: found for title, found in points.items() if found}


def newest(records: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Give the newest point of each figure: a run may be of some rows only."""
    return [points[-1] for points in history(records).values()]


def _titles() -> Iterator[str]:
    for rows in GROUPS.values():
        for row in rows:
            for figure in row.figures:
                yield f"{row.name} {figure.name}".rstrip()

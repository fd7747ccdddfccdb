"""The tables of README.md and docs/performance.md, made of the newest record of each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .plots import file_name, plot
from .records import RECORDS, Point, history, newest
from .report import ROOT, number

__all__ = ["DOCUMENTS", "files", "replaced"]

BEGIN = "<!-- made by the benchmark of its newest record -->\n"
END = "<!-- until here -->\n"
NONE = "No run is recorded yet.\n"
PLOTS = RECORDS / "plots"


def files(records: Sequence[Mapping[str, Any]]) -> dict[Path, str]:
    """Give all that is made of the records, by its path: plots, and the documents with tables."""
    made = {PLOTS / file_name(title): plot(points) for title, points in history(records).items()}
    for path, table in DOCUMENTS.items():
        made[path] = replaced(path.read_text(encoding="utf-8"), table(newest(records)))
    return made


def replaced(text: str, table: str) -> str:
    """Put a table into a document, where the one before was.

    Raises:
        ValueError: the document has no such place.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN!r} and {END!r}")
    return "".join((before, begin, table, end, after))


def _short(points: Sequence[Point]) -> str:
    """Of what has a floor, the ratio: for those who choose."""
    asked = [point for point in points if point.figure["floor"] is not None]
    return _table(asked, ("what", "beside", "asked", "reached", "(min..max)"), _short_cells)


def _short_cells(point: Point) -> tuple[str, ...]:
    figure = point.figure
    return (
        _what(point),
        point.row["beside"] or "-",
        _asked(point, "floor"),
        f"**{number(figure['median'])}**" + (f" {figure['unit']}" if figure["is_absolute"] else ""),
        f"{number(figure['min'])}..{number(figure['max'])}",
    )


def _long(points: Sequence[Point]) -> str:
    """All of it, with what limits it and the plot: for those who change something."""
    columns = ("row", "product", "beside", "unit", "median (min..max)", "floor", "aim", "reaches")
    table = _table(points, columns, _long_cells)
    notes = {point.row["name"]: point.row for point in points}.values()
    said = "".join(f"- **{row['name']}**: {_compared(row)}. {row['note']}\n" for row in notes)
    return f"{table}\n{said}" if points else table


def _compared(row: Mapping[str, Any]) -> str:
    return f"{row['work']}, beside {row['beside']}" if row["beside"] else str(row["work"])


def _long_cells(point: Point) -> tuple[str, ...]:
    figure = point.figure
    return (
        f"[{point.title}](benchmarks/plots/{file_name(point.title)})",
        number(figure["product"]),
        number(figure["bare"]),
        figure["unit"],
        f"{number(figure['median'])} ({number(figure['min'])}..{number(figure['max'])})",
        _asked(point, "floor"),
        _asked(point, "aim"),
        figure["reached"] or "-",
    )


def _table(points: Sequence[Point], columns: Sequence[str], cells: Any) -> str:
    if not points:
        return NONE
    body = [columns, ["---"] * len(columns), *map(cells, points)]
    rows = "".join(f"| {' | '.join(row)} |\n" for row in body)
    return f"{rows}\n{' '.join(_runs(points))}\n"


def _runs(points: Iterable[Point]) -> Iterator[str]:
    """Say on which machine, once, and of which commits."""
    commits: dict[str, dict[str, None]] = {}
    for record in (point.record for point in points):
        commits.setdefault(_machine(record), {})[record["commit"][:7]] = None
    for machine, measured in commits.items():
        yield f"Measured on {machine} Commits: {', '.join(measured)}."


def _machine(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    return (
        f"{record['measured_at'][:10]}: {machine['processor']}, {machine['processors']} cores, "
        f"{machine['system']} {machine['kernel']}, {machine['filesystem']}, "
        f"Python {record['versions']['python']}."
    )


def _what(point: Point) -> str:
    name = point.figure["name"]
    return f"{point.row['work']}: {name}" if name else str(point.row["work"])


def _asked(point: Point, name: str) -> str:
    limit = point.figure[name]
    if limit is None:
        return "-"
    return f"{'≤' if point.figure['is_less_better'] else '≥'} {number(limit)}"


DOCUMENTS = {ROOT / "README.md": _short, ROOT / "docs" / "performance.md": _long}
"""Where there is a table, and what makes it."""

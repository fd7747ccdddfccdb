"""Every row of the benchmark can be measured: both sides run, and give what the row names."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from .groups import GROUPS
from .many_processes import converge
from .measure import LeftOutError, Row, measure
from .redis_server import first_sync
from .start_up import IMPORT, run

COUNT = 256
"""As little as every row can do: threads, changes and scans divide it."""

LONG = {"processes"}
"""It has a test of its own, with fewer of them."""

ALIKE = {f"ycsb-{name}{end}" for name in "bcdf" for end in ("", "-three")}
"""Differ from rows that are measured only in their operations."""

ROWS = [
    row
    for rows in GROUPS.values()
    for row in rows
    if row.name not in LONG and row.name not in ALIKE
]


def test_rows_have_names_of_their_own_and_say_what_limits_them() -> None:
    rows = [row for rows in GROUPS.values() for row in rows]

    assert len({row.name for row in rows}) == len(rows)
    assert all(row.note.endswith(".") for row in rows)
    assert all((row.bare is None) == (row.beside == "") for row in rows)
    assert all(figure.is_absolute for row in rows if row.bare is None for figure in row.figures)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_be_measured_or_says_why_not(row: Row, tmp_path: Path) -> None:
    found = measure(row, count=min(COUNT, row.count), pairs=1, directory=tmp_path)

    assert [results.figure for results in found.results] == (
        [] if found.left_out else [*row.figures]
    )
    for results in found.results:
        assert results.product >= 0
        assert (results.bare is None) == (row.bare is None)
    assert list(tmp_path.iterdir()) == []


def test_processes_that_write_together_converge(tmp_path: Path) -> None:
    found = converge(tmp_path, 90, processes=3, idle_s=0.1)

    assert found.keys() == {figure.name for figure in _row("processes").figures}
    assert 2 <= found["copies"] < 4


def test_without_redis_its_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LeftOutError, match=r"no redis-server: apt-get install"):
        first_sync(tmp_path, 1)


@pytest.mark.parametrize(
    ("arguments", "beside", "limit_ms"),
    [(IMPORT, ("-c", "pass"), 60), (("-m", "softadastra", "--help"), None, 150)],
    ids=["import", "help"],
)
def test_programs_begin_in_time(
    arguments: tuple[str, ...], beside: tuple[str, ...] | None, limit_ms: float
) -> None:
    """By processor time, which a busy machine does not add to; the least of seven."""
    least = partial(_least_ms, processes=7)

    assert least(arguments) - (least(beside) if beside else 0) <= limit_ms


def _least_ms(arguments: tuple[str, ...], processes: int) -> float:
    run(arguments)
    return min(run(arguments).processor_ms for _ in range(processes))


def _row(name: str) -> Row:
    return next(row for rows in GROUPS.values() for row in rows if row.name == name)

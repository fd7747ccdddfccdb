"""The records of runs: what is kept, and that documents and plots show them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from . import records, tables
from .plots import plot
from .records import history, keep, newest, read_all
from .tables import BEGIN, END, PLOTS, files, replaced

SVG = "{http://www.w3.org/2000/svg}"


def record(
    day: int = 1, *, ratio: float = 0.5, name: str = "put", **changed: Any
) -> dict[str, Any]:
    figure = {
        "name": "",
        "unit": "writes/s",
        "is_less_better": False,
        "is_absolute": False,
        "floor": 0.35,
        "aim": 0.55,
        "median": ratio,
        "min": ratio / 2,
        "max": ratio * 2,
        "reached": "floor",
        "product": 100.0,
        "bare": 200.0,
        "pairs": [],
    }
    row = {"name": name, "work": f"a {name} <&>", "beside": "bare", "note": "", "figures": [figure]}
    return {
        "measured_at": f"2026-12-{day:02d}T10:20:30+00:00",
        "commit": f"{day:012x}",
        "is_quick": False,
        "machine": {
            "processor": "Z80",
            "processors": 1,
            "system": "CP/M",
            "kernel": "2.2",
            "filesystem": "tape",
        },
        "versions": {"python": "3.11"},
        "rows": [row],
        **changed,
    }


def test_what_is_made_of_the_records_is_what_the_tree_has() -> None:
    """When this fails, `make bench BENCH=--tables` makes it anew."""
    for path, text in files(read_all()).items():
        assert path.read_text(encoding="utf-8") == text, path


def test_every_plot_is_of_a_figure_that_a_record_has() -> None:
    made = {path for path in files(read_all()) if path.parent == PLOTS}

    assert set(PLOTS.glob("*")) == made


def test_every_record_is_of_a_commit_and_of_five_pairs_or_more() -> None:
    for each in read_all():
        assert not each["is_quick"]
        assert not each["commit"].endswith("-dirty")
        for row in each["rows"]:
            assert all(len(figure["pairs"]) >= 5 for figure in row["figures"]), row["name"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"is_quick": True}, "quick"), ({"commit": "0123456789ab-dirty"}, "commit first")],
)
def test_no_quick_run_and_none_of_changed_files_is_kept(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        keep(record(**changed), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_record_is_kept_in_a_file_of_its_own_that_is_never_written_again(tmp_path: Path) -> None:
    path = keep(record(), tmp_path)

    assert path.name == "2026-12-01T102030-000000000001.json"
    assert read_all(tmp_path) == [record()]
    with pytest.raises(FileExistsError):
        keep(record(ratio=9.0), tmp_path)


def test_two_runs_of_one_commit_within_a_minute_are_two_records(tmp_path: Path) -> None:
    second = record(measured_at="2026-12-01T10:20:59+00:00", ratio=9.0)

    keep(record(), tmp_path)
    keep(second, tmp_path)

    assert read_all(tmp_path) == [record(), second]


def test_of_each_row_the_newest_record_that_has_it_counts() -> None:
    found = [record(1, name="put"), record(2, name="open"), record(3, name="put", ratio=0.6)]

    assert [(p.title, p.record["commit"][-1]) for p in newest(found)] == [
        ("put", "3"),
        ("open", "2"),
    ]
    assert [p.figure["median"] for p in history(found)["put"]] == [0.5, 0.6]


def test_figures_are_in_the_order_of_the_groups_and_one_that_is_gone_is_not_shown() -> None:
    found = [record(1, name="open"), record(2, name="no-such-row"), record(3, name="put")]

    assert list(history(found)) == ["put", "open"]


def test_a_plot_shows_each_run_with_its_spread_and_what_is_asked() -> None:
    found = history([record(day, ratio=day / 10) for day in (1, 2, 3)])["put"]

    drawing = ElementTree.fromstring(plot(found))

    shown = {each.get("class"): each for each in drawing.iter() if each.get("class")}
    assert {"floor", "aim", "line"} <= shown.keys()
    assert len(drawing.findall(f"{SVG}circle")) == 3
    heights = [float(str(dot.get("cy"))) for dot in drawing.iter(f"{SVG}circle")]
    assert heights == sorted(heights, reverse=True)
    assert "prefers-color-scheme: dark" in str(drawing.findtext(f"{SVG}style"))
    assert "a put <&>" in "".join(drawing.itertext())


def test_a_plot_of_a_run_that_came_out_as_nothing_is_drawn_within_its_page() -> None:
    drawing = ElementTree.fromstring(plot(history([record(ratio=0.0)])["put"]))

    (dot,) = drawing.iter(f"{SVG}circle")
    assert 0 < float(str(dot.get("cy"))) < 220


def test_a_table_takes_the_place_of_the_one_before_and_nothing_else() -> None:
    text = f"above\n{BEGIN}old\n{END}below\n"

    assert replaced(text, "new\n") == f"above\n{BEGIN}new\n{END}below\n"
    with pytest.raises(ValueError, match="no lines"):
        replaced("above\nbelow\n", "new\n")


def test_the_table_tells_what_is_asked_what_was_reached_and_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"{BEGIN}{END}")
    monkeypatch.setattr(tables, "DOCUMENTS", {document: tables._short})

    text = files([record()])[document]

    assert "| a put <&> | bare | ≥ 0.35 | **0.5** | 0.25..1 |" in text
    assert "Z80, 1 cores, CP/M 2.2, tape, Python 3.11. Commits: 0000000." in text


def test_records_are_json_that_people_can_compare() -> None:
    for path in records.RECORDS.glob("*.json"):
        assert (
            path.read_text(encoding="utf-8")
            == json.dumps(json.loads(path.read_text()), indent=1) + "\n"
        )

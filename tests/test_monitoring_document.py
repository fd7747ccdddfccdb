"""docs/monitoring.md names every metric and every fault, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from softadastra.health.exposition import CONTENT_TYPE
from softadastra.health.metrics import METRICS
from softadastra.health.readiness import FAULTS
from softadastra.runtime.sync_times import BOUNDS_MS

TEXT = (Path(__file__).parents[1] / "docs" / "monitoring.md").read_text()


def rows(begin: str) -> list[list[str]]:
    """The cells of the table that begins so."""
    table = TEXT[TEXT.index(begin) :].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_every_metric_stands_in_the_table_once_with_its_kind_in_the_order_of_the_text():
    listed = [(name.strip("`"), kind) for name, kind, _ in rows("| metric |")]

    assert listed == [(metric.name, metric.kind.value) for metric in METRICS]


def test_every_fault_stands_in_the_table_once():
    assert [name.strip("`") for name, _ in rows("| `cause` |")] == [*FAULTS]


def test_no_metric_is_named_that_does_not_exist():
    suffixes = re.compile("_(bucket|sum|count)$")
    named = {suffixes.sub("", name) for name in re.findall(r"\bsoftadastra_\w+", TEXT)}

    assert named <= {metric.name for metric in METRICS}


def test_what_is_said_of_the_text_and_its_buckets_is_so():
    assert f'CONTENT_TYPE = "{CONTENT_TYPE}"' in TEXT
    assert f"from {BOUNDS_MS[0] / 1000:g} to {BOUNDS_MS[-1] / 1000:g}" in TEXT

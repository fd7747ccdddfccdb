"""docs/health.md names every cause and every field, and no others."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from softadastra import Cause, Vitals
from softadastra.vitals import LogVitals, NodeVitals, PeerVitals, StoreVitals, TrafficTotals

TEXT = (Path(__file__).parents[1] / "docs" / "health.md").read_text()


def rows(begin: str) -> dict[str, str]:
    """The first two cells of each row of the table that begins so."""
    table = TEXT[TEXT.index(begin) :].partition("\n\n")[0]
    cells = [line.split(" | ", 2) for line in table.splitlines()[2:]]
    return {first.lstrip("| "): second for first, second, *_ in cells}


def names(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


def test_every_cause_stands_in_the_table_of_causes_once():
    found = [name for cell in rows("| `cause` |") for name in names(cell)]

    assert sorted(found) == sorted(cause.value for cause in Cause)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("node", NodeVitals),
        ("store", StoreVitals),
        ("log", LogVitals),
        ("traffic", TrafficTotals),
        ("peers", PeerVitals),
    ],
)
def test_every_field_of_the_vitals_stands_in_the_table_of_objects(name, kind):
    listed = names(rows("| object | fields |")[f"`{name}`"])

    assert {field.name for field in dataclasses.fields(kind)} <= set(listed)


def test_every_object_of_the_vitals_stands_there():
    listed = {name for cell in rows("| object | fields |") for name in names(cell)}

    assert listed == {field.name for field in dataclasses.fields(Vitals)}

"""The machine that real faults are made on."""

from __future__ import annotations

import sys

import pytest

from tests.faults.requirements import need


@pytest.fixture(autouse=True)
def linux() -> None:
    need(sys.platform == "linux", "these faults are made with the means of Linux")

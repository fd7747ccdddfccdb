"""What the machine has to have is said; how fast it is, and how busy, decides nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
NEEDED = re.compile(r'need_tool\("([^"]+)", "([^"]+)"\)')


@settings(max_examples=1)
@given(st.just("example"))
def test_an_example_may_take_as_long_as_it_takes(example: str) -> None:
    """By itself Hypothesis gives up an example that takes more than 0.2 s."""
    time.sleep(0.5)


def test_whatever_a_test_needs_is_installed_where_it_must_run() -> None:
    sources = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    needed = {pair for source in sources for pair in NEEDED.findall(source)}
    installed = set(re.findall(r"[\w.-]+:[\w.-]+", (ROOT / ".ci" / "run").read_text()))

    assert len(needed) > 5
    assert {":".join(pair) for pair in needed} - installed == set()

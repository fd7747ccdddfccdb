"""How fast a machine is, and how busy, decides no test."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=1)
@given(st.just("example"))
def test_an_example_may_take_as_long_as_it_takes(example: str) -> None:
    """By itself Hypothesis gives up an example that takes more than 0.2 s."""
    time.sleep(0.5)

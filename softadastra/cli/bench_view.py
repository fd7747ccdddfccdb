"""How the results of `softadastra bench` look: a bar each, and below it what limits it.

Bars have one scale for all rates and one for all times, on which a step to the right is a factor:
what is measured differs by a thousand. So two runs can be laid beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from rich.console import Console
from rich.text import Text

from softadastra.cli.bench_measures import Latency, Measured
from softadastra.cli.bench_words import as_duration
from softadastra.cli.output import UNLIMITED_WIDTH

__all__ = ["SCALE_WORDS", "folded", "show"]

SLOWEST_PER_SECOND: Final = 1.0
"""The left end of a bar: a disk that takes a second for a sync."""

FASTEST_PER_SECOND: Final = 1e6
"""The right end: what no Python does."""

SCALE_WORDS: Final = "A bar is longer by a sixth of its room for each factor of ten."

TITLE_COLUMNS: Final = 28
NUMBER_COLUMNS: Final = 10
WIDE_COLUMNS: Final = 60
"""On a narrower terminal the bar has a line of its own; 40 are enough then."""

BAR_COLUMNS_MAX: Final = 48
WORDS_COLUMNS_MAX: Final = 96
"""Longer lines of prose are harder to read."""


def show(console: Console, measured: Measured) -> None:
    """Print one measurement."""
    for line in _lines(console, measured):
        console.print(line, no_wrap=True, overflow="crop")
    for words in folded(console, measured.limit, indent="  "):
        console.print(Text(words, style="dim"), no_wrap=True)


def folded(console: Console, sentence: str, indent: str = "") -> list[str]:
    """Break a sentence into lines that fit a terminal; a pipe gets it whole."""
    if console.width == UNLIMITED_WIDTH:
        return [f"{indent}{sentence}"]
    return wrap(
        sentence,
        min(console.width, WORDS_COLUMNS_MAX),
        initial_indent=indent,
        subsequent_indent=indent,
    )


def _lines(console: Console, measured: Measured) -> Iterator[Text]:
    head = Text(f"{measured.title:<{TITLE_COLUMNS}}", style="bold")
    head.append(f"{measured.per_second:>{NUMBER_COLUMNS},.0f}/s", style="not bold")
    if console.width >= WIDE_COLUMNS:
        room = min(console.width - len(head) - 2, BAR_COLUMNS_MAX)
        yield head.append("  ").append(_bar(console, measured.per_second, room))
    else:
        yield head
        yield Text("  ").append(_bar(console, measured.per_second, console.width - 2))
    if measured.latency is not None:
        yield Text(f"  {_percentiles(measured.latency)}")


def _bar(console: Console, per_second: float, room: int) -> Text:
    part = math.log(max(per_second, SLOWEST_PER_SECOND) / SLOWEST_PER_SECOND) / math.log(
        FASTEST_PER_SECOND / SLOWEST_PER_SECOND
    )
    mark = "█" if console.encoding.startswith("utf") else "#"
    return Text(mark * max(1, round(min(part, 1.0) * room)), style="not bold green")


def _percentiles(latency: Latency) -> str:
    return (
        f"p50 {as_duration(latency.p50_ms)}  p99 {as_duration(latency.p99_ms)}  "
        f"p99.9 {as_duration(latency.p999_ms)}"
    )

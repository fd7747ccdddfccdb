"""A journey as a diagram of characters: narrow lifelines at the left, words at the right.

The words stand beside the lifelines, not between them, so that three nodes fit into 40 columns and
nothing is cut: what is too long goes on in the next row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from unicodedata import combining, east_asian_width

from softadastra.tracing.journey import Journey
from softadastra.tracing.lanes import Lane, Tone, lanes_of
from softadastra.tracing.words import clock_of, elapsed, shown

__all__ = ["ASCII", "UNICODE", "Row", "Signs", "diagram"]


class Signs(NamedTuple):
    """The characters of the lifelines."""

    line: str
    point: str
    leaves_right: str
    leaves_left: str
    wire: str
    answer: str
    crossing: str
    right: str
    left: str
    lost: str


UNICODE: Final = Signs("│", "●", "├", "┤", "─", "╌", "┼", "▶", "◀", "✗")
ASCII: Final = Signs("|", "*", "+", "+", "-", ".", "+", ">", "<", "x")

GAPS: Final = (3, 2, 1)
"""Columns between two lifelines: as many as leave the words three fifths of the width."""
WORDS_SHARE: Final = 0.6
TIMES_WIDTH_MIN: Final = 60
"""Narrower diagrams have no times."""
TIME_COLUMNS: Final = 9
"""As "+12,345 s" takes; rarer ones push their words to the right."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture."""

    lifelines: str
    time: str
    words: str
    tone: Tone = Tone.PLAIN

    @property
    def text(self) -> str:
        """The whole line."""
        return f"{self.lifelines}{self.time}{self.words}".rstrip()


def diagram(journey: Journey, *, width: int, signs: Signs = UNICODE) -> list[Row]:
    """Draw a journey.

    Args:
        journey: what to draw.
        width: columns of the terminal; 40 are enough for five nodes. Where nodes are too many for
            it, there are no lifelines, and each row names its node.
        signs: the characters to draw with.
    """
    columns = len(journey.nodes)
    room = width * (1 - WORDS_SHARE)
    gap = next((gap for gap in GAPS if (columns - 1) * (gap + 1) + 1 <= room), None)
    pen = _Pen(columns, gap, signs)
    has_times = width >= TIMES_WIDTH_MIN
    rows = [] if gap is None else list(_heading(journey, pen))
    for lane in lanes_of(journey):
        time = f"  {elapsed(lane.step):>{TIME_COLUMNS}}" if has_times else ""
        name = "" if gap is not None else f"{shown(lane.step.node_id)}: "
        lifelines = pen.draw(lane)
        left = len(lifelines) + cells(time) + pen.margin
        lines = wrapped(name + lane.words, max(width - left, 10))
        rows.append(Row(lifelines, time, " " * pen.margin + lines[0], lane.tone))
        blank = " " * cells(time)
        rows += [Row(pen.blank(), blank, " " * pen.margin + t, lane.tone) for t in lines[1:]]
    return rows


def _heading(journey: Journey, pen: _Pen) -> Iterator[Row]:
    """Name each lifeline above its beginning."""
    for column, node in enumerate(journey.nodes):
        clock = clock_of(node)
        words = shown(node.node_id) + (f"  ({clock})" if clock else "")
        yield Row(pen.blank(column), "", words)


class _Pen:
    """Draws lifelines.

    Args:
        columns: how many.
        gap: how many characters between two; None: nothing is drawn.
        signs: the characters.
    """

    def __init__(self, columns: int, gap: int | None, signs: Signs) -> None:
        self.signs = signs
        self.step = 0 if gap is None else gap + 1
        self.columns = 0 if gap is None else columns
        self.margin = 0 if gap is None else 2

    def _bare(self, columns: int) -> list[str]:
        cell = [self.signs.line, *" " * (self.step - 1)]
        return (cell * columns)[: max(0, (columns - 1) * self.step + 1)]

    def blank(self, columns: int | None = None) -> str:
        """Draw the first lifelines, as far as where the next one begins."""
        if columns is None:
            return "".join(self._bare(self.columns))
        return "".join([self.signs.line, *" " * (self.step - 1)] * columns)

    def draw(self, lane: Lane) -> str:
        """Draw a row."""
        cells_ = self._bare(self.columns)
        if not cells_:
            return ""
        signs, source = self.signs, lane.source * self.step
        if lane.target is None:
            cells_[source] = signs.point
            return "".join(cells_)
        target = lane.target * self.step
        is_right = target > source
        ahead = 1 if is_right else -1
        for column in range(source + ahead, target, ahead):
            is_line = cells_[column] == signs.line
            cells_[column] = signs.crossing if is_line else self._wire(lane)
        cells_[source] = signs.leaves_right if is_right else signs.leaves_left
        head = signs.right if is_right else signs.left
        cells_[target - ahead] = head if lane.arrives else signs.lost
        return "".join(cells_)

    def _wire(self, lane: Lane) -> str:
        return self.signs.answer if lane.is_answer else self.signs.wire


def cells(text: str) -> int:
    """Give how many columns a terminal needs for a text."""
    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )


def wrapped(text: str, width: int) -> Sequence[str]:
    """Break a text between words, and words that are too long."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if cells(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines

"""How the demo looks: a row per node, and below it the states of the nodes over time.

Each state has a colour, by its digest: rows of one colour hold the same. Where there is no
colour, each state has a letter. Drawing asks the nodes nothing; `look_at` does.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from softadastra.errors import InvalidStateError, TransportError
from softadastra.testing import LocalNode, ProcessState

__all__ = ["NodeView", "StateStrip", "draw", "look_at"]

COLORS = (
    "bright_green",
    "bright_blue",
    "bright_magenta",
    "bright_yellow",
    "bright_cyan",
    "orange3",
    "deep_pink2",
    "green4",
    "slate_blue1",
    "gold3",
    "dark_cyan",
    "indian_red",
)
"""Given to states in turn, in the order in which they appear."""

PAUSED_STYLE = Style(color="yellow", dim=True)
KILLED_STYLE = Style(color="red", bold=True)

DIGEST_CHARACTERS = 8
"""Of a digest in hex: enough to see that two differ."""

NARROWEST_STRIP = 10
"""Cells, on a terminal that is too narrow for the table anyway."""

WHOLE_TABLE_COLUMNS = 60
"""On a narrower terminal the counts of the outbox are left out; 40 are enough then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What is shown of one node at one moment; the numbers of a node that is away are None."""

    node_id: str
    state: ProcessState
    keys: int | None = None
    outbox: int | None = None
    queued: int | None = None
    in_flight: int | None = None
    digest: str | None = None
    """In hex."""


def look_at(node: LocalNode) -> NodeView:
    """Ask a node what is to be shown of it."""
    try:
        sync = node.sync_state()
        return NodeView(
            node_id=node.node_id,
            state=ProcessState.RUNNING,
            keys=node.size(),
            outbox=sync.outbox_size,
            queued=sync.queued_count,
            in_flight=sync.in_flight_count,
            digest=node.digest(),
        )
    except (InvalidStateError, TransportError):
        # Paused or killed, perhaps between two of these questions: that is what is shown.
        return NodeView(node_id=node.node_id, state=node.state)


class StateStrip:
    """The states of the nodes over time, as colours or letters. For one thread at a time.

    Args:
        has_block: whether the terminal shows colours and block characters; otherwise states
            are letters.
    """

    __slots__ = ("_cells", "_has_block", "_last_number", "_numbers")

    def __init__(self, *, has_block: bool) -> None:
        self._has_block = has_block
        self._numbers: dict[str, int] = {}
        self._last_number = -1
        self._cells: dict[str, list[NodeView]] = {}

    def add(self, views: Sequence[NodeView]) -> None:
        """Add one moment."""
        digests = {view.digest for view in views if view.digest is not None}
        for view in views:
            self._cells.setdefault(view.node_id, []).append(view)
            if view.digest is not None and view.digest not in self._numbers:
                self._numbers[view.digest] = self._next_number(digests)

    def style(self, view: NodeView) -> Style:
        """Give the colour of a node's state."""
        match view.state, view.digest:
            case ProcessState.RUNNING, str(digest):
                return Style(color=COLORS[self._numbers[digest] % len(COLORS)])
            case ProcessState.KILLED, _:
                return KILLED_STYLE
            case _:
                return PAUSED_STYLE

    def lines(self, width: int) -> list[Text]:
        """Draw all moments, a line per node, from the first to the last in at most `width`."""
        return [self._line(node_id, views, width) for node_id, views in self._cells.items()]

    def _next_number(self, digests: set[str]) -> int:
        """Number a state; its colour is one that no other state has at this moment."""
        taken = {self._numbers[digest] % len(COLORS) for digest in digests & self._numbers.keys()}
        first = self._last_number + 1
        free = (n for n in range(first, first + len(COLORS)) if n % len(COLORS) not in taken)
        self._last_number = next(free, first)
        return self._last_number

    def _line(self, node_id: str, views: Sequence[NodeView], width: int) -> Text:
        line = Text(f"{node_id:<7} ")
        room = max(width - len(line), NARROWEST_STRIP)
        last = len(views) - 1
        # More moments than room: some evenly spread over all of them, the first and last too.
        shown = views if last < room else [views[i * last // (room - 1)] for i in range(room)]
        for view in shown:
            line.append(self._character(view), self.style(view))
        return line

    def _character(self, view: NodeView) -> str:
        match view.state, view.digest:
            case ProcessState.RUNNING, str(digest):
                if self._has_block:
                    return "█"
                return string.ascii_letters[self._numbers[digest] % len(string.ascii_letters)]
            case ProcessState.KILLED, _:
                return "!"
            case _:
                return "-"


def draw(views: Sequence[NodeView], strip: StateStrip, *, width: int) -> Group:
    """Draw the table of one moment and the strip up to it."""
    is_whole = width >= WHOLE_TABLE_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in ("node", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("keys", "outbox", "queued", "flight") if is_whole else ("keys",):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    for view in views:
        outbox = (view.outbox, view.queued, view.in_flight) if is_whole else ()
        style = strip.style(view)
        table.add_row(
            view.node_id,
            Text(view.state, style),
            *("-" if number is None else str(number) for number in (view.keys, *outbox)),
            Text((view.digest or "-")[:DIGEST_CHARACTERS], style),
        )
    return Group(table, *strip.lines(width))

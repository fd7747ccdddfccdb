"""Show results: data on standard output, notes and errors on standard error.

Text that came from a store or a peer is shown with its control characters escaped, so that it
cannot move the cursor, colour the terminal or forge a line. A terminal gets tables that fit its
width, down to 40 columns; a pipe gets lines of any width, so that nothing is cut or folded.
"""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import UnsupportedOperation
from itertools import chain, islice
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "READER_SECONDS",
    "SCHEMA",
    "Output",
    "as_count",
    "as_time",
    "as_yes_no",
    "check_reader",
    "encode",
    "fitting",
    "has_room",
    "printable",
    "tell",
]

SCHEMA = 1
"""The version of the documents that `--json` prints. Fields may be added to it; one that goes
or changes its meaning makes it 2."""

UNLIMITED_WIDTH = 1_000_000
"""Columns of a pipe; more than the longest value takes."""

FOLDED_COLUMNS_MAX = 3
"""Columns of a table whose long words are folded on a narrow terminal; with more columns the
remaining width of each is too small to read."""

READER_SECONDS = 0.5
"""How long a node that runs waits for who reads what it tells beside its events, as it does with
those."""

LISTING_SAMPLE_ROWS = 1_000
"""Rows that decide the column widths of a listing: a listing shows its first lines at once and
takes the same memory however long it is."""


def printable(text: str) -> str:
    """Escape what a terminal would obey instead of show, and what nobody can see."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def tell(text: str, *, is_folded: bool = True) -> None:
    """Tell people something on standard error.

    One that is closed or full changes neither what the command does nor how it ends.

    Args:
        text: a line.
        is_folded: whether a terminal gets it in lines that fit; not what is to be copied whole.
    """
    with suppress(OSError):
        shown = printable(text)
        for line in folded(shown, sys.stderr) if is_folded else [shown]:
            click.echo(line, err=True)


def folded(text: str, stream: TextIO | None) -> list[str]:
    """Break a line where a terminal would do so within words; what is one word stays whole."""
    if stream is None or not stream.isatty():
        return [text]
    import shutil
    import textwrap

    # What COLUMNS says, or the terminal of standard output; else that of the stream itself.
    columns = shutil.get_terminal_size((0, 0)).columns
    columns = columns or os.get_terminal_size(stream.fileno()).columns
    if len(text) <= columns or not columns:
        return [text]
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)


def check_reader() -> None:
    """Find out that nobody reads standard output: writing shows it only with the next line.

    Raises:
        BrokenPipeError: the other end of the pipe was closed.
    """
    if not hasattr(select, "poll"):  # as on Windows, where it is found out with the next line
        return
    looker = select.poll()
    looker.register(sys.stdout, 0)
    if any(found & select.POLLERR for _, found in looker.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def has_room(stream: TextIO | None, wait_seconds: float) -> bool:
    """Wait until a stream takes a line at once; tell whether it does.

    A pipe that nobody reads does not when it is full, nor a terminal that is held with Ctrl-S.
    """
    if stream is None or not hasattr(select, "poll"):  # as on Windows, where nobody knows
        return True
    looker = select.poll()
    try:
        looker.register(stream, select.POLLOUT)
    except UnsupportedOperation:  # not one of the system's
        return True
    return bool(looker.poll(wait_seconds * 1000))


def as_count(count: int, noun: str) -> str:
    """Write how many there are of something, as "1 row" and "1,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def as_yes_no(condition: bool) -> str:
    """Write a truth value for people."""
    return "yes" if condition else "no"


def as_time(timestamp_ms: object) -> str:
    """Write a time in UTC for people, "-" for none."""
    if not isinstance(timestamp_ms, int):
        return "-"
    instant = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    return instant.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


class Output:
    """Where one command shows what it has found.

    Args:
        as_json: whether the command was asked for a JSON document.
        no_color: no colours even on a terminal.
        is_quiet: no notes.
    """

    __slots__ = ("_no_color", "as_json", "is_quiet")

    def __init__(self, *, as_json: bool, no_color: bool, is_quiet: bool) -> None:
        self.as_json = as_json
        self.is_quiet = is_quiet
        self._no_color = no_color or bool(os.environ.get("NO_COLOR"))

    def document(self, document: Mapping[str, object]) -> None:
        """Print the one JSON document of a command, on one line."""
        self.line(encode({"schema": SCHEMA, **document}))

    def line(self, text: str) -> None:
        """Print a line of data; it may wait in the buffer until the command ends."""
        sys.stdout.write(f"{text}\n")

    def sentence(self, text: str) -> None:
        """Print words for people: on a terminal in lines that fit it."""
        for line in folded(printable(text), sys.stdout):
            self.line(line)

    def title(self, text: str) -> None:
        """Print a line above others, in bold on a terminal."""
        from rich.text import Text

        self.console(sys.stdout).print(Text(printable(text), style="bold"))

    def note(self, text: str, *, is_folded: bool = True) -> None:
        """Tell people something that is not data; programs and -q do not see it."""
        if not self.is_quiet:
            tell(text, is_folded=is_folded)

    def note_if_read(self, text: str) -> None:
        """Tell people the same, as long as they read: what runs on does not wait for them."""
        if has_room(sys.stderr, READER_SECONDS):
            self.note(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a titled table; one that is too wide for its terminal becomes blocks, one a row."""
        console = self.console(sys.stdout)
        cells = [[printable(str(cell)) for cell in row] for row in rows]
        self.title(title)
        table = _table(columns, cells)
        if len(columns) <= FOLDED_COLUMNS_MAX or _fits(table, console):
            console.print(table)
            return
        for row in cells:
            block = _table(("", ""), zip(columns, row, strict=True), has_header=False)
            console.print(block, end="\n\n")

    def listing(self, columns: tuple[str, str], rows: Iterable[tuple[str, str]]) -> bool:
        """Print any number of rows, one a line; a terminal gets as much of each as fits.

        Returns:
            Whether there was a row; without one nothing is printed.
        """
        from rich.cells import cell_len

        width = self.console(sys.stdout).width
        lines = iter(rows)
        sample = list(islice(lines, LISTING_SAMPLE_ROWS))
        if not sample:
            return False
        sample.insert(0, columns)
        first_width = min(max(cell_len(printable(first)) for first, _ in sample), width // 2)
        for first, second in chain(sample, lines):
            first = printable(first)
            padding = " " * (first_width - cell_len(first))
            self.line(fitting(f"{first}{padding}  {printable(second)}", width))
        return True

    def console(self, stream: TextIO) -> Console:
        """Make a console for what a stream is at this moment."""
        from softadastra.cli.console import ToolConsole

        is_terminal = stream.isatty()
        return ToolConsole(
            file=stream,
            color_system=None if self._no_color or not is_terminal else "auto",
            width=None if is_terminal or "COLUMNS" in os.environ else UNLIMITED_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
        )


def fitting(line: str, width: int) -> str:
    """Cut a line that is wider than its terminal."""
    from rich.cells import cell_len, set_cell_size

    return line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…"


def encode(document: object) -> str:
    """Write JSON that the encoding of standard output can carry."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(document, ensure_ascii=not is_unicode, allow_nan=False)


def _table(
    columns: Iterable[str], rows: Iterable[Sequence[str]], *, has_header: bool = True
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=has_header)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _fits(table: Table, console: Console) -> bool:
    """Tell whether no line of the table would have to be broken.

    Rich breaks words although each would fit, when it makes room in the widest columns first.
    """
    from rich.measure import Measurement

    unlimited = console.options.update(width=UNLIMITED_WIDTH)
    return Measurement.get(console, unlimited, table).maximum <= console.width

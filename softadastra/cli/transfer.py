"""`softadastra store import` and `store export`: many keys at once, from and to files.

An import writes groups of rows, each as one atomic, durable record. A row that cannot be stored
ends it: its group leaves no trace, the groups before it stay. To import a corrected file again
is safe: what is there already is left unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, RequiredArgument
from softadastra.cli.input import STANDARD_INPUT, open_input
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import Output, as_count, encode
from softadastra.cli.reaching import reach_node
from softadastra.cli.rows import BadRowError, Row, read_csv, read_json_lines
from softadastra.errors import InvalidArgumentError, SoftadastraError
from softadastra.tagged_json import to_json

if TYPE_CHECKING:
    from softadastra.control.operations import Operations

__all__ = ["export_rows", "import_rows"]

GROUP_ROWS_MAX = 1_000
"""Rows written as one record: enough that one disk sync costs each row little."""

GROUP_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of the file that are written as one record, so that large values do not fill the memory;
a single larger row is a group of its own."""


@click.command("import", cls=Command)
@click.argument("file", cls=RequiredArgument, missing="Missing file argument.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "csv"]),
    help="What the file holds; default: csv when its name ends in .csv, else jsonl.",
)
@click.option("--key-column", metavar="NAME", help="CSV: the column of the keys (default: key).")
@click.option("--value-column", metavar="NAME", help="CSV: the column of the values.")
@click.pass_obj
def import_rows(
    invocation: Invocation,
    *,
    file: str,
    file_format: str | None,
    key_column: str | None,
    value_column: str | None,
) -> None:
    """Store the keys and values of a file.

    "-" reads standard input. JSON Lines: {"key": "...", "value": ...} or ["key", value] on each
    line. CSV: a header, then rows of text; without --value-column the value is the column "value",
    or a dict of all columns but the key when there are others.
    """
    is_csv = file_format == "csv" or (file_format is None and file.lower().endswith(".csv"))
    if not is_csv and (key_column is not None or value_column is not None):
        raise click.UsageError("--key-column and --value-column are for CSV: add --format csv.")
    with open_input(file) as stream:
        if is_csv:
            rows = read_csv(stream, key_column=key_column or "key", value_column=value_column)
        else:
            rows = read_json_lines(stream)
        with (
            reach_node(invocation, creates=True) as reached,
            _progress(invocation.output, _size_bytes(file)) as advance,
        ):
            imported = _import(reached.node, rows, advance)
    if invocation.json:
        invocation.output.document({"imported": imported})
    else:
        invocation.output.line(f"Imported {as_count(imported, 'row')}.")


@click.command("export", cls=Command)
@click.argument("prefix", default="")
@click.pass_obj
def export_rows(invocation: Invocation, *, prefix: str) -> None:
    """Print keys and values as JSON Lines.

    Those that begin with PREFIX if it is given. `store import` reads them back equal. With
    --json they are one document.
    """
    with reach_node(invocation, creates=False) as reached:
        rows = ({"key": key, "value": to_json(value)} for key, value in reached.node.items(prefix))
        if invocation.json:
            invocation.output.document({"entries": list(rows)})
            return
        for row in rows:
            invocation.output.line(encode(row))


def _import(node: Operations, rows: Iterable[Row], advance: Callable[[list[Row]], None]) -> int:
    """Store the rows in groups.

    Returns:
        How many rows were stored.

    Raises:
        BadRowError: a row cannot be stored; says how many were stored before.
        SoftadastraError: the node refused a group; says the same.
    """
    imported = 0
    try:
        for group in _groups(rows):
            _write(node, group)
            imported += len(group)
            advance(group)
    except SoftadastraError as error:
        error.context["imported"] = imported
        error.add_note(f"Imported {as_count(imported, 'row')}; nothing after them was kept.")
        raise
    return imported


def _write(node: Operations, group: list[Row]) -> None:
    with node.batch() as batch:
        for row in group:
            try:
                batch.put(row.key, row.value)
            except InvalidArgumentError as error:
                raise BadRowError(row.line, error.message) from error


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size_bytes = 0
    for row in rows:
        group.append(row)
        size_bytes += row.size_bytes
        if len(group) >= GROUP_ROWS_MAX or size_bytes >= GROUP_BYTES_MAX:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _size_bytes(file: str) -> int | None:
    """Tell how much there is to read, when that can be known."""
    return None if file == STANDARD_INPUT else Path(file).stat().st_size or None


@contextmanager
def _progress(output: Output, size_bytes: int | None) -> Iterator[Callable[[list[Row]], None]]:
    """Show a bar on standard error when it is a terminal."""
    if output.is_quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.fields[rows]:,} rows"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=output.console(sys.stderr), transient=True) as progress:
        task = progress.add_task("import", total=size_bytes, rows=0)
        rows = 0

        def advance(group: list[Row]) -> None:
            nonlocal rows
            rows += len(group)
            progress.update(task, advance=sum(row.size_bytes for row in group), rows=rows)

        yield advance

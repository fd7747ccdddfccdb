"""`softadastra store watch`: what changes at a running node, as it comes."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import Output, as_time, check_reader, encode, fitting, printable
from softadastra.cli.reaching import running_node
from softadastra.control.unreachable import NodeGoneError, NodeSilentError
from softadastra.errors import SoftadastraError, WatchOverflowError
from softadastra.tagged_json import to_json

if TYPE_CHECKING:
    from softadastra.types import Change

__all__ = ["watch"]

LOOK_SECONDS = 0.5
"""How often to look whether anybody still reads, while nothing changes."""

TIMED_COLUMNS = 80
"""A terminal with fewer columns is shown no times: they would take half of each line."""


@click.command("watch", cls=Command)
@click.argument("prefix", default="")
@click.option(
    "--from",
    "since",
    metavar="POSITION",
    help="Begin at a position that was given before, or with all that there is: 'beginning'.",
)
@click.option("--count", type=Number(int, 1), metavar="N", help="End after N changes.")
@click.pass_obj
def watch(invocation: Invocation, *, prefix: str, since: str | None, count: int | None) -> None:
    """Show each change of a running node as it comes.

    Of keys that begin with PREFIX if it is given, by whomever they were written, until Ctrl-C. With
    --json each is a line, with the position to go on from later. Exits with 4 when the node does
    not run, or ends.
    """
    output = invocation.output
    show = _json_line if output.as_json else _Line(output)
    with closing(running_node(invocation)) as node, node.watch(prefix, since=since) as changes:
        keys = f"keys that begin with {prefix}" if prefix else "all keys"
        shown = 0
        try:
            output.note(f"Watching {keys} of {node.about.node_id}.")
            while count is None or shown < count:
                try:
                    change = changes.get(LOOK_SECONDS)
                except WatchOverflowError as error:
                    _tell_missed(output, error)
                    continue
                if change is None:
                    check_reader()
                    continue
                output.line(show(change))
                sys.stdout.flush()
                shown += 1
        except (KeyboardInterrupt, NodeGoneError, NodeSilentError) as end:
            if isinstance(end, SoftadastraError):
                end.context["position"] = changes.position
            end.add_note(f"Go on later with --from {changes.position}")
            raise


def _tell_missed(output: Output, error: WatchOverflowError) -> None:
    """Say that here changes are missing: in the middle of the data, for who reads only that."""
    if output.as_json:
        output.document({"missed": True, "position": error.position})
        sys.stdout.flush()
    else:
        output.note(
            "Changes came faster than they were read: some are not shown. The newest value of each"
            " key comes next."
        )


def _json_line(change: Change) -> str:
    from softadastra.cli.output import SCHEMA

    return encode(
        {
            "schema": SCHEMA,
            "key": change.key,
            "value": to_json(change.value),
            "is_removed": change.is_removed,
            "version": change.version,
            "timestamp_ms": change.timestamp_ms,
            "origin": change.origin,
            "sync_id": change.sync_id,
            "position": change.position,
        }
    )


class _Line:
    """Writes a change for people, as much of it as fits."""

    def __init__(self, output: Output) -> None:
        self._width = output.console(sys.stdout).width

    def __call__(self, change: Change) -> str:
        time = f"{as_time(change.timestamp_ms)}  " if self._width >= TIMED_COLUMNS else ""
        by = change.sync_id or "-"
        value = change.value if isinstance(change.value, str) else encode(to_json(change.value))
        what = "removed" if change.is_removed else f"= {value}"
        return fitting(printable(f"{time}{by}  {change.key} {what}"), self._width)

"""`softadastra logs`: a node's events for people, as they are and as they come."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from softadastra.cli.command import Command
from softadastra.cli.following import Follower
from softadastra.cli.invocation import Invocation
from softadastra.cli.log_files import log_file_of, opened, text_lines, unique
from softadastra.cli.numbers import Number
from softadastra.cli.output import Output, as_time, check_reader, printable
from softadastra.cli.reaching import load_options
from softadastra.errors import InvalidArgumentError

if TYPE_CHECKING:
    from softadastra.tracing.lines import Event
    from softadastra.tracing.sync_ids import SyncId

__all__ = ["logs"]

LEVELS = ("debug", "info", "warning", "error")
STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red"}
EVENT_COLUMNS = 18
"""As most names take; longer ones push their fields to the right."""


@click.command("logs", cls=Command)
@click.argument("files", metavar="[LOG]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    "lines_max",
    type=Number(int, 0, 1_000_000_000),
    metavar="COUNT",
    help="Only the last so many.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="debug",
    show_default=True,
    help="The least that is shown.",
)
@click.option("--event", "prefix", metavar="PREFIX", help="Only events whose name begins so.")
@click.option("--node", "speaker", metavar="ID", help="Only what this node logged.")
@click.option("--peer", metavar="ID", help="Only what is about this peer.")
@click.option("--key", metavar="KEY", help="Only what is about this key.")
@click.option("--sync-id", metavar="SYNC_ID", help="Only what names this write, in ranges too.")
@click.pass_obj
def logs(
    invocation: Invocation,
    *,
    files: tuple[Path, ...],
    follow: bool,
    lines_max: int | None,
    level: str,
    prefix: str | None,
    speaker: str | None,
    peer: str | None,
    key: str | None,
    sync_id: str | None,
) -> None:
    """Show and follow what a node logs.

    Each LOG is a file of JSON lines; without one it is where `node start --detach` logs, beside the
    write-ahead log. What is no event is left out. With --json the lines are passed on as they are.
    """
    from softadastra.tracing.sync_ids import parse_sync_id

    wanted = _Wanted(
        level=LEVELS.index(level),
        prefix=prefix or "",
        node_id=speaker,
        peer=peer,
        key=key,
        sync_id=None if sync_id is None else parse_sync_id(sync_id),
    )
    paths = unique(files or [log_file_of(load_options(invocation))])
    if follow and len(paths) > 1:
        raise InvalidArgumentError(
            f"{len(paths)} logs cannot be followed at once: name one, or leave out --follow"
        )
    show = _Shower(invocation.output)
    if follow:
        _follow(paths[0], wanted, lines_max, show)
        return
    found = wanted.among(line for path in paths for line in _lines_of(path))
    for text, event in found if lines_max is None else deque(found, lines_max):
        show(text, event)


def _lines_of(path: Path) -> Iterator[str]:
    with opened(path) as file:
        yield from text_lines(file)


def _follow(path: Path, wanted: _Wanted, lines_max: int | None, show: _Shower) -> None:
    with Follower(path) as follower:
        earlier = wanted.among(follower.present())
        for text, event in earlier if lines_max is None else deque(earlier, lines_max):
            show(text, event)
        sys.stdout.flush()
        while True:
            for text, event in wanted.among(follower.wait()):
                show(text, event)
            sys.stdout.flush()
            check_reader()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which events are shown; None: all are."""

    level: int
    prefix: str
    node_id: str | None
    peer: str | None
    key: str | None
    sync_id: SyncId | None

    def among(self, lines: Iterable[str]) -> Iterator[tuple[str, Event]]:
        """Give the lines that are wanted, with what they say."""
        from softadastra.tracing.lines import Event, parse_line

        for text in lines:
            event = parse_line(text)
            if isinstance(event, Event) and self._is_wanted(event):
                yield text, event

    def _is_wanted(self, event: Event) -> bool:
        from softadastra.tracing.sync_ids import covers

        fields = event.fields
        return (
            LEVELS.index(event.level) >= self.level
            and event.name.startswith(self.prefix)
            and self.node_id in (None, event.node_id)
            and self.peer in (None, fields.get("peer"))
            and self.key in (None, fields.get("key"))
            and (
                self.sync_id is None
                or covers(fields.get("sync_id"), self.sync_id)
                or covers(fields.get("winner"), self.sync_id)
            )
        )


class _Shower:
    """Shows events, one a line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._console = None if output.as_json else output.console(sys.stdout)

    def __call__(self, text: str, event: Event) -> None:
        if self._console is None:
            self._output.line(text.rstrip("\n"))
            return
        from rich.text import Text

        line = Text(as_time(event.ts), style="dim")
        line.append(f" {event.level:<7} ", style=STYLES[event.level])
        line.append(f"{printable(event.node_id)}  ")
        line.append(f"{printable(event.name):<{EVENT_COLUMNS}}", style="bold")
        for name, value in event.fields.items():
            line.append(f" {printable(name)}=", style="dim")
            line.append(_shown(value))
        line.rstrip()
        self._console.print(line, soft_wrap=True)


def _shown(value: Any) -> str:
    """Write a field for people: lists as words, and text with spaces in quotes."""
    if isinstance(value, list):
        return ",".join(map(_shown, value)) or "none"
    text = printable(value if isinstance(value, str) else str(value).lower())
    return text if text and " " not in text else repr(text)

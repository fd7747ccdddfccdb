"""`softadastra logs`: the events of a node that runs detached."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_time, printable
from softadastra.cli.reaching import load_options
from softadastra.cli.starting import log_file_of
from softadastra.errors import NotFoundError, StorageError

__all__ = ["logs"]

LEVELS = ("debug", "info", "warning", "error")

LOOK_SECONDS = 0.2
"""How often to look for more while following: soon enough for who watches."""

HEAD = ("event", "level", "node_id", "ts")
"""What each event begins with; the rest are its fields."""


@click.command("logs", cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--lines",
    type=Number(int, 0),
    default=50,
    show_default=True,
    metavar="N",
    help="Begin with the last N that are shown.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="The least to show.")
@click.option(
    "--event", metavar="NAME", help="Only these, as peer.connected; peer. is all of that subject."
)
@click.pass_obj
def logs(
    invocation: Invocation,
    *,
    file: Path | None,
    lines: int,
    follow: bool,
    level: str,
    event: str | None,
) -> None:
    """Show the events of a detached node.

    Of FILE, or of the log file that `node start --detach` writes for this node. With --json they
    are JSON Lines. What is no event, as the last words of a node that did not start, is shown as
    it is. Exits with 3 when there is no such file.
    """
    path = file or log_file_of(load_options(invocation))
    shown = LEVELS[LEVELS.index(level) :]
    with _opened(path) as stream:
        last: deque[dict[str, Any]] = deque(maxlen=lines)
        for line in _whole_lines(stream):
            found = _read(line)
            if _matches(found, shown, event):
                last.append(found)
        for found in last:
            _show(invocation, found)
        if not last and not follow:
            invocation.output.note("No events.")
        sys.stdout.flush()
        if follow:
            for line in _added(path, stream):
                found = _read(line)
                if _matches(found, shown, event):
                    _show(invocation, found)
                    sys.stdout.flush()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no log file {path}: a node that was started with node start --detach has"
            " one; of any other give its file",
            path=str(path),
        ) from None
    except OSError as error:
        raise StorageError(
            f"cannot read the log file {str(path)!r}: {error.strerror}",
            errno=error.errno,
            filename=str(path),
        ) from error


def _whole_lines(stream: BinaryIO) -> Iterator[str]:
    """Give the lines that have an end, and stay before one that has none yet."""
    while line := stream.readline():
        if not line.endswith(b"\n"):
            stream.seek(-len(line), os.SEEK_CUR)
            return
        yield line.decode(errors="replace").rstrip("\n")


def _added(path: Path, stream: BinaryIO) -> Iterator[str]:
    """Give what is added, also to a file that was cut or that took this one's place. For ever."""
    while True:
        yield from _whole_lines(stream)
        here = os.fstat(stream.fileno())
        if here.st_size < stream.tell():
            stream.seek(0)
            continue
        with suppress(FileNotFoundError):
            named = path.stat()
            if (named.st_dev, named.st_ino) != (here.st_dev, here.st_ino):
                with path.open("rb") as other:
                    os.dup2(other.fileno(), stream.fileno())
                stream.seek(0)
                continue
        time.sleep(LOOK_SECONDS)


def _read(line: str) -> dict[str, Any]:
    """Read an event; of what is none its text."""
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found.get("event"), str):
            return found
    return {"text": line}


def _matches(found: dict[str, Any], levels: tuple[str, ...], event: str | None) -> bool:
    if "text" in found and "event" not in found:
        return event is None
    name = found["event"]
    is_wanted = event is None or name == event or (event.endswith(".") and name.startswith(event))
    return is_wanted and found.get("level", "error") in levels


def _show(invocation: Invocation, found: dict[str, Any]) -> None:
    if invocation.json:
        invocation.output.line(json.dumps(found))
        return
    if "event" not in found:
        invocation.output.line(printable(found["text"]))
        return
    fields = [f"{name}={_word(value)}" for name, value in found.items() if name not in HEAD]
    head = f"{as_time(found.get('ts'))}  {found.get('level', '-'):<7}  {found['event']}"
    invocation.output.line(printable("  ".join([head, *fields])))


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""`softadastra trace`: the journey of one write through the logs of all nodes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.log_files import log_file_of, logs_beside, opened, text_lines, unique
from softadastra.cli.output import Output, as_count, printable
from softadastra.cli.reaching import load_options
from softadastra.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from softadastra.tracing.journey import Journey
    from softadastra.tracing.lanes import Tone
    from softadastra.tracing.logs import Logs
    from softadastra.tracing.sync_ids import SyncId
    from softadastra.tracing.text import Signs

__all__ = ["trace"]

NAMED_MAX = 6
"""Logs and nodes that a message names; there may be hundreds."""


@click.command("trace", cls=Command)
@click.argument("sync_id", metavar="SYNC_ID")
@click.argument("logs", metavar="[LOG]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "html"]),
    default="text",
    show_default=True,
    help="A diagram for the terminal, for a document, or one HTML file.",
)
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to this file instead.",
)
@click.pass_obj
def trace(
    invocation: Invocation,
    *,
    sync_id: str,
    logs: tuple[Path, ...],
    form: str,
    target: Path | None,
) -> None:
    """Show what became of one write, by the JSON logs of all nodes.

    SYNC_ID is what `put` gives, as node-a-17. Each LOG is a file that nodes have logged to with
    --log-level debug --log-format json; without one, all logs in the directory of this node's own.
    Steps are in the order of cause and effect, whatever the clocks say. Exits with 3 when no log
    names the write.
    """
    from softadastra.tracing.document import document
    from softadastra.tracing.journey import journey_of
    from softadastra.tracing.sync_ids import parse_sync_id

    wanted = parse_sync_id(sync_id)
    found = _read(wanted, logs or logs_beside(log_file_of(load_options(invocation))))
    journey = journey_of(found)
    if not journey.steps:
        raise _unknown(found)
    output = invocation.output
    if invocation.json:
        output.document({"trace": document(journey, found.files)})
        return
    if target is None:
        _show(output, journey, form)
    else:
        _write(target, _plain(journey, form))
        output.note(f"The journey of {sync_id} is in {target}.")
    for remark in journey.remarks if form != "html" else ():
        output.note(f"Note: {remark}.")


def _read(sync_id: SyncId, paths: tuple[Path, ...] | list[Path]) -> Logs:
    from softadastra.tracing.logs import Logs

    found = Logs(sync_id)
    for path in unique(paths):
        with opened(path) as file:
            found.read(str(path), text_lines(file))
    return found


def _unknown(found: Logs) -> NotFoundError:
    """Say what was read, and what is near."""
    files = found.files
    names = [file.name for file in files[:NAMED_MAX]]
    more = [f"{len(files) - NAMED_MAX:,} more"] if len(files) > NAMED_MAX else []
    events = sum(file.events for file in files)
    words = [f"No log names {found.sync_id}: read {as_count(events, 'event')}"]
    words[0] += f" in {', '.join(names + more)}."
    span = found.writes.get(found.sync_id.node_id)
    if span is not None:
        words.append(f"They have {span.node_id}-{span.first} to {span.node_id}-{span.last}.")
    elif found.writes:
        writers = sorted(found.writes)[:NAMED_MAX]
        words.append(f"They have writes of {', '.join(writers)}.")
    elif events and not found.debugs:
        words.append("None of them has debug events: run the nodes with --log-level debug.")
    elif not events:
        words.append("None of them is JSON: run the nodes with --log-format json.")
    return NotFoundError(
        " ".join(words), sync_id=str(found.sync_id), logs=[file.name for file in files]
    )


def _show(output: Output, journey: Journey, form: str) -> None:
    if form != "text":
        sys.stdout.write(_plain(journey, form))
        return
    from rich.text import Text

    from softadastra.tracing.text import diagram
    from softadastra.tracing.words import summary

    console = output.console(sys.stdout)
    width = console.width if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS
    console.print(Text(_title(journey), style="bold"), soft_wrap=True)
    for line in summary(journey):
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
    for row in diagram(journey, width=width, signs=_signs()):
        text = Text(row.lifelines + row.time, style="dim")
        text.append(row.words, style=_styles()[row.tone])
        text.rstrip()
        console.print(text, soft_wrap=True)


PIPE_COLUMNS = 100
"""The width of a diagram in a pipe or a file."""


def _title(journey: Journey) -> str:
    key = "" if journey.key is None else f"  key {printable(journey.key)}"
    return f"{printable(str(journey.sync_id))}{key}"


def _signs() -> Signs:
    """Choose characters that standard output can carry."""
    from softadastra.tracing.text import ASCII, UNICODE

    try:
        "".join(UNICODE).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def _styles() -> dict[Tone, str]:
    from softadastra.tracing.lanes import Tone

    return {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "red", Tone.FAINT: "dim"}


def _plain(journey: Journey, form: str) -> str:
    match form:
        case "html":
            from softadastra.tracing.page import page

            return page(journey)
        case "mermaid":
            from softadastra.tracing.mermaid import mermaid

            return mermaid(journey)
        case _:
            from softadastra.tracing.text import diagram
            from softadastra.tracing.words import summary

            lines = [_title(journey), *(f"  {line}" for line in summary(journey)), ""]
            lines += [row.text for row in diagram(journey, width=PIPE_COLUMNS)]
            return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot write {str(path)!r}: {error.strerror}; choose another file with --output",
            errno=error.errno,
            filename=str(path),
        ) from error

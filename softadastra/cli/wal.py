"""`softadastra wal`: look into a node's write-ahead log, and check it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import Output, as_count, printable
from softadastra.cli.reaching import load_options
from softadastra.errors import InvalidStateError, WalCorruptionError

if TYPE_CHECKING:
    from softadastra.inspection import Reading, Writers
    from softadastra.options import ClientOptions
    from softadastra.wal.frames import Header
    from softadastra.wal.salvaging import Frame, Gap

__all__ = [
    "damage_error",
    "frame_document",
    "inspect",
    "log_path",
    "reading_document",
    "verify",
    "wal",
]

SHOWN_MAX = 8
"""Keys or numbers of a frame that are shown to people; `--json` has all."""

wal = Group(
    "wal",
    help="Look after the write-ahead log of this node.",
    lazy={
        "inspect": Lazy("softadastra.cli.wal:inspect", "Show what is in the log, but no values."),
        "verify": Lazy("softadastra.cli.wal:verify", "Check every byte of the log."),
        "compact": Lazy(
            "softadastra.cli.wal_changes:compact", "Rewrite the log without what is obsolete."
        ),
        "repair": Lazy(
            "softadastra.cli.wal_changes:repair_log",
            "Save what is left of a damaged log in a new file.",
        ),
        "backup": Lazy(
            "softadastra.cli.wal_changes:backup", "Write a copy of the log to a new file."
        ),
    },
)


def log_path(options: ClientOptions) -> Path:
    """Give where the log is that a command line names."""
    if not options.enable_wal:
        raise InvalidStateError(
            f"node {options.node_id!r} keeps nothing on disk (enable_wal is false): name a log "
            "with --wal and a settings file that keeps one"
        )
    return options.resolved_wal_path()


def _read(invocation: Invocation) -> Iterator[Header | Frame | Gap | Reading]:
    from softadastra.inspection import read_log
    from softadastra.node_settings import engine_options, policies_of

    options = load_options(invocation)
    policies, engine = policies_of(options), engine_options(options)
    return read_log(log_path(options), policies=policies, options=engine)


@click.command("inspect", cls=Command)
@click.option("--frames", "shows_frames", is_flag=True, help="Show each frame too.")
@click.pass_obj
def inspect(invocation: Invocation, *, shows_frames: bool) -> None:
    """Show what is in the log, but no values.

    Whose it is, how large, and how many frames of which kind. It reads a log that a running node
    holds, and a damaged one as far as it goes. Keys and numbers of writes are shown, values never.
    Nothing is changed. Exits with 6 when there is damage.
    """
    from softadastra.inspection import Reading, writers_of
    from softadastra.wal.frames import Header

    output = invocation.output
    listed: list[dict[str, object]] = []
    for item in _read(invocation):
        match item:
            case Header():
                header, writers = item, writers_of(item)
            case Reading():
                reading = item
            case _ if not shows_frames:
                pass
            case _ if output.as_json:
                listed.append(frame_document(item, header.node_id, writers))
            case _:
                output.line(_frame_line(frame_document(item, header.node_id, writers)))
    if output.as_json:
        frames = {"frames": listed} if shows_frames else {}
        output.document({**reading_document(reading), **frames})
    else:
        _show(output, reading)
    if reading.faults or reading.refusal is not None:
        click.get_current_context().exit(ExitCode.DAMAGE_FOUND)


@click.command("verify", cls=Command)
@click.pass_obj
def verify(invocation: Invocation) -> None:
    """Check every byte of the log.

    And that it gives a state. Nothing is changed. A torn tail, which is a write that was never
    finished, is told and is no damage. Exits with 6 when there is damage, and says where.
    """
    from softadastra.inspection import Reading

    for item in _read(invocation):
        if isinstance(item, Reading):
            reading = item
    if reading.faults:
        raise damage_error(reading)
    if reading.refusal is not None:
        raise reading.refusal
    torn = reading.ending.torn_bytes
    keys = len(reading.engine.replica) if reading.engine is not None else 0
    if invocation.json:
        found = {"path": str(reading.path), "ok": True, "frames": reading.frame_count}
        invocation.output.document({**found, "keys": keys, "torn_bytes": torn})
        return
    counts = f"{as_count(reading.frame_count, 'frame')}, {as_count(keys, 'key')}"
    invocation.output.sentence(f"{printable(str(reading.path))} is intact: {counts}.")
    if torn:
        invocation.output.sentence(
            f"At offset {reading.ending.offset} a torn tail of {as_count(torn, 'byte')} begins: a "
            "write that was never finished, which the next open cuts off."
        )
    if reading.holder is not None:
        invocation.output.note(f"The log is in use by {_holder(reading)}; it may end in a write.")


def damage_error(reading: Reading) -> WalCorruptionError:
    """Say where a log is damaged, and what to do."""
    first, *others = reading.faults
    more = f"; {as_count(len(others), 'more place')} behind it" if others else ""
    return WalCorruptionError(
        f"{reading.path} is damaged at offset {first.offset}: frame {first.sequence} should be "
        f"intact, because {first.reason}{more}; {as_count(reading.frame_count, 'frame')} left. "
        "'softadastra wal repair' saves them in a new file",
        path=str(reading.path),
        offset=first.offset,
        sequence=first.sequence,
        reason=first.reason,
        damages=len(reading.faults),
        frames=reading.frame_count,
    )


def frame_document(item: Frame | Gap, node_id: str, writers: Writers) -> dict[str, object]:
    """Describe a frame, or a gap between frames, for `--json`."""
    from softadastra.inspection import contents_of, kind_name
    from softadastra.wal.salvaging import Frame

    if not isinstance(item, Frame):
        return {"offset": item.offset, "sequence": item.first, "kind": "damage", **_gap(item)}
    contents = contents_of(item, node_id, writers)
    document: dict[str, object] = {
        "offset": item.offset,
        "sequence": item.sequence,
        "kind": kind_name(item.kind),
        "size_bytes": item.size_bytes,
    }
    return document | {name: found for name, found in contents._asdict().items() if found}


def _gap(gap: Gap) -> dict[str, object]:
    from softadastra.inspection import kind_name

    kinds = [kind_name(kind) for kind in gap.kinds]
    return {"size_bytes": gap.end - gap.offset, "last_sequence": gap.last, "lost_kinds": kinds}


def _frame_line(document: dict[str, object]) -> str:
    plain = [f"{name}={document[name]}" for name in ("offset", "sequence", "kind", "size_bytes")]
    for name in ("last_sequence", "lost_kinds", "keys", "sync_ids", "nodes", "unreadable"):
        found = document.get(name)
        if isinstance(found, list):
            more = f" and {len(found) - SHOWN_MAX:,} more" if len(found) > SHOWN_MAX else ""
            found = printable(", ".join(map(str, found[:SHOWN_MAX]))) + more
        if found:
            plain.append(f"{name}={found}")
    return "  ".join(plain)


def reading_document(reading: Reading) -> dict[str, object]:
    """Describe a whole log for `--json`."""
    from softadastra.inspection import kind_name
    from softadastra.wal.frames import FORMAT_VERSION

    header, ending, holder = reading.header, reading.ending, reading.holder
    return {
        "path": str(reading.path),
        "node_id": header.node_id,
        "incarnation": f"{header.incarnation:016x}",
        "generation": header.generation,
        "format": FORMAT_VERSION,
        "in_use_by": None if holder is None else holder._asdict(),
        "used_bytes": ending.offset,
        "allocated_bytes": reading.allocated_bytes,
        "live_bytes": reading.live_bytes,
        "keys": None if reading.engine is None else len(reading.engine.replica),
        "frame_count": reading.frame_count,
        "kinds": {
            kind_name(kind): {"frames": count, "size_bytes": size_bytes}
            for kind, (count, size_bytes) in sorted(reading.frames.items())
        },
        "durable_mark": ending.mark,
        "torn_bytes": ending.torn_bytes,
        "damages": [fault._asdict() for fault in reading.faults],
        "refused": None if reading.refusal is None else reading.refusal.message,
    }


def _show(output: Output, reading: Reading) -> None:
    from softadastra.inspection import kind_name

    header, ending = reading.header, reading.ending
    live = reading.live_bytes
    rows: list[tuple[str, object]] = [
        ("path", reading.path),
        ("node_id", header.node_id),
        ("incarnation", f"{header.incarnation:016x}"),
        ("generation", header.generation),
        ("in_use", "no" if reading.holder is None else f"by {_holder(reading)}"),
        ("used_bytes", f"{ending.offset:,}"),
        ("allocated_bytes", f"{reading.allocated_bytes:,}"),
        ("live_bytes", "-" if live is None else f"about {live:,}"),
        ("keys", "-" if reading.engine is None else f"{len(reading.engine.replica):,}"),
        ("frames", f"{reading.frame_count:,}"),
        ("durable_mark", f"{ending.mark:,}"),
        ("torn_bytes", f"{ending.torn_bytes:,}"),
        ("damage", f"{as_count(len(reading.faults), 'place')}" if reading.faults else "none"),
    ]
    output.table("Softadastra write-ahead log", ("Field", "Value"), rows)
    kinds = sorted(reading.frames.items())
    if kinds:
        output.line("")
        output.table(
            "Frames",
            ("Kind", "Frames", "Bytes"),
            ((kind_name(kind), f"{count:,}", f"{size:,}") for kind, (count, size) in kinds),
        )
    if reading.faults:
        output.line("")
        output.table("Damage", ("Offset", "Frame", "Why"), reading.faults)
    if reading.refusal is not None:
        output.line(printable(reading.refusal.message))


def _holder(reading: Reading) -> str:
    holder = reading.holder
    if holder is None or holder.pid is None:
        return "an unknown process"
    return f"node {holder.node_id!r}, process {holder.pid}, since {holder.since}"

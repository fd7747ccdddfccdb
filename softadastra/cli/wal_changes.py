"""`softadastra wal`: compact a log, repair it into a new file, copy it.

A node that runs compacts and copies its log itself; to repair it is refused then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, RequiredArgument
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import Output, as_count, printable
from softadastra.cli.reaching import load_options, reach_node
from softadastra.cli.wal import log_path

if TYPE_CHECKING:
    from softadastra.repair import Damage, Repaired

__all__ = ["backup", "compact", "repair_log"]


def _existing_log(invocation: Invocation) -> Path:
    """Give where the log is; a command that needs one makes none."""
    from softadastra.wal.disk import OsDisk
    from softadastra.wal.log_file import read_log_file

    path = log_path(load_options(invocation))
    file, *_ = read_log_file(OsDisk(), path)
    file.close()
    return path


@click.command("compact", cls=Command)
@click.pass_obj
def compact(invocation: Invocation) -> None:
    """Rewrite the log without what is obsolete.

    A running node does so by itself when most of its log is obsolete.
    """
    path = _existing_log(invocation)
    before = path.stat().st_size
    with reach_node(invocation, creates=False) as reached:
        reached.node.compact()
    after = path.stat().st_size
    if invocation.json:
        sizes = {"bytes_before": before, "bytes_after": after}
        invocation.output.document({"path": str(path), **sizes})
        return
    invocation.output.sentence(
        f"Compacted {printable(str(path))}: {before:,} bytes before, {after:,} after."
    )


@click.command("backup", cls=Command)
@click.argument("target", cls=RequiredArgument, missing="Missing path argument.")
@click.pass_obj
def backup(invocation: Invocation, *, target: str) -> None:
    """Write a copy of the log to a new file.

    A node that opens the copy takes a new incarnation, so that it may replace the original, or
    stand beside it. A node that runs goes on with its writes meanwhile.
    """
    _existing_log(invocation)
    path = Path(target)
    with reach_node(invocation, creates=False) as reached:
        reached.node.backup(path)
    size_bytes = path.stat().st_size
    if invocation.json:
        invocation.output.document({"path": str(path), "size_bytes": size_bytes})
        return
    invocation.output.sentence(f"Wrote {printable(str(path))}: {size_bytes:,} bytes.")


@click.command("repair", cls=Command)
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, readable=False),
    help="The new file (default: the log's name with .repaired behind it).",
)
@click.pass_obj
def repair_log(invocation: Invocation, *, target: Path | None) -> None:
    """Save what is left of a damaged log in a new file.

    The damaged log is not changed. Every intact record is kept, also those behind the damage, and
    what is lost is listed. The new file is of a new incarnation; put it in the place of the
    damaged one, and the peers bring what they have of the rest. Of a log that is not damaged no
    new file is made. Conflict policies other than the default must be in the settings file.
    """
    from softadastra.node_settings import engine_options, policies_of
    from softadastra.repair import repair

    options = load_options(invocation)
    source = log_path(options)
    repaired = repair(
        source,
        target or source.with_name(f"{source.name}.repaired"),
        node_id=options.node_id,
        policies=policies_of(options),
        options=engine_options(options),
    )
    if invocation.json:
        invocation.output.document(repaired_document(repaired))
    else:
        _show(invocation.output, repaired)


def damage_document(damage: Damage) -> dict[str, object]:
    """Describe one place where frames are lost, for `--json`."""
    from softadastra.inspection import kind_name

    gap = damage.gap
    return {
        "offset": gap.offset,
        "end": gap.end,
        "first_sequence": gap.first,
        "last_sequence": gap.last,
        "known_kinds": [kind_name(kind) for kind in gap.kinds],
        "own_writes": [[lost.first, lost.last] for lost in damage.numbers],
        "reason": gap.reason,
    }


def repaired_document(repaired: Repaired) -> dict[str, object]:
    """Describe what a repair has done, for `--json`."""
    return {
        "path": str(repaired.source),
        "repaired": None if repaired.target is None else str(repaired.target),
        "node_id": repaired.node_id,
        "frames": repaired.frames,
        "mended": repaired.mended,
        "is_cut": repaired.is_cut,
        "keys": repaired.keys,
        "lost": [damage_document(damage) for damage in repaired.damages],
        "unusable": [fault._asdict() for fault in repaired.unusable],
        "torn_bytes": repaired.torn_bytes,
        "renamed": repaired.renamed,
        "incarnation": f"{repaired.incarnation:016x}" if repaired.target else None,
        "size_bytes": repaired.size_bytes,
    }


def _show(output: Output, repaired: Repaired) -> None:
    source = printable(str(repaired.source))
    if repaired.target is None:
        output.sentence(f"{source} is not damaged: no new file was made.")
        if repaired.torn_bytes:
            torn = as_count(repaired.torn_bytes, "byte")
            output.sentence(f"Its torn tail of {torn} is cut off by the next open.")
        return
    if repaired.mended:
        mended = as_count(repaired.mended, "frame")
        output.sentence(f"Of {mended} nothing but the checksum was damaged.")
    if repaired.is_cut:
        output.sentence("The log ends within the checkpoint that it begins with: its end is lost.")
    if repaired.damages:
        _show_lost(output, repaired)
    for fault in repaired.unusable:
        output.sentence(
            f"Frame {fault.sequence} at offset {fault.offset} is intact and of no use: "
            f"{printable(fault.reason)}."
        )
    target = printable(str(repaired.target))
    output.sentence(
        f"Saved {as_count(repaired.frames, 'frame')} with {as_count(repaired.keys, 'key')} in "
        f"{target}, under incarnation {repaired.incarnation:016x}."
    )
    if repaired.renamed:
        output.sentence(
            f"{as_count(repaired.renamed, 'write')} of them got new numbers: it is not certain "
            "under which ones the peers know them."
        )
    output.note(
        f"{source} was left as it is. To go on with what was saved, move it away and give {target} "
        "its name."
    )


def _show_lost(output: Output, repaired: Repaired) -> None:
    output.table(
        "Lost",
        ("Bytes", "Frames", "What is known of them"),
        (
            (f"{d.gap.offset}..{d.gap.end}", frames_of(d), words_of(d, repaired.node_id))
            for d in repaired.damages
        ),
    )
    output.line("")


def frames_of(damage: Damage) -> str:
    """Write which frames are lost."""
    first, last = damage.gap.first, damage.gap.last
    if last is None:
        return f"{first} and what was behind it"
    return str(first) if first == last else f"{first}..{last}"


def words_of(damage: Damage, node_id: str) -> str:
    """Write what is known to be lost."""
    from softadastra.inspection import kind_name

    words = []
    if damage.gap.kinds:
        words.append("records: " + ", ".join(kind_name(kind) for kind in damage.gap.kinds))
    words += (
        f"writes {node_id}-{lost.first}"
        + (f" to {node_id}-{lost.last}" if lost.last > lost.first else "")
        for lost in damage.numbers
    )
    return "; ".join(words) or "nothing"

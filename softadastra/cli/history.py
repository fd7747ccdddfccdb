"""`softadastra store history`: what the log still has of a key over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, key_argument
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import Output, as_count, as_time, encode, tell
from softadastra.cli.reaching import load_options
from softadastra.cli.wal import log_path
from softadastra.errors import NotFoundError
from softadastra.tagged_json import to_json

if TYPE_CHECKING:
    from softadastra.key_history import KeyHistory, KeyVersion

__all__ = ["history"]


@click.command("history", cls=Command)
@key_argument
@click.option("--limit", type=Number(int, 1), metavar="N", help="Show the last N writes only.")
@click.pass_obj
def history(invocation: Invocation, *, key: str, limit: int | None) -> None:
    """Show what the log still has of a key over time.

    Each write of it, by whomever, in the order in which they came here: its value, and what became
    of it. What was replaced before the log was last rewritten is there by name at most. The log is
    read as `wal inspect` does, so a running node goes on meanwhile. Exits with 3 when the log does
    not know the key, with 6 when it is damaged.
    """
    from softadastra.key_history import read_history
    from softadastra.node_settings import engine_options, policies_of

    options = load_options(invocation)
    path = log_path(options)
    found = read_history(path, key, policies=policies_of(options), options=engine_options(options))
    is_damaged = bool(found.faults) or found.refusal is not None
    if not found.versions and not is_damaged:
        raise NotFoundError(f"Key not found: {key}", key=key, path=str(path))
    versions = found.versions[-(limit or len(found.versions)) :]
    if invocation.json:
        invocation.output.document(_document(found, versions))
    else:
        _show(invocation.output, found, versions)
    if is_damaged:
        tell("error: the log is damaged: what came behind the damage is not shown. See wal verify")
        raise click.exceptions.Exit(ExitCode.DAMAGE_FOUND)


def _document(found: KeyHistory, versions: list[KeyVersion]) -> dict[str, object]:
    return {
        "key": found.key,
        "versions": [
            {
                "sync_id": each.sync_id,
                "origin": each.origin,
                "n": each.n,
                "version": each.version,
                "timestamp_ms": each.timestamp_ms,
                "value": to_json(each.value),
                "is_removed": each.is_removed,
                "came": each.came,
                "fate": each.fate,
                "by": each.by,
                "offset": each.offset,
            }
            for each in versions
        ],
        "has_more": len(versions) < len(found.versions),
        "is_rewritten": found.generation > 1,
        "is_damaged": bool(found.faults) or found.refusal is not None,
    }


def _show(output: Output, found: KeyHistory, versions: list[KeyVersion]) -> None:
    output.table(
        f"History of {found.key}",
        ("Time", "Write", "Version", "Came", "Value", "What became of it"),
        (
            (
                as_time(each.timestamp_ms),
                each.sync_id,
                "-" if each.version is None else each.version,
                each.came,
                _value(each),
                _fate(each),
            )
            for each in versions
        ),
    )
    if len(versions) < len(found.versions):
        earlier = as_count(len(found.versions) - len(versions), "write")
        output.note(f"{earlier} came before these.")
    if found.generation > 1:
        times = as_count(found.generation - 1, "time")
        output.note(
            f"The log was rewritten {times}: what had been replaced by then is there by name at"
            " most, and of what was collected nothing is left."
        )


def _value(version: KeyVersion) -> str:
    if version.is_removed is None:
        return "(not kept)"
    if version.is_removed:
        return "(removed)"
    return version.value if isinstance(version.value, str) else encode(to_json(version.value))


def _fate(version: KeyVersion) -> str:
    from softadastra.key_history import Fate

    match version.fate:
        case Fate.STANDS:
            return "stands"
        case Fate.IN_CONFLICT:
            return "in conflict: kept beside what stands"
        case Fate.REPLACED:
            return "replaced" if version.by is None else f"replaced by {version.by}"
        case Fate.LOST:
            return f"lost to {version.by}"
        case Fate.COLLECTED:
            return "collected: all nodes know that the key is removed"

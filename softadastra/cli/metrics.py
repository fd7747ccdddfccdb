"""`softadastra metrics`: a node as Prometheus reads it."""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.reaching import find_running, load_options
from softadastra.errors import InvalidStateError, StoreLockedError

if TYPE_CHECKING:
    from softadastra.explanation import Readiness
    from softadastra.options import ClientOptions

__all__ = ["metrics"]


@click.command("metrics", cls=Command)
@click.pass_obj
def metrics(invocation: Invocation) -> None:
    """Print what Prometheus scrapes, for the textfile collector of its node_exporter.

    A node that does not run is not opened for that: the text then says that it does not run. With
    --json it is a document that also says what is wrong with the node. Exits with 0 in both cases;
    a node that hangs, or answers no commands, has no metrics.
    """
    from softadastra.health.exposition import exposition, exposition_of_stopped
    from softadastra.health.readiness import readiness, stopped

    options = load_options(invocation)
    options.validate()
    running = find_running(options) if options.enable_wal else None
    if running is not None:
        with closing(running):
            vitals = running.vitals()
        found, text = readiness(vitals), exposition(vitals)
    else:
        _check_stopped(options)
        now_ms = time.time_ns() // 1_000_000
        found, text = stopped(now_ms), exposition_of_stopped(options.node_id, now_ms)
    if invocation.json:
        invocation.output.document(
            {"running": running is not None, "readiness": _document(found), "text": text}
        )
    else:
        invocation.output.line(text.removesuffix("\n"))


def _check_stopped(options: ClientOptions) -> None:
    """Refuse to call a node stopped that cannot be asked."""
    from softadastra.wal.disk import OsDisk
    from softadastra.wal.lock import holder_of

    if not options.enable_wal:
        raise InvalidStateError(
            f"node {options.node_id!r} keeps nothing on disk (enable_wal is false), so it has no"
            " socket to be asked at: let its program give exposition(client.vitals())"
        )
    path = options.resolved_wal_path()
    holder = holder_of(path, disk=OsDisk())
    if holder is not None:
        raise StoreLockedError(
            f"{path} is in use by node {holder.node_id!r}, process {holder.pid}, which answers no"
            " commands: wait until it has started, or set enable_control in its options",
            path=str(path),
            pid=holder.pid,
            node_id=holder.node_id,
        )


def _document(found: Readiness) -> dict[str, object]:
    findings = [
        {**dataclasses.asdict(finding), "sentence": sentence}
        for finding, sentence in zip(found.findings, found.sentences, strict=True)
    ]
    return {
        "ok": found.ok,
        "observed_ms": found.observed_ms,
        "findings": findings,
        "advice": found.advice,
    }

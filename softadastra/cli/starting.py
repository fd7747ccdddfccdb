"""`softadastra node start`: a node in the foreground, or detached from this terminal."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.documents import node_document, transport_document
from softadastra.cli.exit_codes import NotStartedError, WaitTimedOutError
from softadastra.cli.invocation import Invocation
from softadastra.cli.log_files import log_file_of
from softadastra.cli.numbers import Number
from softadastra.cli.reaching import Reached, find_running, reached_there
from softadastra.cli.running import Given, run_options, run_until_stopped
from softadastra.cli.showing import Shown
from softadastra.errors import InvalidStateError, StorageError

if TYPE_CHECKING:
    from softadastra import ClientOptions
    from softadastra.control.remote import RemoteNode

__all__ = ["start"]

LOOK_SECONDS = 0.05
"""How often to look whether the node answers."""

TOOL = (sys.executable, "-P", "-m", "softadastra")
"""-P: a directory softadastra where this is run is not the package."""

SHOWN_LINES_MAX = 5
"""Lines of its log that are shown when it did not start."""


@click.command("start", cls=Command)
@run_options
@click.option("--detach", is_flag=True, help="Leave it running, and return when it answers.")
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Detached: append its log to this file (default: the write-ahead log's name with .log).",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(float, 0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Detached: the longest wait for its answer.",
)
@click.pass_obj
def start(
    invocation: Invocation,
    given: Given,
    *,
    detach: bool,
    log_file: Path | None,
    timeout_s: float,
) -> None:
    """Run this node, or start it detached.

    Without --detach it is `node run`. With it the node goes on when this command and its terminal
    have ended, until `node stop`; one that runs already is left as it is. When it does not start,
    the end of its log and its exit code are those of this command. Exits with 124 when it neither
    answers nor ends in time; then it goes on.
    """
    if not detach:
        run_until_stopped(invocation, given)
        return
    options = given.options(invocation)
    given.dashboard.check_detached()
    if not options.enable_wal:
        raise InvalidStateError(
            f"node {options.node_id!r} keeps nothing on disk (enable_wal is false), so no command"
            " could find it when it is detached: set enable_wal, or run it in the foreground"
        )
    path: Path | None = None
    title = "Softadastra node is already running."
    running = find_running(options)
    if running is None:
        path = log_file or log_file_of(options)
        title = "Softadastra node started."
        child = _Child(invocation, given, path)
        try:
            running = child.found(options, timeout_s)
        except KeyboardInterrupt as end:
            end.add_note(f"Node {options.node_id}, process {child.pid}, goes on; its log is {path}")
            raise
        if running is None:
            raise WaitTimedOutError(
                f"Node {options.node_id}, process {child.pid}, does not answer within"
                f" {timeout_s:g} s. It goes on; its log is {path}",
                node_id=options.node_id,
                pid=child.pid,
            )
    with closing(running):
        _show(invocation, reached_there(running, options), path, title, given.dashboard)


class _Child:
    """The process of a node that was started.

    Args:
        invocation: the common options, which it gets too.
        given: how to run.
        path: where it logs.
    """

    def __init__(self, invocation: Invocation, given: Given, path: Path) -> None:
        self._path = path
        if given.log_format is None:
            given = dataclasses.replace(given, log_format="json")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"cannot write the log file {str(path)!r}: {error.strerror}; choose another one"
                " with --log-file",
                errno=error.errno,
                filename=str(path),
            ) from error
        with os.fdopen(descriptor, "ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  this very program
                [*TOOL, *invocation.arguments(), "node", "run", *given.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def found(self, options: ClientOptions, timeout_s: float) -> RemoteNode | None:
        """Wait until the node answers and listens; None: it does neither that nor end in time.

        Raises:
            NotStartedError: it has ended; the message has the end of its log.
            NodeSilentError: it hangs.
        """
        from softadastra.control.unreachable import NodeGoneError

        until = time.monotonic() + timeout_s
        while True:
            code = self._process.poll()
            if code is not None:
                raise NotStartedError(self._words(code), code, log=str(self._path))
            with suppress(NodeGoneError):  # it ends, and has an exit code soon
                running = find_running(options)
                if running is not None and self._is_ready(running):
                    return running
            if time.monotonic() >= until:
                return None
            time.sleep(LOOK_SECONDS)

    def _is_ready(self, running: RemoteNode) -> bool:
        """Whether it is this very process, and listens; if not, it is let go."""
        is_ready = running.about.pid == self.pid and running.transport_port is not None
        if not is_ready:
            running.close()
        return is_ready

    def _words(self, code: int) -> str:
        with self._path.open("rb") as log:
            log.seek(self._begin)
            lines = log.read().decode(errors="replace").splitlines()
        told = [line for line in lines if not _is_event(line)] or lines
        end = " ".join(line.strip() for line in told[:SHOWN_LINES_MAX])
        return (
            f"the node did not start, and ended with {code}: {end or 'it said nothing'}"
            f" (its log is {self._path})"
        )


def _is_event(line: str) -> bool:
    try:
        return "event" in json.loads(line)
    except (ValueError, TypeError):
        return False


def _show(
    invocation: Invocation, reached: Reached, log: Path | None, title: str, shown: Shown
) -> None:
    transport = transport_document(reached, reached.node.peers())
    if invocation.json:
        invocation.output.document(
            {
                "started": log is not None,
                "node": node_document(reached),
                "transport": transport,
                "log_file": None if log is None else str(log),
                "dashboard": None if log is None else shown.document(),
            }
        )
        return
    address = f"{transport['host']}:{transport['port']}" if transport["running"] else "-"
    rows = [
        ("node_id", reached.options.node_id),
        ("pid", reached.pid),
        ("address", address),
        ("wal", reached.wal_path),
        *(() if log is None else (("log_file", log), *shown.rows())),
    ]
    invocation.output.table(title, ("Field", "Value"), rows)

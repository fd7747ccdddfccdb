"""`softadastra node stop` and `node list`: the nodes that run on this machine, of this user."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.exit_codes import WaitTimedOutError
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_time
from softadastra.cli.reaching import running_node

if TYPE_CHECKING:
    from softadastra.control.remote import RemoteNode

__all__ = ["list_nodes", "stop"]


@click.command("stop", cls=Command)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(float, 0, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait for its end.",
)
@click.pass_obj
def stop(invocation: Invocation, *, timeout_s: float) -> None:
    """End this node, and wait until it has ended.

    It takes leave of its peers, makes everything durable and unlocks its log. Exits with 4 when no
    such node runs or it does not answer, with 124 when it has not ended in time. A node that is
    part of an application ends with that, and is refused.
    """
    running = running_node(invocation)
    about = running.about
    with closing(running):
        is_stopped = running.stop(timeout_s)
    if not is_stopped:
        raise WaitTimedOutError(
            f"Node {about.node_id}, process {about.pid}, has not ended within {timeout_s:g} s; it"
            " was asked to, and may still",
            node_id=about.node_id,
            pid=about.pid,
        )
    if invocation.json:
        stopped = {"id": about.node_id, "pid": about.pid, "wal": about.log}
        invocation.output.document({"stopped": stopped})
    else:
        invocation.output.sentence(
            f"Softadastra node stopped. Node {about.node_id}, process {about.pid}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A node that has its log open."""

    id: str | None
    """None: it does not say."""
    pid: int | None
    state: str
    """"running", "silent" when it does not answer, "starting" when it does not answer yet."""
    host: str | None
    port: int | None
    wal: str
    started_at_ms: int | None
    is_stoppable: bool | None
    """Whether `node stop` ends it; an application's node ends with that. None: unknown."""


@click.command("list", cls=Command)
@click.pass_obj
def list_nodes(invocation: Invocation) -> None:
    """List the nodes that run here.

    Those of this user on this machine that keep a log: run by this tool, or part of an application.
    What killed nodes have left behind is removed.
    """
    from softadastra.control.places import registered_logs

    found = []
    for link, log in registered_logs():
        listed = _look(log)
        if listed is None:
            with suppress(OSError):  # another `node list` was faster
                link.unlink()
        else:
            found.append(listed)
    if invocation.json:
        from softadastra.cli.documents import fields_of

        invocation.output.document({"nodes": [fields_of(each) for each in found]})
    elif not found:
        invocation.output.sentence("No nodes are running.")
    else:
        invocation.output.table(
            "Nodes",
            ("Node", "PID", "State", "Address", "Since", "WAL"),
            (
                (
                    each.id or "-",
                    each.pid or "-",
                    each.state,
                    "-" if each.port is None else f"{each.host}:{each.port}",
                    as_time(each.started_at_ms),
                    each.wal,
                )
                for each in found
            ),
        )


def _described(running: RemoteNode, log: Path) -> _Listed:
    about = running.about
    return _Listed(
        id=about.node_id,
        pid=about.pid,
        state="running",
        host=about.host,
        port=running.transport_port,
        wal=str(log),
        started_at_ms=about.started_at_ms,
        is_stoppable=about.is_stoppable,
    )


def _look(log: Path) -> _Listed | None:
    """Look who has a log open; None when nobody has."""
    from softadastra.control.remote import find_node
    from softadastra.control.unreachable import NodeGoneError, NodeSilentError
    from softadastra.wal.disk import OsDisk
    from softadastra.wal.lock import holder_of

    state = "starting"
    with suppress(NodeGoneError):
        try:
            running = find_node(log, node_id=log.name)
            if running is not None:
                with closing(running):
                    return _described(running, log)
        except NodeSilentError:
            state = "silent"
    holder = holder_of(log, disk=OsDisk())
    if holder is None:
        return None
    return _Listed(
        id=holder.node_id,
        pid=holder.pid,
        state=state,
        host=None,
        port=None,
        wal=str(log),
        started_at_ms=None,
        is_stoppable=None,
    )

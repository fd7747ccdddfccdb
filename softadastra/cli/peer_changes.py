"""`softadastra peers add`, `remove` and `forget`."""

from __future__ import annotations

import click

from softadastra.cli.command import Command, RequiredArgument
from softadastra.cli.documents import Document, fields_of
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import printable
from softadastra.cli.reaching import Reached, reach_node
from softadastra.control.unreachable import NodeAbsentError
from softadastra.errors import InvalidArgumentError, TransportError
from softadastra.types import Peer

__all__ = ["add", "forget", "remove"]


@click.command("add", cls=Command)
@click.argument("address", cls=RequiredArgument, missing="Missing peer argument.")
@click.option(
    "--wait",
    "wait_s",
    type=Number(float, 0, 60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait for the connection.",
)
@click.pass_obj
def add(invocation: Invocation, *, address: str, wait_s: float) -> None:
    """Know a node, and connect to it.

    ADDRESS is ID@HOST:PORT. It is remembered over restarts, and dialled again whenever the
    connection is lost. Exits with 4 when it cannot be reached now; it is known all the same.
    """
    peer = _parse(address)
    reason = None
    with reach_node(invocation, creates=True, enable_transport=True) as reached:
        if reached.client is not None:
            reached.client.start_transport()
        try:
            reached.node.connect(peer, wait_s)
        except TransportError as error:
            if "reason" not in error.context:
                raise
            reason = str(error.context["reason"])
        status = _status(reached, peer.node_id)
    if invocation.json:
        document: Document = {"peer": status, "connected": reason is None, "reason": reason}
        invocation.output.document(document)
    else:
        known = f"Added {printable(str(peer))}"
        invocation.output.sentence(
            f"{known}, connected." if reason is None else f"{known}, not connected: {reason}."
        )
    if reason is not None:
        raise click.exceptions.Exit(ExitCode.NO_NODE_REACHABLE)


@click.command("remove", cls=Command)
@click.argument("peer", cls=RequiredArgument, missing="Missing node argument.", completes="peer")
@click.pass_obj
def remove(invocation: Invocation, *, peer: str) -> None:
    """Connect to a node no more.

    The running node ends the connection, and does not dial it again until it is added, or this
    node starts again. It stays a member: writes wait for it, until it is forgotten. It may still
    connect from its side; to keep it out, revoke its key. Exits with 3 when it is not known, with 4
    when this node does not run.
    """
    with reach_node(invocation, creates=False) as reached:
        if not reached.is_running:
            raise NodeAbsentError(
                "Softadastra node is not running, so it dials nobody.",
                node_id=reached.options.node_id,
            )
        reached.node.disconnect(peer)
        status = _status(reached, peer)
    if invocation.json:
        invocation.output.document({"peer": status})
    else:
        invocation.output.sentence(f"Removed {printable(peer)}: it is not dialled any more.")


@click.command("forget", cls=Command)
@click.argument("peer", cls=RequiredArgument, missing="Missing node argument.", completes="peer")
@click.pass_obj
def forget(invocation: Invocation, *, peer: str) -> None:
    """Strike a node off: it is waited for no more.

    For one that is gone for good. Its share of the outbox and what it held back of the collection
    of removed keys go with it. If it comes back all the same, it is reconciled. Exits with 3 when
    it is not known.
    """
    with reach_node(invocation, creates=False) as reached:
        reached.node.forget(peer)
    if invocation.json:
        invocation.output.document({"forgotten": peer})
    else:
        invocation.output.sentence(f"Forgot {printable(peer)}.")


def _parse(address: str) -> Peer:
    try:
        return Peer.parse(address)
    except InvalidArgumentError as error:
        raise click.UsageError(error.message) from error


def _status(reached: Reached, node_id: str) -> Document | None:
    """Describe a peer as `peers` does."""
    found = {status.node_id: status for status in reached.node.peers()}
    return fields_of(found[node_id]) if node_id in found else None

"""`softadastra sync`: the outbox, and one round of delivery."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.documents import fields_of, sync_document
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.local_node import LocalNode, open_node
from softadastra.cli.numbers import Number
from softadastra.cli.output import Output
from softadastra.errors import TransportError
from softadastra.types import Peer, SyncState, TickResult

if TYPE_CHECKING:
    from softadastra import Client

__all__ = ["status", "sync", "tick"]

sync = Group(
    "sync",
    help="Show and move what peers still lack of this node's writes.",
    lazy={
        "status": Lazy(
            "softadastra.cli.sync:status", "Show how far this node's own writes have come."
        ),
        "tick": Lazy(
            "softadastra.cli.sync:tick", "Send each reachable peer a round of what it lacks."
        ),
    },
)

ACKNOWLEDGEMENT_CHECK_S = 0.05
"""How often a tick looks whether all that it sent is acknowledged while more is queued than one
round sends, seconds. When nothing is queued it is told at once."""


@click.command("status", cls=Command)
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show how far this node's own writes have come."""
    with open_node(invocation, creates=False) as local:
        node_id = local.client.node_info().node_id
        state = local.client.sync_state()
    if invocation.json:
        invocation.output.document({"node_id": node_id, "sync": sync_document(state)})
    else:
        _show_state(invocation.output, node_id, state)


def _show_state(output: Output, node_id: str, state: SyncState) -> None:
    names = (
        "outbox_size",
        "queued_count",
        "in_flight_count",
        "acknowledged_count",
        "failed_count",
        "held_count",
        "last_submitted_version",
        "last_applied_remote_version",
        "total_retries",
    )
    rows = [("node_id", node_id), *((name, getattr(state, name)) for name in names)]
    output.table("Sync status", ("Metric", "Value"), rows)
    if state.per_peer:
        output.line("")
        output.table(
            "Peers",
            ("Node", "Lag", "In flight", "Acknowledged", "Retries"),
            (
                (name, peer.lag, peer.in_flight, peer.acknowledged, peer.retries)
                for name, peer in state.per_peer.items()
            ),
        )


@click.command("tick", cls=Command)
@click.option("--prune", is_flag=True, help="Remove acknowledged writes from the outbox first.")
@click.option(
    "--wait",
    "wait_s",
    type=Number(float, 0, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait for peers, and then for their acknowledgements.",
)
@click.pass_obj
def tick(invocation: Invocation, *, prune: bool, wait_s: float) -> None:
    """Send each reachable peer a round of what it lacks.

    The peers are those of the settings and those that the node remembers. Exits with 4 when there
    was something to send and none of them could be reached.
    """
    with open_node(invocation, creates=True, enable_transport=True) as local:
        peers = _addresses(local)
        before = local.client.sync_state()
        if peers:
            local.client.start_transport()
            _connect(local.client, peers, time.monotonic() + wait_s, invocation.output)
        result = local.client.tick(prune=prune)
        if result.sent_count:
            _wait_acknowledged(local.client, time.monotonic() + wait_s)
        after = local.client.sync_state()
    has_work = before.has_work or result.batch_size > 0
    sentence = _sentence(result, has_work=has_work)
    if invocation.json:
        invocation.output.document(
            {"tick": fields_of(result), "message": sentence, "sync": sync_document(after)}
        )
    else:
        names = ("retried_count", "batch_size", "connected_peers", "sent_count", "pruned_count")
        rows = [(name, getattr(result, name)) for name in names]
        invocation.output.table("Sync tick", ("Metric", "Value"), rows)
        invocation.output.line("")
        invocation.output.line(sentence)
    if has_work and peers and not result.connected_peers:
        raise click.exceptions.Exit(ExitCode.NO_NODE_REACHABLE)


def _addresses(local: LocalNode) -> list[Peer]:
    """List where peers can be dialled; a setting is stronger than a memory."""
    remembered = {status.node_id: status.peer for status in local.client.peers() if status.peer}
    configured = {peer.node_id: peer for peer in local.client.options.peers}
    return list((remembered | configured).values())


def _connect(client: Client, peers: list[Peer], deadline_s: float, output: Output) -> None:
    """Wait until each peer is connected or has failed, none longer than the deadline."""
    for peer in peers:
        try:
            client.connect(peer, timeout=max(0.0, deadline_s - time.monotonic()))
        except TransportError as error:
            # Not the whole message: nothing is tried again once this command has ended.
            reason = error.context.get("reason", error.message)
            output.note(f"Peer {peer} is out of reach: {reason}.")


def _wait_acknowledged(client: Client, deadline_s: float) -> None:
    """Wait until what was sent is acknowledged: the link ends with this command."""
    while client.sync_state().in_flight_count:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0 or client.wait_synced(min(remaining_s, ACKNOWLEDGEMENT_CHECK_S)):
            return


def _sentence(result: TickResult, *, has_work: bool) -> str:
    """Say what the tick came to, in the original tool's words."""
    if not has_work:
        return "No sync operations ready for delivery."
    if not result.connected_peers:
        return "No connected transport peers available."
    if not result.sent_count:
        return "No sync batch was sent."
    return "Sync batch delivery attempted."

"""`softadastra sync`: the outbox, and one round of delivery."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.connecting import addresses_of, connect_all
from softadastra.cli.documents import fields_of, sync_document
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import Output
from softadastra.cli.reaching import Reached, reach_node
from softadastra.types import SyncState, TickResult

if TYPE_CHECKING:
    from softadastra.control.operations import Operations

__all__ = ["status", "sync", "tick"]

sync = Group(
    "sync",
    help="Show and move what peers still lack of this node's writes.",
    lazy={
        "status": Lazy(
            "softadastra.cli.sync:status", "Show how far this node's own writes have come."
        ),
        "explain": Lazy(
            "softadastra.cli.explaining:explain", "Say why a key or a peer is not in step."
        ),
        "tick": Lazy(
            "softadastra.cli.sync:tick", "Send each reachable peer a round of what it lacks."
        ),
        "wait": Lazy(
            "softadastra.cli.delivery:wait", "Wait until this node's writes are at its peers."
        ),
        "retry": Lazy(
            "softadastra.cli.delivery:retry", "Try again at once what peers have not confirmed."
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
    with reach_node(invocation, creates=False) as reached:
        node_id = reached.node.node_info().node_id
        state = reached.node.sync_state()
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
    was something to send and none of those with a known address could be reached. Who connects from
    its own side is reached by a node that runs.
    """
    with reach_node(invocation, creates=True, enable_transport=True) as reached:
        before = reached.node.sync_state()
        peers = addresses_of(reached)
        _tell_of_callers(reached, invocation.output)
        connect_all(reached, peers, time.monotonic() + wait_s, invocation.output)
        result = reached.node.tick(prune=prune)
        if result.sent_count:
            _wait_acknowledged(reached.node, time.monotonic() + wait_s)
        after = reached.node.sync_state()
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


def _tell_of_callers(reached: Reached, output: Output) -> None:
    """Name the peers that this command cannot reach, as they connect from their side."""
    callers = [] if reached.is_running else [p for p in reached.node.peers() if p.peer is None]
    for peer in callers:
        if peer.lag:
            output.note(
                f"Peer {peer.node_id} connects from its own side: it gets what it lacks when this"
                " node runs."
            )


def _wait_acknowledged(node: Operations, deadline_s: float) -> None:
    """Wait until what was sent is acknowledged: the link may end with this command."""
    while node.sync_state().in_flight_count:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0 or node.wait_synced(min(remaining_s, ACKNOWLEDGEMENT_CHECK_S)):
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

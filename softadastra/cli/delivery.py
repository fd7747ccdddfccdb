"""`softadastra sync wait` and `sync retry`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from softadastra.cli.command import Command
from softadastra.cli.connecting import addresses_of, connect_all
from softadastra.cli.documents import sync_document
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_count, printable, tell
from softadastra.cli.reaching import reach_node
from softadastra.control.unreachable import NodeAbsentError
from softadastra.types import PeerStatus, SyncState

__all__ = ["retry", "wait"]

CONNECT_SECONDS = 2.0
"""The longest wait for peers, where the node is opened for this command only."""


@click.command("wait", cls=Command)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(float, 0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest wait.",
)
@click.option("--any", "any_peer", is_flag=True, help="Wait for one peer, whichever it is.")
@click.option("--peer", "peers", multiple=True, metavar="ID", help="Wait for this one; repeatable.")
@click.pass_obj
def wait(
    invocation: Invocation, *, timeout_s: float, any_peer: bool, peers: tuple[str, ...]
) -> None:
    """Wait until this node's writes are at its peers.

    Those of up to now, durable at all peers that it has met or dials. Where the node does not run,
    it connects and delivers for the time of this command. Exits with 124 when they are not there
    in time, which they are not without any peer.
    """
    if any_peer and peers:
        raise click.UsageError("Choose one of --any and --peer.")
    wanted = "any" if any_peer else list(peers) or "all"
    with reach_node(invocation, creates=False, enable_transport=True, auto_tick=True) as reached:
        until = time.monotonic() + timeout_s
        limit = min(until, time.monotonic() + CONNECT_SECONDS)
        connect_all(reached, addresses_of(reached), limit, invocation.output)
        is_synced = reached.node.wait_synced(max(0.0, until - time.monotonic()), wanted)
        state, found = reached.node.sync_state(), reached.node.peers()
    if invocation.json:
        invocation.output.document({"synced": is_synced, "sync": sync_document(state)})
    elif is_synced:
        invocation.output.line("Synced.")
    if not is_synced:
        tell(f"Not synced: {_missing(state, found, peers)}.")
        raise click.exceptions.Exit(ExitCode.TIMED_OUT)


def _missing(state: SyncState, peers: Sequence[PeerStatus], wanted: Sequence[str]) -> str:
    """Say in words what is where not."""
    known = {peer.node_id for peer in peers}
    if unknown := [node_id for node_id in wanted if node_id not in known]:
        return f"no peer is known as {printable(', '.join(unknown))}"
    waiting = as_count(state.outbox_size - state.acknowledged_count, "write")
    if not peers:
        return f"{waiting} and no peer yet"
    behind = [f"{peer.node_id} lacks {peer.lag:,}, {peer.state}" for peer in peers if peer.lag]
    return f"{waiting} not at every peer" + (f" ({'; '.join(behind)})" if behind else "")


@click.command("retry", cls=Command)
@click.pass_obj
def retry(invocation: Invocation) -> None:
    """Try again at once what peers have not confirmed.

    Peers that were given up on for the time being are tried, and batches whose answer is overdue
    are sent again. A running node does so by itself, in longer and longer intervals; this is for
    who has just mended the network. Where it does not run there is nothing to wait for: exits with
    4, and `sync tick` sends what peers lack.
    """
    with reach_node(invocation, creates=False) as reached:
        if not reached.is_running:
            raise NodeAbsentError(
                "Softadastra node is not running: softadastra sync tick sends what peers lack.",
                node_id=reached.options.node_id,
            )
        failed = reached.node.requeue_failed()
        overdue = reached.node.retry_expired()
        state = reached.node.sync_state()
    if invocation.json:
        counts = {"requeued_count": failed, "retried_count": overdue}
        invocation.output.document({"retry": counts, "sync": sync_document(state)})
        return
    invocation.output.table(
        "Sync retry",
        ("Metric", "Value"),
        (("requeued_count", failed), ("retried_count", overdue)),
    )

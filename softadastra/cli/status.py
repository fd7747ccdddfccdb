"""`softadastra status`: one look at the node and each of its parts."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from softadastra.cli.command import Command
from softadastra.cli.documents import (
    discovery_document,
    fields_of,
    node_document,
    store_document,
    sync_document,
    transport_document,
)
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import as_yes_no
from softadastra.cli.reaching import reach_node
from softadastra.types import TombstoneHold

__all__ = ["status"]


def held_since(hold: TombstoneHold) -> str:
    """Show how many tombstones a peer holds back, and since when."""
    since = datetime.fromtimestamp(hold.since_ms / 1000, UTC)
    return f"{hold.count} since {since:%Y-%m-%d %H:%M:%SZ}"


@click.command("status", cls=Command)
@click.pass_obj
def status(invocation: Invocation) -> None:
    """Show the node, its store, its outbox and its peers."""
    with reach_node(invocation, creates=False) as reached:
        peers = reached.node.peers()
        holds = reached.node.tombstone_holds()
        node = node_document(reached)
        store = store_document(reached, holds)
        sync = sync_document(reached.node.sync_state())
        transport = transport_document(reached, peers)
        discovery = discovery_document(reached, peers)
    if invocation.json:
        invocation.output.document(
            {
                "node": node,
                "store": store,
                "sync": sync,
                "transport": transport,
                "discovery": discovery,
                "peers": [fields_of(peer) for peer in peers],
            }
        )
        return
    running = as_yes_no(bool(node["running"]))
    invocation.output.table(
        "Softadastra status",
        ("Component", "Metric", "Value"),
        (
            ("node", "id", node["id"]),
            ("node", "running", running),
            ("store", "entries", store["entries"]),
            *(("store", f"tombstones held by {hold.peer}", held_since(hold)) for hold in holds),
            ("sync", "outbox", sync["outbox_size"]),
            ("sync", "queued", sync["queued_count"]),
            ("sync", "in_flight", sync["in_flight_count"]),
            ("sync", "acknowledged", sync["acknowledged_count"]),
            ("sync", "failed", sync["failed_count"]),
            ("transport", "running", as_yes_no(bool(transport["running"]))),
            ("transport", "peers", transport["peers"]),
            ("discovery", "running", as_yes_no(bool(discovery["running"]))),
            ("discovery", "peers", discovery["peers"]),
            ("metadata", "running", running),
        ),
    )

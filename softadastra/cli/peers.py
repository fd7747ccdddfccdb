"""`softadastra peers`: the nodes that this one knows, and how it stands with each."""

from __future__ import annotations

from collections.abc import Sequence

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.documents import discovery_document, fields_of, transport_document
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import Output, as_time, as_yes_no
from softadastra.cli.reaching import reach_node
from softadastra.types import PeerSource, PeerState, PeerStatus

__all__ = ["list_peers", "peers"]

peers = Group(
    "peers",
    help="Show the nodes that this one knows, and add and remove them.",
    default="list",
    lazy={
        "list": Lazy("softadastra.cli.peers:list_peers", "Show the nodes that this one knows."),
        "add": Lazy("softadastra.cli.peer_changes:add", "Know a node, and connect to it."),
        "remove": Lazy("softadastra.cli.peer_changes:remove", "Connect to a node no more."),
        "forget": Lazy(
            "softadastra.cli.peer_changes:forget", "Strike a node off: it is waited for no more."
        ),
    },
)


@click.command("list", cls=Command)
@click.pass_obj
def list_peers(invocation: Invocation) -> None:
    """Show the nodes that this one knows.

    Discovery peers were found on the local network; transport peers are all that this node was
    ever connected to or dialled, those of its settings since it first ran with them.
    """
    with reach_node(invocation, creates=False) as reached:
        found = reached.node.peers()
        discovery = discovery_document(reached, found)
        transport = transport_document(reached, found)
    output = invocation.output
    if invocation.json:
        output.document(
            {
                "discovery": discovery,
                "transport": transport,
                "peers": [fields_of(peer) for peer in found],
            }
        )
        return
    output.line(f"discovery: {as_yes_no(bool(discovery['running']))}")
    output.line(f"transport: {as_yes_no(bool(transport['running']))}")
    output.line("")
    _show_found_by_discovery(output, [peer for peer in found if peer.source is PeerSource.MDNS])
    output.line("")
    _show_known_to_transport(output, found)


def _show_found_by_discovery(output: Output, peers: Sequence[PeerStatus]) -> None:
    if not peers:
        output.line("No discovery peers found.")
        return
    output.table(
        "Discovery peers",
        ("Node", "Host", "Port", "State", "Last seen"),
        (
            (peer.node_id, peer.host, peer.port, peer.state, as_time(peer.last_seen_ms))
            for peer in peers
        ),
    )


def _show_known_to_transport(output: Output, peers: Sequence[PeerStatus]) -> None:
    if not peers:
        output.line("No transport peers found.")
        return
    output.table(
        "Transport peers",
        ("Node", "Host", "Port", "Source", "State", "Connected", "Last seen", "Errors"),
        (
            (
                peer.node_id,
                peer.host or "-",
                peer.port or "-",
                peer.source,
                peer.state,
                as_yes_no(peer.state is PeerState.CONNECTED),
                as_time(peer.last_seen_ms),
                peer.last_error or "-",
            )
            for peer in peers
        ),
    )

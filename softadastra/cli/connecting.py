"""Connect a node that is open for one command; one that runs does so by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from softadastra.cli.output import Output
from softadastra.cli.reaching import Reached
from softadastra.errors import TransportError
from softadastra.types import Peer

__all__ = ["addresses_of", "connect_all"]


def addresses_of(reached: Reached) -> list[Peer]:
    """List where peers can be dialled; a setting is stronger than a memory."""
    remembered = {status.node_id: status.peer for status in reached.node.peers() if status.peer}
    configured = {}
    if reached.client is not None:
        configured = {peer.node_id: peer for peer in reached.options.peers}
    return list((remembered | configured).values())


def connect_all(reached: Reached, peers: Sequence[Peer], deadline_s: float, output: Output) -> None:
    """Wait until each peer is connected or has failed, none longer than the deadline."""
    if reached.client is None or not peers:
        return
    reached.client.start_transport()
    for peer in peers:
        try:
            reached.client.connect(peer, timeout=max(0.0, deadline_s - time.monotonic()))
        except TransportError as error:
            # Not the whole message: nothing is tried again once this command has ended.
            reason = error.context.get("reason", error.message)
            output.note(f"Peer {peer} is out of reach: {reason}.")

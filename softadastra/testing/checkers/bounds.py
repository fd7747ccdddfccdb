"""A slow or dead peer costs constant memory (4.12): nothing grows with what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from softadastra.testing.checkers.base import Checker

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Bounds"]

LINKS_PER_PEER_MAX: Final = 6
"""One each way carries the sync. The others are those that a peer left without a word, within
the 6 s until that is found out, and there are at most a few restarts in these."""


class Bounds(Checker):
    """Measures what a node keeps for its peers after each of its turns.

    Args:
        nodes_count: of the cluster.
    """

    name = "bounds"

    def __init__(self, nodes_count: int) -> None:
        self._links_max = LINKS_PER_PEER_MAX * nodes_count

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Compare with the limits."""
        life = node.running()
        connections = life.engine.connections
        for session in connections.sessions.values():
            if len(session.flights) > node.options.sync_window:
                raise self.fail(
                    f"{node.machine} has {len(session.flights)} batches in flight to "
                    f"{session.peer_id}, the window is {node.options.sync_window}"
                )
        kept = {
            "sessions": len(connections.sessions),
            "links": len(life.transport.ends),
            "farewells": len(connections.farewells),
        }
        for what, count in kept.items():
            if count > self._links_max:
                raise self.fail(f"{node.machine} keeps {count} {what}")

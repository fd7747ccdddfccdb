"""The outbox adds up, at every step (4.14), and nothing in it is ever below zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.testing.checkers.base import Checker

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Outbox"]


class Outbox(Checker):
    """Adds up the outbox of a node after each of its turns."""

    name = "outbox"

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Compare the size with the sum of the parts."""
        state = node.running().sync_state()
        parts = (
            state.held_count,
            state.queued_count,
            state.in_flight_count,
            state.acknowledged_count,
            state.failed_count,
        )
        if state.outbox_size != sum(parts) or min(parts) < 0:
            raise self.fail(f"{node.node_id} has {state}")

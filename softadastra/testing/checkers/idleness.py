"""No busy loop: a node whose deadline has passed does something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.testing.checkers.base import Checker

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Idleness"]


class Idleness(Checker):
    """Looks at turns in which nothing had happened and nothing was done."""

    name = "idleness"

    def turned(self, node: SimNode, turn: Turn) -> None:
        """Compare what was done with when the next turn is due."""
        if turn.timeout_ms == 0 and not (turn.events or turn.operations):
            raise self.fail(
                f"{node.machine} had something due, did nothing, and has it due again at once"
            )

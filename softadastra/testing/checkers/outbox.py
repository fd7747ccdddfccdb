"""The outbox adds up, at every step (4.14), and nothing in it is ever below zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.sync.engine import Engine
from softadastra.testing.checkers.base import Checker

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Outbox"]


class Outbox(Checker):
    """Adds up the outbox of a node after each of its turns that changed what is added up."""

    name = "outbox"

    def __init__(self) -> None:
        self._counted: dict[str, tuple[object, ...]] = {}

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Compare the size with the sum of the parts."""
        terms = terms_of(node.running().engine)
        if self._counted.get(node.machine) == terms:
            return
        self._counted[node.machine] = terms
        state = node.running().sync_state()
        parts = (
            state.held_count,
            state.queued_count,
            state.in_flight_count,
            state.acknowledged_count,
            state.failed_count,
        )
        if state.outbox_size != sum(parts) or min(parts) < 0:
            raise self.fail(f"{node.machine} has {state}")


def terms_of(engine: Engine) -> tuple[object, ...]:
    """Give everything that the counts of an outbox follow from: equal terms, equal counts."""
    me = engine.replica.me
    return (
        engine,
        engine.replica.top,
        engine.floor,
        engine.delivery.last_sendable,
        frozenset(engine.delivery.faulted),
        tuple(engine.members),
        [
            (session.link, session.sent[me].base if me in session.sent else 0, *session.flights)
            for session in engine.connections.sessions.values()
        ],
    )

"""Removes do not pile up (4.9): when nothing is written, all tombstones and index rows go.

But for removes of the future, which stay until the clock has passed their stamp, and for those that
name writes as superseded which were lost with the one disk that held them: an old copy may bring
them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from softadastra.store.clock import milliseconds
from softadastra.store.siblings import context_of, siblings_of
from softadastra.testing.checkers.base import Checker

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["REST_SECONDS", "Collection", "is_collected"]

REST_SECONDS: Final = 600
"""How long collection may take. What a node has is told every 39 s at the latest, over five links
at most; then the others look twice, every 30 s, and their clocks may run a tenth slower."""


class Collection(Checker):
    """Looks at what is left of old writes after a long rest."""

    name = "collection"

    def rested(self, nodes: Sequence[SimNode]) -> None:
        """Nothing is left that could go."""
        for node in nodes:
            if not is_collected(node):
                replica = node.running().engine.replica
                rows = {
                    f"{replica.origins[number].node_id}:{replica.origins[number].incarnation:x}": n
                    for number, log in replica.haves()
                    if (n := sum(1 for _ in log.rows()))
                }
                raise self.fail(
                    f"{node.machine} still has tombstones of {sorted(overdue(node))} and rows "
                    f"{rows} after {REST_SECONDS} s of rest"
                )


def is_collected(node: SimNode) -> bool:
    """Whether a node has let go all that it may."""
    replica = node.running().engine.replica
    return not any(True for _, log in replica.haves() for _ in log.rows()) and not overdue(node)


def overdue(node: SimNode) -> list[str]:
    """Give the removed keys whose removes were over, by the node's clock, before a rest began."""
    replica, wall_ms = node.running().engine.replica, node.clock.now().wall_ms
    return [
        key
        for key in replica.tombstones
        if all(
            milliseconds(sibling[2]) < wall_ms - REST_SECONDS * 1_000
            for sibling in siblings_of(replica.entries[key])
        )
        and all(
            n <= replica.logs[origin].base for origin, n in context_of(replica.entries[key]).items()
        )
    ]

"""Nothing invented: every write that a node holds was made, with this key and this value."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import Checker
from softadastra.testing.checkers.ledger import Ledger

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Invention"]


class Invention(Checker):
    """Compares what the nodes hold with what was written.

    Args:
        ledger: what was written.
        liars: who may write without the ledger; with one of them there is nothing to compare.
    """

    name = "invention"

    def __init__(self, ledger: Ledger, liars: Set[str]) -> None:
        self._ledger = ledger
        self._liars = liars

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all that every node holds."""
        for node in nodes if not self._liars else ():
            replica = node.running().engine.replica
            for key, state in replica.entries.items():
                for sibling in siblings_of(state):
                    dot = replica.origins[sibling[0]], sibling[1]
                    fact = self._ledger.fact(dot)
                    name = f"{dot[0].node_id}-{dot[1]}"
                    if fact is None:
                        raise self.fail(f"{node.node_id} holds {name} for {key}, never written")
                    if (fact.key, fact.packed) != (key, sibling[4]):
                        raise self.fail(
                            f"{node.node_id} holds {sibling[4]!r} for {key} as {name}, which was "
                            f"{fact.packed!r} for {fact.key}"
                        )
            for origin, dots in node.running().engine.have().items():
                if dots.top > self._ledger.top(origin):
                    raise self.fail(
                        f"{node.node_id} has {origin.node_id}-{dots.top}, which was never written"
                    )

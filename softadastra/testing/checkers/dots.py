"""Numbers: each write of an origin has the next one, and no number names two writes (3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import Checker
from softadastra.testing.checkers.ledger import Fact, Ledger

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Dots"]


class Dots(Checker):
    """Compares the numbers that are given out with those that were.

    Args:
        ledger: what was written before.
    """

    name = "dots"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """New writes follow the last one of their origin."""
        for following, fact in enumerate(facts, self._ledger.top(facts[0].origin) + 1):
            if fact.n != following:
                raise self.fail(
                    f"{node.node_id} gave number {fact.n} to its write {following} ({fact.key})"
                )

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """One name is one write on all nodes."""
        contents: dict[tuple[object, int], tuple[object, ...]] = {}
        for node in nodes:
            replica = node.running().engine.replica
            for key, state in replica.entries.items():
                for sibling in siblings_of(state):
                    dot = replica.origins[sibling[0]], sibling[1]
                    content = (key, *sibling[2:])
                    if contents.setdefault(dot, content) != content:
                        raise self.fail(
                            f"{dot[0].node_id}-{dot[1]} is {content} on {node.node_id} and "
                            f"{contents[dot]} elsewhere"
                        )

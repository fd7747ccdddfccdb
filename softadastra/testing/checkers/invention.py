"""Nothing invented: every write that a node holds was made, with this key and this value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import LedgerChecker
from softadastra.testing.checkers.ledger import in_words

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Invention"]


class Invention(LedgerChecker):
    """Compares what the nodes hold with what was written; with a liar that says nothing."""

    name = "invention"

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all that every node holds."""
        for node in nodes if not self._liars else ():
            replica = node.running().engine.replica
            for key, state in replica.entries.items():
                for sibling in siblings_of(state):
                    name = self._lineage.name(replica, sibling[0], sibling[1])
                    fact, words = self._ledger.fact(name), in_words(name)
                    if fact is None:
                        raise self.fail(f"{node.machine} holds {words} for {key}, never written")
                    if (fact.key, fact.packed) != (key, sibling[4]):
                        raise self.fail(
                            f"{node.machine} holds {sibling[4]!r} for {key} as {words}, which was "
                            f"{fact.packed!r} for {fact.key}"
                        )
            for life, dots in self._lineage.all_names(replica).items():
                if dots.top > self._ledger.top(life):
                    words = in_words((life, dots.top))
                    raise self.fail(f"{node.machine} has {words}, which was never written")

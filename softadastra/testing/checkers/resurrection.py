"""No resurrection (4.9): who has a remove never shows again what its writer had seen.

However it comes: late, again, from a node that was away, or when the remove is collected and
nothing but the have of a node tells of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from softadastra.store.dots import DotSet
from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import LedgerChecker, Truth
from softadastra.testing.checkers.ledger import Fact, in_words
from softadastra.testing.checkers.lineage import Name

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Resurrection"]

LOOK_MS: Final = 1_000
"""Between two looks at all that a node holds, by its own clock."""

NOTHING = DotSet()


class Resurrection(LedgerChecker):
    """Compares what a node holds with the removes that it has, and what their writers had seen."""

    name = "resurrection"

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self._removed_by: defaultdict[Name, list[Name]] = defaultdict(list)
        """The removes whose writers had seen a write."""
        self._looked: dict[str, tuple[int, int]] = {}
        """When a node was looked at, by its clock, and how many records it was made of then."""

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:  # noqa: ARG002  as every checker
        """Note what a remove has removed."""
        for fact in facts:
            if not fact.packed:
                for name in self._ledger.superseded_by([fact]):
                    self._removed_by[name].append(fact.name)

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Look now and then, when something has changed."""
        now_ms, evolved = node.clock.now().mono_ms, node.running().engine.delivery.evolved
        looked_ms, seen = self._looked.get(node.machine, (0, -1))
        if evolved != seen and not 0 <= now_ms - looked_ms < LOOK_MS:
            self._looked[node.machine] = now_ms, evolved
            self._look(node)

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all nodes."""
        for node in nodes:
            self._look(node)

    def _look(self, node: SimNode) -> None:
        if not self._removed_by:
            return
        replica = node.running().engine.replica
        have = self._lineage.all_names(replica)
        for key, state in replica.entries.items():
            for sibling in siblings_of(state):
                name = self._lineage.name(replica, sibling[0], sibling[1])
                if not sibling[4] or name[0] in self._lineage.doubled:
                    continue
                for life, n in self._removed_by.get(name, ()):
                    if n in have.get(life, NOTHING):
                        raise self.fail(
                            f"{node.machine} shows {in_words(name)} for {key}, and has the remove "
                            f"{in_words((life, n))}, whose writer had seen it"
                        )

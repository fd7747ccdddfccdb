"""No accepted write is lost (4.4), and of what is held the right one stands.

Every accepted write is had by every node, but for those that the ledger knows to be lost. A key
shows the write that, of all that are had, no other one had seen; of several, the greatest in
the total order (stamp, node id, incarnation, n), or all of them where the policy keeps siblings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.dots import DotSet
from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import Checker
from softadastra.testing.checkers.ledger import Dot, Fact, Ledger, Outcome

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Keeping"]


class Keeping(Checker):
    """Compares what the nodes have with what was written.

    Args:
        ledger: what was written.
    """

    name = "keeping"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all writes on all nodes."""
        for node in nodes:
            have = node.running().engine.have()
            had: defaultdict[str, list[Fact]] = defaultdict(list)
            for fact in self._ledger:
                if fact.n in have.get(fact.origin, DotSet()):
                    had[fact.key].append(fact)
                elif fact.outcome is Outcome.ACCEPTED and fact.dot not in self._ledger.may_be_lost:
                    raise self.fail(f"{node.node_id} lacks {fact} ({fact.key}), which was accepted")
            for key, facts in had.items():
                self._check_key(node, key, facts)

    def _check_key(self, node: SimNode, key: str, facts: list[Fact]) -> None:
        replica = node.running().engine.replica
        siblings = siblings_of(replica.entries.get(key))
        shown = {(replica.origins[s[0]], s[1]) for s in siblings}
        standing = self._standing(facts)
        expected = {fact.dot for fact in standing}
        if not replica.policies.keeps_siblings(key) and all(fact.stamp for fact in standing):
            expected = {max(standing, key=lambda fact: (fact.stamp, *fact.dot)).dot}
        is_removed = [not fact.packed for fact in standing if fact.dot in expected]
        if any(not fact.stamp for fact in standing):
            # Any of them may be the greatest. A remove is collected when every member has it.
            is_right = shown <= expected if shown else any(is_removed)
        else:
            is_right = shown == expected if shown else all(is_removed)
        if not is_right:
            raise self.fail(
                f"{node.node_id} shows {named(shown)} for {key}, expected {named(expected)}"
            )

    def _standing(self, facts: list[Fact]) -> list[Fact]:
        """Give the writes of a key that none of the others had seen, nor was by the same node."""
        superseded: set[Dot] = set()
        unexamined = [dot for fact in facts for dot in fact.saw]
        while unexamined:
            dot = unexamined.pop()
            if dot not in superseded:
                superseded.add(dot)
                fact = self._ledger.fact(dot)
                unexamined += fact.saw if fact is not None else ()
        last = {fact.origin: fact.n for fact in sorted(facts, key=lambda fact: fact.n)}
        return [f for f in facts if f.dot not in superseded and f.n == last[f.origin]]


def named(dots: set[Dot]) -> str:
    """Name writes for people."""
    return ", ".join(f"{origin.node_id}-{n}" for origin, n in sorted(dots)) or "nothing"

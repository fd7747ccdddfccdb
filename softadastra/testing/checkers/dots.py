"""Numbers: each write of an origin has the next one, and no number names two writes (3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.siblings import siblings_of
from softadastra.sync.notices import Notice
from softadastra.testing.checkers.base import LedgerChecker
from softadastra.testing.checkers.ledger import Fact, in_words
from softadastra.testing.checkers.lineage import Name

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Dots"]


class Dots(LedgerChecker):
    """Compares the numbers that are given out with those that were; not those of a liar."""

    name = "dots"

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """New writes follow the last one of their life."""
        for following, fact in enumerate(facts, self._ledger.top(facts[0].life) + 1):
            if fact.n != following:
                raise self.fail(
                    f"{node.machine} gave the name {fact} to write {following} of this life "
                    f"({fact.key})"
                )

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """No node is set back without being opened again, so no number ever stands for two."""
        if notice.event == "write.doubled" and not self._liars:
            key, number = notice.fields["key"], notice.fields["sync_id"]
            raise self.fail(f"{node.machine} found two writes under the number {number} ({key})")

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """One name is one write on all nodes."""
        contents: dict[Name, tuple[object, ...]] = {}
        for node in nodes:
            replica = node.running().engine.replica
            for key, state in replica.entries.items():
                for sibling in siblings_of(state):
                    name = self._lineage.name(replica, sibling[0], sibling[1])
                    content = (key, *sibling[2:])
                    if contents.setdefault(name, content) != content:
                        raise self.fail(
                            f"{in_words(name)} is {content} on {node.machine} and "
                            f"{contents[name]} elsewhere"
                        )

"""An overwrite is no conflict: no write is reported lost to one whose writer had seen it (6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.sync.notices import Notice
from softadastra.testing.checkers.base import Checker
from softadastra.testing.checkers.ledger import Dot, Ledger

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Overwriting"]


class Overwriting(Checker):
    """Looks at each conflict that a node reports.

    Args:
        ledger: what each writer had seen.
    """

    name = "overwriting"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """Compare the loser of a conflict with what the winner had seen."""
        if notice.event != "conflict.lost" or node.life is None:
            return
        replica = node.life.engine.replica
        for lost in replica.lost:
            if lost.key == notice.fields["key"]:
                loser = replica.origins[lost.loser[0]], lost.loser[1]
                winner = replica.origins[lost.winner[0]], lost.winner[1]
                if loser[0] == winner[0] or loser in self._seen_by(winner):
                    raise self.fail(
                        f"{node.node_id} reports {loser[0].node_id}-{loser[1]} as lost to "
                        f"{winner[0].node_id}-{winner[1]}, whose writer had seen it"
                    )

    def _seen_by(self, dot: Dot) -> set[Dot]:
        fact = self._ledger.fact(dot)
        seen: set[Dot] = set()
        unexamined = list(fact.saw) if fact is not None else []
        while unexamined:
            earlier = unexamined.pop()
            if earlier not in seen:
                seen.add(earlier)
                fact = self._ledger.fact(earlier)
                unexamined += fact.saw if fact is not None else ()
        return seen

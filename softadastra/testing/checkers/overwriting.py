"""An overwrite is no conflict: no write is reported lost to one whose writer had seen it (6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.store.replica import Lost
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
        self._last: dict[str, Lost] = {}
        """The last conflict of each node that was looked at."""

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """Compare the loser of a conflict with what the winner had seen."""
        if notice.event != "conflict.lost" or node.life is None:
            return
        replica = node.life.engine.replica
        last = self._last.get(node.node_id)
        for lost in reversed(replica.lost):
            if lost is last:
                break
            loser = replica.origins[lost.loser[0]], lost.loser[1]
            winner = replica.origins[lost.winner[0]], lost.winner[1]
            if loser[0] == winner[0] or self._had_seen(winner, loser):
                raise self.fail(
                    f"{node.node_id} reports {loser[0].node_id}-{loser[1]} as lost to "
                    f"{winner[0].node_id}-{winner[1]}, whose writer had seen it"
                )
        if replica.lost:
            self._last[node.node_id] = replica.lost[-1]

    def _had_seen(self, dot: Dot, wanted: Dot) -> bool:
        """Whether the writer of a write had seen another one, itself or by one that had."""
        seen: set[Dot] = set()
        unexamined = [dot]
        while unexamined:
            fact = self._ledger.fact(unexamined.pop())
            if fact is not None:
                if wanted in fact.saw:
                    return True
                unexamined += fact.saw - seen
                seen |= fact.saw
        return False

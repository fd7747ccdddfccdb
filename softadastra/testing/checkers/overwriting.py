"""An overwrite is no conflict: no write is reported lost to one whose writer had seen it (6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.store.changes import Lost
from softadastra.sync.notices import Notice
from softadastra.testing.checkers.base import LedgerChecker, Truth
from softadastra.testing.checkers.ledger import in_words
from softadastra.testing.checkers.lineage import Name

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Overwriting"]


class Overwriting(LedgerChecker):
    """Looks at each conflict that a node reports, and at what its writers had seen."""

    name = "overwriting"

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self._last: dict[str, Lost] = {}
        """The last conflict of each node that was looked at."""

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """Compare the loser of a conflict with what the winner had seen."""
        if notice.event != "conflict.lost" or node.life is None:
            return
        replica = node.life.engine.replica
        last = self._last.get(node.machine)
        for lost in reversed(replica.lost):
            if lost is last:
                break
            loser = self._lineage.name(replica, *lost.loser[:2])
            winner = self._lineage.name(replica, *lost.winner[:2])
            if loser[0] in self._lineage.doubled:
                continue
            if lost.loser[0] == lost.winner[0] or self._had_seen(winner, loser):
                raise self.fail(
                    f"{node.machine} reports {in_words(loser)} as lost to {in_words(winner)}, "
                    "whose writer had seen it"
                )
        if replica.lost:
            self._last[node.machine] = replica.lost[-1]

    def _had_seen(self, name: Name, wanted: Name) -> bool:
        """Whether the writer of a write had seen another one, itself or by one that had."""
        fact = self._ledger.fact(name)
        return fact is not None and wanted in self._ledger.superseded_by([fact])

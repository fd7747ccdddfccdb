"""Convergence: nodes that have exchanged everything hold the same (4.3, 4.15).

The same writes, the same siblings, values and versions of every key, the same digest; and
no two nodes ever have the same writes and another digest. But when a node comes back with less than
it had: it may have what is older than a remove that some have collected and others have not, and
that settles it, under last_write_wins or as one resolution does another. That is found out by the
digests, and mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.policies import Policy
from softadastra.store.siblings import siblings_of
from softadastra.sync.notices import Notice
from softadastra.testing.checkers.base import LedgerChecker

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Convergence"]


class Convergence(LedgerChecker):
    """Compares the nodes with each other. The digest of a liar means nothing."""

    name = "convergence"

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """Nodes in step that differ have found out: they must never come to that."""
        # What a liar has told two nodes may differ, and then they have to find out.
        if notice.event == "digest.differed" and not (self._liars or self._is_mended(node)):
            peer = notice.fields["peer"]
            raise self.fail(f"{node.machine} and {peer} have the same writes and differ")

    def _is_mended(self, node: SimNode) -> bool:
        return self._ledger.is_set_back and (
            node.options.conflict_policy == Policy.LAST_WRITE_WINS
            or any(fact.is_resolution and not fact.packed for fact in self._ledger)
        )

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Compare each node with the first one."""
        first, *others = nodes
        have, states, digest = replicated(first)
        for node in others:
            other_have, other_states, other_digest = replicated(node)
            pair = f"{first.machine} and {node.machine}"
            if other_have != have:
                raise self.fail(f"{pair} have other writes: {have} and {other_have}")
            for key in {**states, **other_states}:
                if states.get(key) != other_states.get(key):
                    raise self.fail(
                        f"{pair} differ for {key}: {states.get(key)} and {other_states.get(key)}"
                    )
            if other_digest != digest:
                raise self.fail(f"{pair} hold the same, and their digests differ")


def replicated(node: SimNode) -> tuple[object, dict[str, object], bytes]:
    """Give what a node has, what it holds for each key, and its digest."""
    engine = node.running().engine
    replica = engine.replica
    states: dict[str, object] = {
        key: sorted((replica.origins[s[0]], *s[1:]) for s in siblings_of(state) if s[4])
        for key, state in replica.entries.items()
        # A remove is the same as none: it may be collected.
        if key not in replica.tombstones
    }
    return dict(engine.have()), states, replica.digest

"""What a function merges is all there (6): whatever the nodes met first, and in which groups.

Where no conflict is left, the value of a key has taken in every put that no program has written
over knowingly: merged with that put once more, it stays what it is. Of several of people's
settlements that did not know of each other the greatest counts alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from softadastra.node_settings import merge_function
from softadastra.packing import pack_value
from softadastra.store.dots import DotSet
from softadastra.store.policies import Policy
from softadastra.store.values import unpack_value
from softadastra.testing.checkers.base import LedgerChecker
from softadastra.testing.checkers.ledger import Fact
from softadastra.types import ConflictingValue

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Merging"]

NOTHING = DotSet()


class Merging(LedgerChecker):
    """Merges once more what the nodes show. With a liar there is nothing to compare."""

    name = "merging"

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all keys of all nodes."""
        for node in nodes if not self._liars else ():
            replica = node.running().engine.replica
            have = self._lineage.all_names(replica)
            had: defaultdict[str, list[Fact]] = defaultdict(list)
            for fact in self._ledger:
                is_merged = replica.policies.of(fact.key) is Policy.MERGE
                if is_merged and fact.n in have.get(fact.life, NOTHING):
                    had[fact.key].append(fact)
            for key, facts in had.items():
                if key not in replica.conflicted:
                    self._check(node, key, facts)

    def _check(self, node: SimNode, key: str, facts: list[Fact]) -> None:
        shown = node.running().engine.replica.value(key)
        for put in self._standing(facts):
            merged = None if shown is None else merged_once_more(node, key, shown, put.packed)
            if merged != shown or shown is None:
                raise self.fail(
                    f"{node.machine} shows {shown!r} for {key}, and {put} is not in it, which was "
                    f"{put.packed!r}"
                )

    def _standing(self, facts: list[Fact]) -> Iterator[Fact]:
        """Give the puts of programs that no other write of a program had seen.

        One that had may be lost, with its disk, and the settlement that was made of it be here.
        """
        seen = map(self._ledger.fact, self._ledger.superseded_by(facts))
        known = {fact.name: fact for fact in (*facts, *filter(None, seen))}
        written = [fact for fact in known.values() if not fact.is_settlement]
        superseded = self._ledger.superseded_by(written)
        last = {fact.life: fact.n for fact in sorted(written, key=lambda fact: fact.n)}
        standing = [
            fact
            for fact in facts
            if not fact.is_settlement and fact.n == last[fact.life] and fact.name not in superseded
        ]
        resolved = max((fact.stamp for fact in standing if fact.is_resolution), default=0)
        for fact in standing:
            is_beaten = fact.is_resolution and fact.stamp < resolved
            if fact.packed and not is_beaten and fact.life not in self._lineage.doubled:
                yield fact


def merged_once_more(node: SimNode, key: str, shown: bytes, put: bytes) -> bytes:
    """Give what the function makes of a value and a put."""
    writes = [
        ConflictingValue(
            value=unpack_value(packed),
            is_removed=False,
            origin=node.node_id,
            sync_id=f"{node.node_id}-{n}",
            version=n,
            timestamp_ms=n,
        )
        for n, packed in ((2, shown), (1, put))
    ]
    value = merge_function(node.options, key)(key, writes)
    return pack_value(value, max_bytes=node.options.max_value_bytes)

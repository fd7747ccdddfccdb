"""No accepted write is lost (4.4), and of what is held the right one stands.

Every accepted write is had by every node, but for those that the ledger knows to be lost. A key
holds the writes that, of all that are had, no other one had seen: under last_write_wins the
greatest of them in the total order (stamp, node id, incarnation, n), else all of them, of which it
shows what counts. A remove may be gone: it is collected when every member has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import siblings_of
from softadastra.testing.checkers.base import LedgerChecker
from softadastra.testing.checkers.ledger import Fact, Outcome, in_words
from softadastra.testing.checkers.lineage import Name

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["Keeping"]

NOTHING = DotSet()


class Keeping(LedgerChecker):
    """Compares what the nodes have with what was written; with a liar only what is had."""

    name = "keeping"

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Look at all writes on all nodes."""
        for node in nodes:
            have = self._lineage.all_names(node.running().engine.replica)
            had: defaultdict[str, list[Fact]] = defaultdict(list)
            lacked: defaultdict[str, list[Fact]] = defaultdict(list)
            for fact in self._ledger:
                if fact.n in have.get(fact.life, NOTHING):
                    had[fact.key].append(fact)
                elif fact.outcome is Outcome.ACCEPTED and fact.name not in self._ledger.may_be_lost:
                    raise self.fail(f"{node.machine} lacks {fact} ({fact.key}), which was accepted")
                else:
                    lacked[fact.key].append(fact)
            for key, facts in had.items() if not self._liars else ():
                self._check_key(node, key, facts, lacked[key])

    def _check_key(
        self, node: SimNode, key: str, facts: list[Fact], lacked: Sequence[Fact]
    ) -> None:
        replica = node.running().engine.replica
        siblings = siblings_of(replica.entries.get(key))
        held = {self._lineage.name(replica, s[0], s[1]) for s in siblings}
        standing = {fact.name: fact for fact in self._standing(facts)}
        for name in self._settled(replica, facts, standing.values()) - held:
            del standing[name]
        if self._ledger.is_set_back and replica.policies.keeps_siblings(key):
            # A write that is lost with its disks may have been merged, and taken these away.
            for name in standing.keys() & self._ledger.superseded_by(lacked) - held:
                del standing[name]
            # A remove may be collected before what it settles comes, and then that stands alone.
            for name in [n for n, f in standing.items() if f.is_resolution and not f.packed]:
                if name not in held:
                    del standing[name]
        puts = {name for name, fact in standing.items() if fact.packed}
        doubled = {fact.name for fact in facts if fact.life in self._lineage.doubled}
        if replica.policies.keeps_siblings(key):
            # A value that a remove has settled is collected together with it.
            needed = {name for name in self._counting(replica, standing) if standing[name].packed}
            is_right = needed <= held <= standing.keys() | doubled
            if all(fact.stamp for fact in standing.values()):
                expected = self._shown(replica, standing)
                if is_right and not doubled and replica.value(key) != expected:
                    shown = replica.value(key)
                    raise self.fail(f"{node.machine} shows {shown!r} for {key}, not {expected!r}")
        elif any(not fact.stamp for fact in standing.values()):
            # Any of them may be the greatest.
            is_right = held <= standing.keys() if held else puts != standing.keys()
        else:
            is_right = held in self._winners(replica, standing) or bool(held & doubled)
        if not is_right:
            policy = replica.policies.of(key)
            raise self.fail(
                f"{node.machine} holds {named(held)} for {key} under {policy}, and of what was "
                f"written {named(standing)} stand"
            )

    def _shown(self, replica: Replica, standing: Mapping[Name, Fact]) -> bytes | None:
        """Give the value to be shown of several: a put comes before a remove."""
        counting = (standing[name] for name in self._counting(replica, standing))
        return next((fact.packed for fact in counting if fact.packed), None)

    def _counting(self, replica: Replica, standing: Mapping[Name, Fact]) -> list[Name]:
        """Give what counts of several, the greatest first: of resolutions only the greatest.

        While a stamp is unknown, any resolution may be the greatest, so none of them need be here.
        """
        order = sorted(standing, key=self._rank(replica, standing), reverse=True)
        resolutions = [name for name in order if standing[name].is_resolution]
        greatest = resolutions[:1] if all(fact.stamp for fact in standing.values()) else []
        return [name for name in order if name not in resolutions or name in greatest]

    def _winners(self, replica: Replica, standing: Mapping[Name, Fact]) -> list[set[Name]]:
        """Give what a key may hold under last_write_wins: the greatest, or nothing for a remove.

        A node that comes back with less than it had, or comes from nowhere, may have written below
        a remove that is collected where its write then comes first. That is found out and mended,
        and either may stand.
        """
        first, *others = sorted(standing, key=self._rank(replica, standing), reverse=True)
        winners: list[set[Name]] = [{first}]
        if not standing[first].packed:
            winners.append(set())
            if self._ledger.is_set_back:
                winners += ({name} for name in others)
        return winners

    def _rank(
        self, replica: Replica, facts: Mapping[Name, Fact]
    ) -> Callable[[Name], tuple[int, Origin, int]]:
        """Give the sort key of the total order, by the names that a node's writes have by now."""
        origins = self._lineage.origins(replica)

        def rank(name: Name) -> tuple[int, Origin, int]:
            life, n = name
            origin, before = origins[life]
            return facts[name].stamp, origin, before + n

        return rank

    def _settled(self, replica: Replica, facts: list[Fact], standing: Iterable[Fact]) -> set[Name]:
        """Give the values that a remove has settled, which is collected together with them.

        Of resolutions that did not know of each other the greatest counts, and that is a remove.
        """
        removes = {f.name: f for f in facts if f.is_resolution and not f.packed}
        settled: set[Name] = set()
        for put in (f for f in standing if removes and f.is_resolution and f.packed):
            rank = self._rank(replica, {put.name: put, **removes})
            seen = self._ledger.superseded_by([put])
            if any(
                not (put.stamp and remove.stamp) or rank(remove.name) > rank(put.name)
                for remove in removes.values()
                if remove.name not in seen
            ):
                settled.add(put.name)
        return settled

    def _standing(self, facts: list[Fact]) -> list[Fact]:
        """Give the writes of a key that none of the others had seen, nor was by the same life."""
        superseded = self._ledger.superseded_by(facts)
        last = {fact.life: fact.n for fact in sorted(facts, key=lambda fact: fact.n)}
        return [f for f in facts if f.name not in superseded and f.n == last[f.life]]


def named(names: Iterable[Name]) -> str:
    """Name writes for people."""
    return ", ".join(in_words(name) for name in sorted(names)) or "nothing"

"""What programs do with the nodes of a cluster: puts, removes and batches, at any time."""

from __future__ import annotations

from itertools import count
from random import Random

from softadastra.errors import StorageError
from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import SimNode
from softadastra.types import Value

from .plan import Plan

__all__ = ["Workload"]


RACE_CHANCE = 0.1
"""Writes of the same millisecond have the same stamp, and the node ids decide."""


class Workload:
    """Writes to random nodes, each value once, but for a few that are written again.

    Args:
        cluster: where to.
        plan: keys and sizes.
        rng: decides what is written where.
    """

    def __init__(self, cluster: SimCluster, plan: Plan, rng: Random) -> None:
        self._cluster = cluster
        self._plan = plan
        self._rng = rng
        self._values = count(1)

    def act(self) -> None:
        """Let one node do something, or all of them write one key at the same moment."""
        if self._rng.random() < RACE_CHANCE:
            key = self._key()
            for node in self._cluster.everyone:
                self._attempt(node, key)
        else:
            self._attempt(self._rng.choice(self._cluster.everyone), None)

    def _attempt(self, node: SimNode, key: str | None) -> None:
        if not node.is_running:
            return
        try:
            if key is None:
                self._write(node)
            else:
                node.put(key, self._value())
        except StorageError:
            if not (node.disk.is_full or node.is_poisoned):
                raise
        self.drive(node)

    def drive(self, node: SimNode) -> None:
        """Do by hand what options keep a node from doing by itself."""
        try:
            if not node.options.auto_queue and self._rng.random() < 0.3:
                node.queue_pending()
            if not node.options.auto_tick:
                node.tick(prune=self._rng.random() < 0.1)
        except StorageError:
            if not (node.disk.is_full or node.is_poisoned):
                raise

    def _write(self, node: SimNode) -> None:
        if self._rng.random() < self._plan.remove_chance:
            node.remove(self._key())
            return
        chance = self._rng.random()
        if chance < 0.1:
            keys = {self._key(): None for _ in range(self._rng.randint(2, 20))}
            node.put_many([(key, self._value()) for key in keys])
        elif chance < 0.2 and (conflicts := node.conflicts()):
            node.resolve(self._rng.choice(conflicts).key, self._value())
        else:
            for _ in range(self._rng.choice([1, 1, 1, 5])):
                node.put(self._key(), self._value())

    def _key(self) -> str:
        return f"key/{self._rng.randrange(self._plan.keys_count)}"

    def _value(self) -> Value:
        number = 0 if self._rng.random() < 0.05 else next(self._values)
        return [number, "." * self._rng.randrange(self._plan.value_bytes_max)]

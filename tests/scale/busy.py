"""Nodes that share few processors: the more there is to do, the later all of it is done.

A turn takes time of one processor, and what it sends leaves when it ends. So nodes that send too
much make all others later, as on a machine that is full of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from math import ceil

from softadastra.store.writes import decide_writes
from softadastra.sync.messages import Message

from .cluster import VALUE, Cluster, Node, key_name

__all__ = ["BusyCluster"]

STEP_MS = 10
"""Between two looks whether all have met."""
GAP_MS = 5
"""Between two batches of writes of one node."""


class BusyCluster(Cluster):
    """A full mesh of nodes that share processors.

    Args:
        count: how many nodes.
        seed: decides names, delays and jitter.
        turn_ms: how long a turn takes, whatever it does.
        message_ms: how much longer, for each message that it takes or sends.
        processors: how many turns there can be at a time.
    """

    def __init__(
        self, count: int, seed: int, *, turn_ms: float, message_ms: float, processors: int = 2
    ) -> None:
        super().__init__(count, seed)
        self._turn_ms = turn_ms
        self._message_ms = message_ms
        self._free_ms = [0.0] * processors
        self._ended_ms = [0.0] * count
        """When the last turn of each node ends."""
        self._leaving: list[Callable[[int], None]] = []
        for one, other in combinations(self.nodes, 2):
            self.join(one, other)

    def meet(self) -> None:
        """Let time pass until each node is connected to all others, and no longer."""
        most = len(self.nodes) - 1
        while any(len(node.engine.connections.active) < most for node in self.nodes):
            self.schedule.run(STEP_MS)

    def write_all(self, batches: int, batch_writes: int) -> int:
        """Let each node write so many batches, and all get all of it; give how many writes."""
        self.lacking = set(range(len(self.nodes)))
        self.keys = len(self.nodes) * batches * batch_writes
        keys = map(key_name, range(self.keys))
        for number in range(batches):
            for node in self.nodes:
                some = [next(keys) for _ in range(batch_writes)]
                self.schedule.after(number * GAP_MS, partial(self._write_batch, node, some))
        self.run_until_complete(600_000)
        return self.keys

    def _write_batch(self, node: Node, keys: list[str]) -> None:
        asked = [(key, VALUE, 0) for key in keys]
        record, _ = decide_writes(node.engine.replica, asked, wall_ms=self.now.wall_ms)
        assert record is not None, "the keys are new"
        self._evolve(node, record)
        self._wake(node)

    def _wake(self, node: Node) -> None:
        if not node.is_turn_due:
            node.is_turn_due = True
            self._turn_when_free(node)

    def _turn_when_free(self, node: Node) -> None:
        now_ms = self.schedule.now_ms
        processor = min(range(len(self._free_ms)), key=self._free_ms.__getitem__)
        start_ms = max(self._free_ms[processor], self._ended_ms[node.number])
        if start_ms > now_ms:
            wait_ms = ceil(start_ms - now_ms)
            self.schedule.after(wait_ms, partial(self._turn_when_free, node))
            return
        taken = len(node.inbox)
        self._turn(node)
        leaving, self._leaving = self._leaving, []
        elapsed_ms = self._turn_ms + self._message_ms * (taken + len(leaving))
        end_ms = now_ms + elapsed_ms
        self._free_ms[processor] = self._ended_ms[node.number] = end_ms
        for leave in leaving:
            leave(ceil(elapsed_ms))

    def _send(self, sender: Node, link: int, message: Message) -> None:
        self._leaving.append(partial(self._carry, sender, link, message))

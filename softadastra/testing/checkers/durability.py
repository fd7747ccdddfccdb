"""Claims: what a node says that it holds is in the synced bytes of its own disk (4.1, 4.5).

Checked when a message leaves, against the disk alone, with `auto_flush` on or off: an
acknowledgement before its sync, or a batch before its own record, is seen here. A write that
returned with `auto_flush=True` is durable at that moment, and what was durable when a node
went down is there when it comes up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from softadastra.store.dots import DotSet, subtract
from softadastra.store.origins import Origin
from softadastra.sync.messages import (
    Ack,
    Batch,
    Have,
    Haves,
    Hello,
    Message,
    SnapshotBegin,
    SnapshotRange,
)
from softadastra.testing.checkers.base import Checker
from softadastra.testing.checkers.durable_log import DurableLog, held
from softadastra.testing.checkers.ledger import Dot, Fact, Ledger, Outcome

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Durability"]


class Durability(Checker):
    """Knows what every disk holds.

    Args:
        ledger: told which writes were lost with a disk.
    """

    name = "durability"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._logs: defaultdict[str, DurableLog] = defaultdict(DurableLog)
        self._damaged: set[str] = set()
        """Nodes whose disk was lost or damaged, and that were not started since."""

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """A write that returned is durable, unless its node puts syncs off."""
        if node.options.auto_flush:
            have = self._read(node)
            for fact in facts:
                durable = fact.n in have.get(fact.origin, DotSet())
                if fact.outcome is Outcome.ACCEPTED and not durable:
                    raise self.fail(f"{fact} returned on {node.node_id} and is not durable")

    def sent(self, node: SimNode, receiver: str, message: Message) -> None:
        """What a message claims is durable at its sender."""
        match message:
            case Hello() | Ack() | Have():
                claimed = message.have
            case SnapshotBegin():
                claimed = message.have
            case Batch():
                claimed = held(message)
            case SnapshotRange():
                claimed = held(message.batch)
            case _:
                return
        have = self._read(node)
        for origin, dots in claimed.items():
            for first, last in subtract(dots.ranges(), have.get(origin, DotSet())):
                kind = type(message).__name__.lower()
                raise self.fail(
                    f"a {kind} of {node.node_id} to {receiver} claims {origin.node_id}-{first} to "
                    f"{last}, which is not durable there"
                )

    def opened(self, node: SimNode) -> None:
        """What was durable when a node went down is there when it comes up."""
        assert node.life is not None
        recovered = node.life.engine.have()
        for origin, dots in self._logs[node.node_id].have.items():
            for first, last in subtract(dots.ranges(), recovered.get(origin, DotSet())):
                raise self.fail(
                    f"{node.node_id} restarted without {origin.node_id}-{first} to {last}, which "
                    "were durable"
                )
        me = node.life.engine.replica.origins[node.life.engine.replica.me]
        # What power took away before its sync is free to be numbered again, if nobody has it.
        self._logs.pop(node.node_id, None)
        others = [log.have.get(me, DotSet()).top for log in self._logs.values()]
        top = max(node.life.engine.replica.top, *others, 0)
        for fact in self._ledger.above(me, top):
            is_promised = node.options.auto_flush and fact.outcome is Outcome.ACCEPTED
            if is_promised and fact.dot not in self._ledger.may_be_lost:
                raise self.fail(f"{node.node_id} restarted without {fact}, which had returned")
        if node.node_id not in self._damaged:
            self._ledger.cut(me, top)
        # Else what is missing was synced, may have been sent, and is on its way to somebody.
        self._damaged.discard(node.node_id)
        self._read(node)

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Keep up with the disk."""
        self._read(node)

    def disk_changed(self, node: SimNode) -> None:
        """Read anew what the power cut has left."""
        self._logs[node.node_id].reset()
        self._read(node)

    def disk_lost(self, node: SimNode) -> None:
        """Note which writes no other disk holds."""
        self._damaged.add(node.node_id)
        lost = dict(self._read(node))
        del self._logs[node.node_id]
        if node.life is not None:
            lost |= node.life.engine.have()
        # Its own writes that were never synced are lost as well.
        own = {fact.dot for fact in self._ledger if fact.origin.node_id == node.node_id}
        self._ledger.lose(dot for dot in own | dots_of(lost) if not self._is_durable(dot))

    def _is_durable(self, dot: Dot) -> bool:
        origin, n = dot
        return any(n in log.have.get(origin, DotSet()) for log in self._logs.values())

    def _read(self, node: SimNode) -> dict[Origin, DotSet]:
        log = self._logs[node.node_id]
        log.read(node.disk, node.path)
        return log.have


def dots_of(have: Haves) -> set[Dot]:
    """Give the writes of a have, one by one."""
    return {
        (origin, n)
        for origin, dots in have.items()
        for first, last in dots.ranges()
        for n in range(first, last + 1)
    }

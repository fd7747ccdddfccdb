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
from softadastra.testing.checkers.base import LedgerChecker, Truth
from softadastra.testing.checkers.durable_log import DurableLog, held
from softadastra.testing.checkers.ledger import Fact, Outcome, in_words
from softadastra.testing.checkers.lineage import Name

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Durability"]

NOTHING = DotSet()


class Durability(LedgerChecker):
    """Knows what every disk holds, and tells the ledger which writes were lost with one.

    Writes of a liar may stand under numbers of others, and get names of their own then.
    """

    name = "durability"

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self._logs: dict[str, DurableLog] = {}
        """By machine."""
        self._written: defaultdict[str, list[Fact]] = defaultdict(list)
        """What each process has written since its start."""

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """A write that returned is durable, unless its node puts syncs off."""
        self._written[node.machine] += facts
        if node.options.auto_flush:
            names = self._read(node).names
            for fact in facts:
                durable = fact.n in names.get(fact.life, NOTHING)
                if fact.outcome is Outcome.ACCEPTED and not durable:
                    raise self.fail(f"{fact} returned on {node.machine} and is not durable")

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
        have = self._read(node).have
        for origin, dots in claimed.items():
            if self._liars and dots.top == 1 and origin not in have:
                continue  # It may be named by its content, which a log does not say.
            for first, last in subtract(dots.ranges(), have.get(origin, NOTHING)):
                kind = type(message).__name__.lower()
                raise self.fail(
                    f"a {kind} of {node.machine} to {receiver} claims {origin.node_id}-{first} to "
                    f"{last}, which is not durable there"
                )

    def opened(self, node: SimNode) -> None:
        """What was durable when a node went down is there when it comes up."""
        assert node.life is not None
        before = self._logs[node.machine].names if node.machine in self._logs else {}
        self._logs.pop(node.machine, None)
        self._read(node)
        recovered = self._lineage.all_names(node.life.engine.replica)
        for life, dots in before.items():
            for first, last in subtract(dots.ranges(), recovered.get(life, NOTHING)):
                raise self.fail(
                    f"{node.machine} restarted without {in_words((life, first))} to {last}, which "
                    "were durable"
                )
        # What power took away before its sync is lost, if nobody has it.
        for fact in self._written.pop(node.machine, ()):
            if not self._is_durable(fact.name):
                is_promised = node.options.auto_flush and fact.outcome is Outcome.ACCEPTED
                if is_promised and fact.name not in self._ledger.may_be_lost:
                    raise self.fail(f"{node.machine} restarted without {fact}, which had returned")
                self._ledger.lose([fact.name])

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  as every checker
        """Keep up with the disk."""
        self._read(node)

    def disk_changed(self, node: SimNode) -> None:
        """Read anew what the power cut has left."""
        self._logs.pop(node.machine, None)
        self._read(node)

    def disk_lost(self, node: SimNode) -> None:
        """Note which writes no other disk holds."""
        lost = names_of(self._read(node).names)
        if node.life is not None:
            lost |= names_of(self._lineage.all_names(node.life.engine.replica))
        del self._logs[node.machine]
        lost.update(fact.name for fact in self._written.pop(node.machine, ()))
        self._ledger.lose(name for name in lost if not self._is_durable(name))

    def disk_restored(self, node: SimNode) -> None:
        """What an old copy holds is not lost."""
        self._logs.pop(node.machine, None)
        self._ledger.regain(names_of(self._read(node).names))

    def _is_durable(self, name: Name) -> bool:
        life, n = name
        return any(n in log.names.get(life, NOTHING) for log in self._logs.values())

    def _read(self, node: SimNode) -> DurableLog:
        log = self._logs.get(node.machine)
        if log is None:
            log = self._logs[node.machine] = DurableLog(self._lineage)
        log.read(node.disk, node.path)
        return log


def names_of(have: Haves) -> set[Name]:
    """Give the writes of a have, one by one."""
    return {
        (life, n)
        for life, dots in have.items()
        for first, last in dots.ranges()
        for n in range(first, last + 1)
    }

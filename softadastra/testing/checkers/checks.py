"""All checkers of one simulated cluster, told of everything in one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from softadastra.sync.messages import Batch, Ping, Pong
from softadastra.sync.wire import decode, encode
from softadastra.testing.checkers.base import Checker, Truth
from softadastra.testing.checkers.bounds import Bounds
from softadastra.testing.checkers.collection import Collection
from softadastra.testing.checkers.convergence import Convergence
from softadastra.testing.checkers.dots import Dots
from softadastra.testing.checkers.durability import Durability
from softadastra.testing.checkers.idleness import Idleness
from softadastra.testing.checkers.invention import Invention
from softadastra.testing.checkers.keeping import Keeping
from softadastra.testing.checkers.ledger import Fact, Ledger
from softadastra.testing.checkers.lineage import Lineage
from softadastra.testing.checkers.merging import Merging
from softadastra.testing.checkers.outbox import Outbox
from softadastra.testing.checkers.overwriting import Overwriting
from softadastra.testing.checkers.resurrection import Resurrection
from softadastra.testing.checkers.watching import Watching
from softadastra.testing.sim_schedule import Trace
from softadastra.testing.sim_words import describe

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Checks"]

AWAY_SECONDS: Final = 30 * 86_400
"""No run, with all that is done to its clocks, is so long that a member is away for this time."""

SIGNS_OF_LIFE: Final = (encode(Ping(0))[:3], encode(Pong(0))[:3])
"""What the frames of more than half of all messages begin with: array, protocol, type. They claim
nothing, so nobody reads them."""


class Checks:
    """Tells checkers and trace what happens; each call may raise BrokenPromiseError.

    Args:
        trace: gets a line for each message and notice.
        nodes_count: of the cluster.
    """

    def __init__(self, trace: Trace, nodes_count: int) -> None:
        self.ledger = Ledger()
        self.lineage = Lineage()
        self.liars: set[str] = set()
        """Members that say what they like."""
        self.batches_sent = 0
        """By all nodes so far."""
        self._trace = trace
        self._nodes_count = nodes_count
        truth = Truth(self.ledger, self.lineage, self.liars)
        self._checkers: tuple[Checker, ...] = (
            Dots(truth),
            Durability(truth),
            Outbox(),
            Bounds(nodes_count),
            Idleness(),
            Overwriting(truth),
            Convergence(truth),
            Invention(truth),
            Merging(truth),
            Keeping(truth),
            Resurrection(truth),
            Collection(),
            Watching(),
        )
        self._watching_sends = overriding(self._checkers, "sent")
        self._watching_notices = overriding(self._checkers, "noticed")
        self._watching_turns = overriding(self._checkers, "turned")

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """A node took local writes, or failed in the middle of them."""
        if facts:
            for checker in self._checkers:
                checker.wrote(node, facts)
            self.ledger.record(facts)

    def sending(self, node: SimNode, receiver: str, payload: bytes) -> None:
        """A frame leaves a node."""
        if payload.startswith(SIGNS_OF_LIFE) and not self._trace.is_on:
            return
        message = decode(payload)
        self.batches_sent += isinstance(message, Batch)
        if self._trace.is_on:
            self._trace.tell(node.machine, f"> {receiver}: {describe(message)}")
        for checker in self._watching_sends:
            checker.sent(node, receiver, message)

    def turned(self, node: SimNode, turn: Turn) -> None:
        """A node has done all that was due."""
        engine = node.running().engine
        if len(engine.members) + 1 < self._nodes_count:
            # It has collected without those of whom it has not heard.
            self.ledger.is_set_back |= any(
                log.collected.top for log in engine.replica.logs.values()
            )
        for notice in node.running().take_notices():
            if self._trace.is_on:
                facts = " ".join(f"{name}={value}" for name, value in notice.fields.items())
                self._trace.tell(node.machine, f"{notice.event} {facts}")
            for checker in self._watching_notices:
                checker.noticed(node, notice)
        for checker in self._watching_turns:
            checker.turned(node, turn)

    def opened(self, node: SimNode) -> None:
        """A node has recovered from its log."""
        self.ledger.is_set_back |= node.options.max_offline < AWAY_SECONDS
        for checker in self._checkers:
            checker.opened(node)

    def disk_changed(self, node: SimNode) -> None:
        """A power cut has decided what of the unsynced is on a node's disk."""
        for checker in self._checkers:
            checker.disk_changed(node)

    def disk_lost(self, node: SimNode) -> None:
        """What is on a node's disk is about to be lost or damaged."""
        self.ledger.is_set_back = True
        for checker in self._checkers:
            checker.disk_lost(node)

    def disk_restored(self, node: SimNode) -> None:
        """A node's disk holds an old copy of its log."""
        self.ledger.is_set_back = True
        for checker in self._checkers:
            checker.disk_restored(node)

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """All faults have ended, and these nodes say that they have converged."""
        for checker in self._checkers:
            checker.settled(nodes)

    def rested(self, nodes: Sequence[SimNode]) -> None:
        """Nothing was written for so long that all that may be collected is."""
        for checker in self._checkers:
            checker.rested(nodes)


def overriding(checkers: Sequence[Checker], name: str) -> tuple[Checker, ...]:
    """Give the checkers that want to be told of something that happens at every step."""
    return tuple(c for c in checkers if getattr(type(c), name) is not getattr(Checker, name))

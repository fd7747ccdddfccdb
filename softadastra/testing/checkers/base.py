"""What a checker is told, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from softadastra.sync.messages import Message
from softadastra.sync.notices import Notice
from softadastra.testing.checkers.ledger import Fact, Ledger
from softadastra.testing.checkers.lineage import Lineage

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["BrokenPromiseError", "Checker", "LedgerChecker", "Truth"]


class BrokenPromiseError(AssertionError):
    """A simulated cluster broke one of its promises.

    Args:
        checker: the name of the checker that saw it.
        words: what was promised, and what was seen.
    """

    def __init__(self, checker: str, words: str) -> None:
        super().__init__(f"{checker}: {words}")
        self.checker = checker


class Checker:
    """Watches a simulated cluster; each kind overrides what it wants to be told."""

    name: ClassVar[str]

    def wrote(self, node: SimNode, facts: Sequence[Fact]) -> None:
        """A node took local writes, or failed in the middle of them. Before the ledger has them."""

    def sent(self, node: SimNode, receiver: str, message: Message) -> None:
        """A message leaves a node; not of pings and pongs, which claim nothing."""

    def turned(self, node: SimNode, turn: Turn) -> None:
        """A node has done all that was due."""

    def noticed(self, node: SimNode, notice: Notice) -> None:
        """A node had something to tell."""

    def opened(self, node: SimNode) -> None:
        """A node has recovered from its log. Before the ledger knows."""

    def disk_changed(self, node: SimNode) -> None:
        """A power cut has decided what of the unsynced is on a node's disk."""

    def disk_lost(self, node: SimNode) -> None:
        """What is on a node's disk is about to be lost or damaged."""

    def disk_restored(self, node: SimNode) -> None:
        """A node's disk holds an old copy of its log."""

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """All faults have ended, and the nodes that are left say that they have converged."""

    def rested(self, nodes: Sequence[SimNode]) -> None:
        """Nothing was written for so long that all that may be collected is."""

    def fail(self, words: str) -> BrokenPromiseError:
        """Give the error to raise."""
        return BrokenPromiseError(self.name, words)


class Truth(NamedTuple):
    """What no node tells the checkers."""

    ledger: Ledger
    """What was written."""
    lineage: Lineage
    """What it is called."""
    liars: Set[str]
    """Who may write without the ledger, and over all that is in it."""


class LedgerChecker(Checker):
    """Compares what nodes do and hold with what was written.

    Args:
        truth: what was written.
    """

    def __init__(self, truth: Truth) -> None:
        self._ledger, self._lineage, self._liars = truth

"""A reader of changes ends with what reads show, whatever happened to it and to its node.

Each node has a reader that keeps a copy of what it is told, and its position, as an application
does: on a disk that the faults of the node do not reach. It reads slowly and holds little, so it
falls behind; now and then it ends, and goes on from where it was; when that is lost it begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from softadastra.errors import PositionLostError, WatchOverflowError
from softadastra.runtime.watcher import Beginning, Limits, Watcher
from softadastra.testing.checkers.base import Checker
from softadastra.types import Located

if TYPE_CHECKING:
    from softadastra.testing.sim_life import Turn
    from softadastra.testing.sim_node import SimNode

__all__ = ["Watching"]

LIMITS: Final = Limits(4, 1 << 16)
TAKEN_A_TURN: Final = 3
TURNS_A_WATCH: Final = 11
"""How little waits for a reader, how little it takes at a time, and for how long it goes on."""


class Watching(Checker):
    """Reads the changes of every node."""

    name = "watching"

    def __init__(self) -> None:
        self._readers: dict[str, Reader] = {}
        """By machine."""

    def opened(self, node: SimNode) -> None:
        """Go on from where the reader of this machine was."""
        self._readers.setdefault(node.machine, Reader()).open(node)

    def turned(self, node: SimNode, turn: Turn) -> None:  # noqa: ARG002  whatever it did
        """Read a little."""
        reader = self._readers[node.machine]
        reader.turns += 1
        if reader.turns % TURNS_A_WATCH == 0:
            reader.open(node)
        reader.read(node, TAKEN_A_TURN)

    def settled(self, nodes: Sequence[SimNode]) -> None:
        """Read all that there is, and compare."""
        for node in nodes:
            replica = node.running().engine.replica
            reader = self._readers[node.machine]
            reader.read(node, None)
            shown = {key: replica.value(key) for key in replica.entries}
            for key in shown.keys() | reader.copy.keys():
                if shown.get(key) != reader.copy.get(key):
                    words = f"{node.machine} shows {shown.get(key)!r} for {key}"
                    raise self.fail(f"{words}, and {reader.copy.get(key)!r} was told")

    def rested(self, nodes: Sequence[SimNode]) -> None:
        """Compare once more: what is collected changes nothing that is shown."""
        self.settled(nodes)


class Reader:
    """What an application keeps of what it was told."""

    def __init__(self) -> None:
        self.copy: dict[str, bytes] = {}
        self.turns = 0
        self._place: Located = Beginning()
        """Where it is: made into text only when it goes on from there, as that takes long where
        writers are many."""
        self._watcher: Watcher | None = None

    def open(self, node: SimNode) -> None:
        """Go on from where it was, or anew, when that is lost."""
        if self._watcher is not None:
            self._watcher.close()
        watchers = node.running().committer.watchers
        try:
            self._watcher = watchers.open("", self._place.position, LIMITS)
        except PositionLostError:
            self._place = Beginning()
            self._watcher = watchers.open("", self._place.position, LIMITS)
        if isinstance(self._place, Beginning):
            self.copy.clear()

    def read(self, node: SimNode, count: int | None) -> None:
        """Take so many changes, or all."""
        while count is None or count > 0:
            assert self._watcher is not None, "a node is opened before it turns"
            try:
                taken = self._watcher.take()
            except WatchOverflowError:
                continue
            except PositionLostError:
                self._place = Beginning()
                self.open(node)
                continue
            if taken is None:
                self._place = self._watcher.place()
                return
            count = None if count is None else count - 1
            sighting, self._place = taken
            if sighting.sibling[4]:
                self.copy[sighting.key] = sighting.sibling[4]
            else:
                self.copy.pop(sighting.key, None)

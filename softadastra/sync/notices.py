"""What the pure core has to tell: it does not log, it returns notices.

The runtime turns each into one structured event of the same name (`runtime/events.py`).
`docs/events.md` lists them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple, TypeAlias

__all__ = ["Accepted", "Level", "Notice", "Notices", "Told", "each"]


class Level(IntEnum):
    """How much a notice matters. The values are those of the standard library's logging."""

    DEBUG = 10
    """One a message or a write."""
    INFO = 20
    """A change of state."""
    WARNING = 30
    """A peer or the environment misbehaved; nothing is lost."""
    ERROR = 40
    """Data is at risk, or the node cannot go on by itself."""


class Notice(NamedTuple):
    """One thing that happened: `event` is subject.past_tense, `fields` are its facts."""

    level: Level
    event: str
    fields: dict[str, object]


class Accepted:
    """Own writes with consecutive numbers, each of which is told as `write.accepted`.

    A write has a notice of its own in each node that logs at DEBUG, so one that is made takes more
    than all else that is told of it. Here it is a key in a list. Only the last of what waits grows.

    Args:
        node_id: the node's name.
        first: the number of the first one.
        keys: of each of them; more may be added.
        durable: whether they are synced.
    """

    __slots__ = ("durable", "first", "keys", "node_id")

    level = Level.DEBUG
    event = "write.accepted"

    def __init__(self, node_id: str, first: int, keys: list[str], *, durable: bool) -> None:
        self.node_id = node_id
        self.first = first
        self.keys = keys
        self.durable = durable

    def notices(self) -> Iterator[Notice]:
        """Give the notice of each."""
        for n, key in enumerate(self.keys, start=self.first):
            facts = {"sync_id": f"{self.node_id}-{n}", "key": key, "durable": self.durable}
            yield Notice(Level.DEBUG, "write.accepted", facts)


Told: TypeAlias = Notice | Accepted
"""What is told at once: one thing that happened, or a run of them."""


def each(told: Iterable[Told]) -> Iterator[Notice]:
    """Give single notices of what is told at once."""
    for some in told:
        if isinstance(some, Accepted):
            yield from some.notices()
        else:
            yield some


class Notices:
    """The notices that are yet to be told."""

    __slots__ = ("is_traced", "waiting")

    def __init__(self) -> None:
        self.is_traced = False
        """Whether anybody wants those of level DEBUG; they are not made otherwise."""
        self.waiting: deque[Told] = deque()
        """A deque, because a failing write notes it without the engine's lock."""

    def note(self, level: Level, event: str, **fields: object) -> None:
        """Note what happened."""
        if level > Level.DEBUG or self.is_traced:
            self.waiting.append(Notice(level, event, fields))

    def take(self) -> list[Notice]:
        """Give what is to be told, and forget it."""
        return list(each(self.take_together()))

    def take_together(self) -> list[Told]:
        """Give the same, with what is told at once still together."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]

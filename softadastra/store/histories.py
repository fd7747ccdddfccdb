"""Which writes of each origin a node has, and in which lives its writers made them.

Origins are numbers (`origins.py`); OWN is this node's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from softadastra.store.changes import OWN
from softadastra.store.index import OriginLog
from softadastra.store.lives import Life, history, joined, lived
from softadastra.store.origins import Origin, Origins

__all__ = ["Histories"]


class Histories:
    """The index of each origin, by its number.

    Args:
        me: this node, as the origin that it writes under.
    """

    __slots__ = ("lives", "logs", "me", "named", "node_id", "origins")

    def __init__(self, me: Origin) -> None:
        self.node_id = me.node_id
        self.origins = Origins()
        self.me = self.origins.number(me)
        assert self.me == OWN
        self.logs: defaultdict[int, OriginLog] = defaultdict(OriginLog)
        self.logs[self.me] = OriginLog()
        self.lives: dict[int, list[Life]] = {}
        """The lives of each origin, by number, but for the one that its incarnation names."""
        self.named: dict[int, int] = {}
        """The highest number of each origin, by number, that came in a context."""

    @property
    def top(self) -> int:
        """The number of this node's last write."""
        return self.logs[self.me].base

    def has(self, origin: int, n: int) -> bool:
        """Whether this node has had a write."""
        # Looking adds no origin: their order is what batches follow, and visitors come in any.
        log = self.logs.get(origin)
        return log is not None and n in log

    def history(self, number: int) -> list[Life]:
        """Give the beginning and all lives of an origin."""
        return history(self.origins[number].incarnation, self.lives.get(number, ()))

    def top_of(self, number: int) -> int:
        """Give the highest number that is here of an origin, 0 when none is."""
        # Looking adds no origin: their order is what batches follow.
        log = self.logs.get(number)
        return 0 if log is None else log.top

    def reach(self, number: int) -> int:
        """Give up to which number the history of an origin is known, 0 when none of it is.

        Also a number that is only known to be superseded was given out.
        """
        return max(self.top_of(number), self.named.get(number, 0))

    def learn_lives(self, told: Mapping[int, Sequence[Life]], top_of: Callable[[int], int]) -> None:
        """Take in lives of origins, by number.

        Those alone in which something was written of what has come with them. One that begins
        behind all that is here may be of another branch than what fills the numbers up to it.

        Args:
            told: the lives.
            top_of: gives the highest number of an origin that has come with them.
        """
        for number, lives in told.items():
            known = set(self.history(number))
            if not known.issuperset(lives):  # nearly every batch tells of the last one alone
                reached = lived(lives, top_of(number))
                ours = self.lives.get(number, ())
                self.lives[number] = joined(self.origins[number].incarnation, ours, reached)

    def haves(self) -> Iterator[tuple[int, OriginLog]]:
        """Give every origin, by number, of which this node has a write."""
        return ((number, log) for number, log in self.logs.items() if log.base or log.beyond)

"""Who writes: an origin is a node id with an incarnation, interned to a small number.

A sibling names its origin by number, so that it is a tuple of plain values (see
`siblings.py`). Numbers are local to this process: they never reach a disk or a wire.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Origin", "Origins"]


class Origin(NamedTuple):
    """One life of one node's log.

    The incarnation is 64 random bits, drawn when a log is created: a node that was wiped or
    restored must not give out the numbers of its former life again.
    """

    node_id: str
    incarnation: int


class Origins:
    """The origins that this process has met, by number and by name."""

    __slots__ = ("_numbers", "_origins")

    def __init__(self) -> None:
        self._origins: list[Origin] = []
        self._numbers: dict[Origin, int] = {}

    def number(self, origin: Origin) -> int:
        """Give the number of an origin, a new one when it was never met."""
        number = self._numbers.get(origin)
        if number is None:
            number = self._numbers[origin] = len(self._origins)
            self._origins.append(origin)
        return number

    def known(self, origin: Origin) -> int | None:
        """Give the number of an origin, None when it was never met."""
        return self._numbers.get(origin)

    def rename(self, number: int, origin: Origin) -> int:
        """Let a number stand for another origin, and give a new number to the one it stood for.

        A number that the other origin had before goes on standing for it too.
        """
        old = self._origins[number]
        self._origins[number] = origin
        self._numbers[origin] = number
        self._numbers[old] = len(self._origins)
        self._origins.append(old)
        return self._numbers[old]

    def __getitem__(self, number: int) -> Origin:
        return self._origins[number]

    def __len__(self) -> int:
        return len(self._origins)

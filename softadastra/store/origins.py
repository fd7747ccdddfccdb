"""Who writes: an origin is a node id with an incarnation, interned to a small number.

A sibling names its origin by number, so that it is a tuple of plain values (see
`siblings.py`). Numbers are local to this process: they never reach a disk or a wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

__all__ = ["Origin", "Origins"]


ORIGINS_BYTES_MAX: Final = 1 << 19
"""A have that names all origins fits into a message, beside all else that is in a greeting."""
ORIGIN_BYTES: Final = 36
"""At least what an origin takes in a have beside its node id; so there are at most 14,500."""

Item = TypeVar("Item")


class Origin(NamedTuple):
    """One life of one node's log.

    The incarnation is 64 random bits, drawn when a log is created: a node that was wiped or
    restored must not give out the numbers of its former life again.
    """

    node_id: str
    incarnation: int


class Origins:
    """The origins that this process has met, by number and by name."""

    __slots__ = ("_numbers", "_origins", "_size_bytes")

    def __init__(self) -> None:
        self._origins: list[Origin] = []
        self._numbers: dict[Origin, int] = {}
        self._size_bytes = 0

    def copy(self) -> Origins:
        """Give an independent copy: in this one a number may stand for another origin later."""
        copied = Origins()
        copied._origins = self._origins.copy()
        copied._numbers = self._numbers.copy()
        copied._size_bytes = self._size_bytes
        return copied

    def number(self, origin: Origin) -> int:
        """Give the number of an origin, a new one when it was never met."""
        number = self._numbers.get(origin)
        if number is None:
            number = self._numbers[origin] = len(self._origins)
            self._origins.append(origin)
            self._size_bytes += size_of(origin)
        return number

    def has_room(self, origins: Iterable[Origin]) -> bool:
        """Whether the writers of a batch can be met too; a peer may invent any number of them."""
        size_bytes = self._size_bytes
        for origin in origins:
            if origin not in self._numbers:
                size_bytes += size_of(origin)
        return size_bytes <= ORIGINS_BYTES_MAX

    def numbered(self, by_origin: Mapping[Origin, Item]) -> dict[int, Item]:
        """Give what is said of origins by their numbers.

        What is merely said of writes takes half of the room, and the rest of it is left out: the
        other half is for writers whose writes come.
        """
        return {
            self.number(origin): item
            for origin, item in by_origin.items()
            if origin in self._numbers or 2 * self._size_bytes < ORIGINS_BYTES_MAX
        }

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
        self._size_bytes += size_of(origin)
        return self._numbers[old]

    def __getitem__(self, number: int) -> Origin:
        return self._origins[number]

    def __len__(self) -> int:
        return len(self._origins)


def size_of(origin: Origin) -> int:
    """Give about what an origin takes in a have."""
    return len(origin.node_id.encode()) + ORIGIN_BYTES

"""Where a reader of a node's changes is: what the node had when the last one became visible.

A position is a have, so it outlives restarts and compaction: going on from there is what the node
does for a peer that has the same. To each origin belongs the life of its last write (`lives.py`).
A log that was restored from a copy gives out numbers a second time; by its lives it is found out
that those of the position are not those that are here.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from msgpack import packb, unpackb

from softadastra.errors import InvalidArgumentError, PositionLostError
from softadastra.store.changes import OWN
from softadastra.store.dots import DotSet, contains, subtract
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.types import BEGINNING

__all__ = ["NONE_LEARNED", "Dot", "Had", "Moment", "Vector", "had_at", "position_text", "vector_of"]

FORMAT: Final = "1."
"""What the text of a position begins with, in this version of it."""

TEXT_MAX: Final = 1 << 21
"""Longer than the have of as many origins as there can be; `origins.py`."""

NONE_LEARNED: Final[Sequence[Life]] = ()

Dot: TypeAlias = tuple[Origin, int]
"""A write by its name, which stays when histories are renamed and numbers of origins change."""


class Had(NamedTuple):
    """What a node had of one origin."""

    dots: DotSet
    lives: Sequence[Life]
    """The origin's history."""
    learned: Sequence[Life]
    """What of it the origin's name does not say: as the replica holds it."""


class Vector(NamedTuple):
    """What a node had. Immutable: many changes share one."""

    had: Mapping[Origin, Had]
    me: Origin
    """The node."""


class Moment(NamedTuple):
    """A place among the changes of a node."""

    vector: Vector
    own: int | None = None
    """The number of the last own write at that moment, where the vector is of an earlier one."""
    told: Sequence[Sequence[Dot]] = ()
    """The new writes of each change that became visible at once, in the order they are told in."""
    last: int = 0
    """Which of these changes is the last one that was told."""

    @property
    def position(self) -> str:
        """The place as text."""
        return position_text(self)

    def has(self) -> dict[Origin, DotSet]:
        """Give the writes that were told by then, or that nobody needs to be told of."""
        untold: dict[Origin, DotSet] = {}
        for dots in self.told[self.last + 1 :]:
            for origin, n in dots:
                untold.setdefault(origin, DotSet()).add(n, n)
        found: dict[Origin, DotSet] = {}
        for origin, had in self.vector.had.items():
            without = untold.get(origin)
            found[origin] = had.dots.copy() if without is None else lessened(had.dots, without)
        if self.own is not None:
            found[self.vector.me] = DotSet(self.own)
        return {origin: dots for origin, dots in found.items() if dots.top}


def lessened(dots: DotSet, without: DotSet) -> DotSet:
    """Give a set without the numbers of another one."""
    left = DotSet()
    for first, last in subtract(dots.ranges(), without):
        left.add(first, last)
    return left


def vector_of(replica: Replica, before: Vector | None = None) -> Vector:
    """Give what a node has now.

    Args:
        replica: the node's data.
        before: what it had earlier; what has not changed since is taken from that.
    """
    had: dict[Origin, Had] = {}
    earlier = {} if before is None else before.had
    origins, lives = replica.origins, replica.lives
    for number, log in replica.logs.items():
        base, origin, learned = log.base, origins[number], lives.get(number, NONE_LEARNED)
        old = earlier.get(origin)
        if old is None or old.learned is not learned:
            dots = DotSet(base, log.ranges_beyond())
            had[origin] = Had(dots, replica.history(number), learned)
        elif log.beyond or old.dots.above or old.dots.base != base:
            had[origin] = Had(DotSet(base, log.ranges_beyond()), old.lives, learned)
        else:
            had[origin] = old
    return Vector(had, replica.origins[OWN])


def life_of(lives: Sequence[Life], n: int) -> int:
    """Give the id of the life that made a write."""
    return next(life.id for life in reversed(lives) if life.first <= n)


def position_text(moment: Moment) -> str:
    """Give a moment as text: ASCII letters, digits, dots, hyphens and underscores."""
    rows: list[list[object]] = []
    for origin, dots in moment.has().items():
        life = life_of(moment.vector.had[origin].lives, dots.top)
        above = [number for bounds in dots.above for number in bounds]
        rows.append([origin.node_id, origin.incarnation, life, dots.base, above])
    return FORMAT + urlsafe_b64encode(packb(rows)).decode("ascii").rstrip("=")


def had_at(replica: Replica, position: str) -> dict[Origin, DotSet]:
    """Read a position: what the reader was told of.

    Args:
        replica: what this node has.
        position: as `position_text` gave it, here or at another node; or "beginning".

    Raises:
        InvalidArgumentError: it is no position.
        PositionLostError: this node does not have all of it, or has something else in its place.
    """
    found: dict[Origin, DotSet] = {}
    for origin, life, dots in rows_of(position):
        number = replica.origins.known(origin)
        log = None if number is None else replica.logs.get(number)
        if number is None or log is None:
            raise _unknown(origin)
        if not contains(DotSet(log.base, log.ranges_beyond()), dots):
            raise _unknown(origin)
        if life_of(replica.history(number), dots.top) != life:
            raise _unknown(origin)
        found[origin] = dots
    return found


def _unknown(origin: Origin) -> PositionLostError:
    return PositionLostError(
        f"the position has writes of {origin.node_id!r} that this node does not have, or has other "
        "writes in place of, as when a log is restored from an older copy: watch from 'beginning', "
        "and keep nothing that is not told then",
        node_id=origin.node_id,
    )


def rows_of(position: str) -> list[tuple[Origin, int, DotSet]]:
    """Take the text of a position apart. Raises InvalidArgumentError."""
    if position == BEGINNING:
        return []
    wrong = f"not a position of a watch: {position!r:.80}; expected what `position` gave"
    if not isinstance(position, str) or not position.startswith(FORMAT):
        raise InvalidArgumentError(wrong)
    text = position.removeprefix(FORMAT)
    try:
        if len(text) > TEXT_MAX or not text.isascii():
            raise InvalidArgumentError(wrong)
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        match unpackb(packed):
            case list(rows):
                return [row_of(row) for row in rows]
            case _:
                raise InvalidArgumentError(wrong)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidArgumentError(wrong) from error


def row_of(row: object) -> tuple[Origin, int, DotSet]:
    """Check what a position says of one origin. Raises ValueError."""
    match row:
        case [str(node_id), int(incarnation), int(life), int(base), list(above)] if base >= 0:
            pass
        case _:
            raise ValueError(row)
    dots = DotSet(base)
    if len(above) % 2 or not all(type(number) is int for number in above):
        raise ValueError(row)
    for first, last in zip(above[::2], above[1::2], strict=True):
        if not dots.top + 1 < first <= last:
            raise ValueError(row)
        dots.add(first, last)
    if not dots.top:
        raise ValueError(row)
    return Origin(node_id, incarnation), life, dots

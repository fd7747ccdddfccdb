"""The lives of an origin: which opening of its log gave out which numbers.

A log that is opened begins a new life with its first write, and draws 64 random bits for it. The
first life of an origin is named by its incarnation. When an old copy of a log is opened, or two
copies of one, numbers are given out twice, but not by the same life: so two histories of one
origin that have *parted* are told from one that is only longer than the other.

    the origin's history     1 ... 60        61 ... 120             life 7, then life 8
    a copy of write 100      1 ... 60        61 ... 100  101 ...    life 7, life 8, then life 9

Of two branches the one that begins a life where they part gets a name of its own: an origin with
the life as its incarnation, whose numbers begin at 1 (`splitting.py`). When both begin one there,
it is that of the greater life. So every node splits off the same branch, whoever it meets first.

A node knows all lives of an origin up to its own highest write of it: they come with the writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Life", "Parting", "begun", "history", "joined", "lived", "parting", "since"]


class Life(NamedTuple):
    """Consecutive writes of an origin, up to the next life."""

    first: int
    """The number of its first write."""
    id: int
    """64 random bits; for the first life of an origin its incarnation."""


class Parting(NamedTuple):
    """Where two histories of one origin part."""

    after: int | None
    """The last number that both have; None: further back than what was told."""
    life: int
    """The life that begins behind it, in the branch that is split off; 0 when it is unknown."""
    is_ours: bool
    """Whether that is our branch."""


FURTHER_BACK = Parting(None, 0, is_ours=False)


def parting(
    ours: Sequence[Life], top: int, theirs: Sequence[Life], their_top: int
) -> Parting | None:
    """Give where two histories of one origin part; None when one continues the other.

    Args:
        ours: all of our history (`history`).
        top: our highest number.
        theirs: what the other told of its history: the latest lives, without a gap.
        their_top: its highest number.
    """
    ours = [life for life in ours if life.first <= top]
    theirs = [life for life in theirs if life.first <= their_top]
    if theirs and theirs[0].first == 1:
        theirs.insert(0, ours[0])
    common = next((life for life in reversed(theirs) if life in ours), None)
    if common is None:
        # Theirs begins with a life that is unknown here: behind all that we have, or instead of it.
        return FURTHER_BACK if theirs and theirs[0].first <= top else None
    our_next = following(ours, common)
    their_next = following(theirs, common)
    if our_next and their_next:
        if our_next.first == their_next.first:
            # The name of the origin stays with the life that it is named by.
            is_ours = (our_next.id != ours[0].id, our_next.id) > (
                their_next.id != ours[0].id,
                their_next.id,
            )
        else:
            is_ours = our_next.first < their_next.first
    elif our_next and their_top >= our_next.first:
        is_ours = True
    elif their_next and top >= their_next.first:
        is_ours = False
    else:
        return None
    first, life = (our_next if is_ours else their_next) or common
    return Parting(first - 1, life, is_ours)


def following(lives: Sequence[Life], life: Life) -> Life | None:
    """Give the life behind another one."""
    behind = lives.index(life) + 1
    return lives[behind] if behind < len(lives) else None


def begun(incarnation: int) -> list[Life]:
    """Give the history of an origin whose log was opened once.

    The beginning, at number 0, is common to all logs of an origin, also to those of which an empty
    one was copied.
    """
    return [Life(0, incarnation), Life(1, incarnation)]


def history(incarnation: int, lives: Sequence[Life]) -> list[Life]:
    """Give the whole history of an origin: the beginning, and all lives in order.

    Args:
        incarnation: of the origin.
        lives: all but the one that is named by it.
    """
    return [*begun(incarnation)[: 1 if lives and lives[0].first == 1 else 2], *lives]


def joined(incarnation: int, lives: Sequence[Life], told: Sequence[Life]) -> list[Life]:
    """Give the lives but for the one named by the incarnation, with what others told of them."""
    return sorted({*lives, *told}.difference(begun(incarnation)))


def lived(lives: Sequence[Life], top: int) -> list[Life]:
    """Give the lives without those that made no write up to `top`.

    One whose first write was lost with the power never was: the next one begins with that number.
    """
    return [life for life in lives if life.first <= top]


def since(told: Sequence[Life], above: int) -> list[Life]:
    """Give the lives that begin above a number, or the last one when none does."""
    return [life for life in told if life.first > above] or list(told[-1:])

"""Whether a peer's writes of an origin continue ours, or have parted from them.

They part when an old copy of a log is opened and written to, or two copies of one are. Then both
branches give out the same numbers. Before anything of such an origin goes between two nodes, one of
them gives its branch a name of its own (`store/lives.py`, `store/splitting.py`); until that is done
no data goes over their connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from softadastra.store.changes import OWN
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life, Parting, begun, parting, since
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.splitting import Split
from softadastra.sync.fields import LIVES_MAX
from softadastra.sync.messages import Batch, Haves, Lives, Named

__all__ = [
    "Finding",
    "begins_life",
    "examine",
    "examine_batch",
    "lives_behind",
    "lives_from",
    "lives_told",
    "named_beyond",
    "reach_told",
    "tops_of",
]

GREETED_LIVES: Final = 2
"""How many lives of each origin a greeting tells: enough unless both have begun others since."""
TOLD_LIVES_MAX: Final = LIVES_MAX
"""How many lives of an origin are told at most: more openings than a log sees between two
exchanges with a peer."""


NOTHING = DotSet()


class Finding(NamedTuple):
    """A history has parted."""

    origin: Origin
    split: Split | None
    """What this node is to do; None: the peer is to, or more has to be told first."""
    is_lost: bool
    """Whether the peer has writes of this node that this node has lost."""


def named_beyond(replica: Replica) -> Named:
    """Give the numbers that contexts name, where they are above all that is here of an origin."""
    return {
        replica.origins[number]: n
        for number, n in replica.named.items()
        if n > replica.top_of(number)
    }


def lives_told(replica: Replica) -> Lives:
    """Give the latest lives of every origin, for a greeting."""
    return {
        replica.origins[number]: replica.history(number)[-GREETED_LIVES:]
        for number, lives in replica.lives.items()
        if lives
    }


def lives_from(replica: Replica, theirs: Mapping[int, Sequence[Life]]) -> Lives:
    """Give the lives of every origin from the last one on that the peer told, too.

    Args:
        replica: what this node has.
        theirs: what the peer told, by origin number.
    """
    told: dict[Origin, Sequence[Life]] = {}
    for number, lives in replica.lives.items():
        if lives:
            ours, origin = replica.history(number), replica.origins[number]
            known = {*theirs.get(number, ()), *begun(origin.incarnation)}
            common = max(i for i, life in enumerate(ours) if life in known)
            told[origin] = ours[common:][-TOLD_LIVES_MAX:]
    return told


def lives_behind(
    replica: Replica, numbers: Mapping[int, int], known: Mapping[int, DotSet]
) -> list[tuple[int, Sequence[Life]]]:
    """Give the lives that the receiver of a batch may not know.

    Args:
        replica: what this node has.
        numbers: origin number -> its position in the batch.
        known: what the receiver has, by origin number.
    """
    return [
        (position, since(lives, known.get(number, NOTHING).base)[-TOLD_LIVES_MAX:])
        for number, position in numbers.items()
        if (lives := replica.lives.get(number))
    ]


def reach_told(have: Haves, named: Named) -> dict[Origin, int]:
    """Give how far a peer knows the history of each origin."""
    return {origin: dots.top for origin, dots in have.items()} | dict(named)


def examine(
    replica: Replica, tops: Mapping[Origin, int], lives: Lives, fresh: int
) -> Finding | None:
    """Look whether a peer's histories and ours have parted.

    Args:
        replica: what this node has.
        tops: how far the peer knows the history of each origin (`reach_told`).
        lives: what it tells of their lives.
        fresh: an incarnation for this node, should it need a new one.

    Returns:
        What is to be done first; None when no history has parted.
    """
    found = list(findings(replica, tops, lives, fresh))
    return next((finding for finding in found if finding.split), found[0] if found else None)


def findings(
    replica: Replica, tops: Mapping[Origin, int], lives: Lives, fresh: int
) -> Iterator[Finding]:
    """Give all histories that have parted."""
    here = {replica.origins[number] for number, _ in replica.haves()}
    here |= {replica.origins[number] for number, n in replica.named.items() if n}
    for origin, their_top in tops.items():
        number = replica.origins.known(origin)
        if number is None:
            continue
        top = replica.reach(number)
        told = lives.get(origin) or begun(origin.incarnation)
        parted = parting(replica.history(number), top, told, their_top) if top else None
        if parted is not None:
            yield of_parting(origin, parted, number)
        elif number == OWN and their_top > top:
            yield Finding(origin, Split(origin, top, fresh), is_lost=True)
        branches = {Origin(origin.node_id, life.id) for life in told} - {origin}
        if branches & here:
            # We know the branch by its own name, and the peer does not yet.
            yield Finding(origin, None, is_lost=False)
    for number, ours in replica.lives.items():
        origin = replica.origins[number]
        for life in ours:
            if Origin(origin.node_id, life.id) in tops:
                split = Split(origin, life.first - 1, life.id)
                yield Finding(origin, split, is_lost=False)


def of_parting(origin: Origin, parted: Parting, number: int) -> Finding:
    """Give what a parting means for this node."""
    if parted.after is None:
        return Finding(origin, None, is_lost=False)
    split = Split(origin, parted.after, parted.life) if parted.is_ours else None
    return Finding(origin, split, is_lost=number == OWN)


def examine_batch(replica: Replica, batch: Batch, tops: Sequence[int]) -> Finding | None:
    """Look whether the writes that a batch brings and names continue ours.

    Args:
        replica: what this node has.
        batch: the batch.
        tops: of it (`tops_of`).
    """
    told = dict(batch.lives)
    for position, origin in enumerate(batch.origins):
        number = replica.origins.number(origin)
        if position not in told and not replica.lives.get(number):
            continue
        lives = told.get(position) or begun(origin.incarnation)
        their_top = max(lives[-1].first, tops[position])
        parted = parting(replica.history(number), replica.reach(number), lives, their_top)
        if parted is not None:
            return of_parting(origin, parted, number)
    return None


def begins_life(replica: Replica, batch: Batch) -> bool:
    """Whether a batch brings the first writes of a life that is new here.

    What came before it and what comes after may continue the history in another way: each of
    them has to be compared with what the others have left.
    """
    for position, lives in batch.lives:
        origin = batch.origins[position]
        number = replica.origins.known(origin)
        known = begun(origin.incarnation) if number is None else replica.history(number)
        unknown = set(lives).difference(known)
        if unknown and min(unknown).first <= tops_of(batch)[position]:
            return True
    return False


def tops_of(batch: Batch) -> list[int]:
    """Give the highest number of each origin, by position, that a batch brings or names."""
    tops = [0] * len(batch.origins)
    for claim in batch.claims:
        tops[claim.origin] = max(tops[claim.origin], claim.last)
    origins, numbers, *_ = batch.columns
    for position, n in zip(origins, numbers, strict=True):
        if n > tops[position]:
            tops[position] = n
    for state in batch.states:
        for position, n in chain((s[:2] for s in state.siblings), state.context.items()):
            if n > tops[position]:
                tops[position] = n
    return tops

"""How far the clocks of nodes are apart, as the messages between them tell.

A message takes some time, and never less than none. So what the receiver's clock shows when it
comes, less what the sender's showed when it left, is at least the skew between the two; of a
message the other way it is at least the skew the other way. Between the two bounds the middle is
taken, as NTP does (RFC 5905, section 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from softadastra.tracing.causality import Delivery
from softadastra.tracing.logs import Point

__all__ = ["Skew", "skews"]

ONE_WAY_MS = 1 << 40
"""How far off a skew may be that only messages of one way tell: more than any better known one."""


STAMP_MS = 100
"""How much later than it happened an event may be stamped: when it is written, at the end of a turn
of its node, which takes a few milliseconds, and more on a machine that is busy."""


class Skew(NamedTuple):
    """How far a clock is ahead of that of the node to which all are compared."""

    ms: int
    within_ms: int | None
    """How far off that is at most; None: only messages of one way were logged, and it may be less,
    or more, by the time that they took."""


def skews(
    points: Mapping[str, Sequence[Point]], deliveries: Iterable[Delivery], reference: str
) -> dict[str, Skew]:
    """Give the skew of each node that has exchanged anything with others, by the surest way."""
    least: dict[tuple[str, str], int] = {}
    for delivery in deliveries:
        (source, sent), (target, taken) = delivery.sender, delivery.receiver
        difference = points[target][taken].ts - points[source][sent].ts
        least[source, target] = min(difference, least.get((source, target), difference))
    known: dict[str, Skew] = {}
    # What is told of clocks is no surer than the stamps.
    frontier: list[tuple[int, str, int, bool]] = [(STAMP_MS, reference, 0, True)]
    while frontier:
        doubt, node_id, ms, is_sure = heappop(frontier)
        if node_id in known:
            continue
        # A clock that may be as right as the reference's is taken for right.
        is_right = abs(ms) <= (doubt if is_sure else STAMP_MS)
        known[node_id] = Skew(0 if is_right else ms, doubt if is_sure else None)
        for source, target in least:
            if source == node_id or target == node_id:
                other = target if source == node_id else source
                step = between(least.get((node_id, other)), least.get((other, node_id)))
                within = ONE_WAY_MS if step.within_ms is None else step.within_ms
                both = is_sure and step.within_ms is not None
                heappush(frontier, (doubt + within, other, ms + step.ms, both))
    return known


def between(there: int | None, back: int | None) -> Skew:
    """Give how far another clock is ahead, by the least difference of messages there and back."""
    if there is None:
        assert back is not None
        return Skew(-back, None)
    if back is None:
        return Skew(there, None)
    # Below zero when a clock was set meanwhile.
    return Skew((there - back) // 2, abs(there + back + 1) // 2)

"""The arithmetic of the outbox: this node's own writes, by how far they have come.

There are no records per write, only cursors. With top = the last own write, floor = pruned up
to, released = may be sent up to, and k(p) = what member p confirmed without a gap:

    acknowledged   floor .. min k(p)                          none without members
    failed         then .. min k(p) over the healthy members  lacked only by faulted ones
    in flight      sent to somebody, of the rest
    queued         the rest up to released
    held           released .. top
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from softadastra.store.dots import DotSet, Range

__all__ = ["Confirmed", "Counts", "count"]


class Confirmed(NamedTuple):
    """What one member has of this node's own writes."""

    n: int
    faulted: bool


class Counts(NamedTuple):
    """How many writes stand where. Invariant: outbox is the sum of the others."""

    outbox: int
    held: int
    queued: int
    in_flight: int
    acknowledged: int
    failed: int


def count(
    *,
    top: int,
    floor: int,
    released: int,
    members: Sequence[Confirmed],
    flights: Iterable[Range],
) -> Counts:
    """Count the writes above the floor.

    Args:
        top: the number of the last own write.
        floor: own writes up to this one were pruned.
        released: own writes up to this one may be sent.
        members: what each member confirmed.
        flights: the ranges of own writes that are sent and unconfirmed, in any order.
    """
    released = max(released, floor)
    everywhere = max(floor, min((m.n for m in members), default=floor))
    everywhere = min(everywhere, released)
    healthy = min((m.n for m in members if not m.faulted), default=released if members else 0)
    healthy = min(max(everywhere, healthy), released)
    flying = DotSet(healthy)
    for first, last in flights:
        if first <= released:
            flying.add(first, min(last, released))
    in_flight = sum(last - first + 1 for first, last in flying.ranges()) - healthy
    return Counts(
        outbox=top - floor,
        held=top - released,
        queued=released - healthy - in_flight,
        in_flight=in_flight,
        acknowledged=everywhere - floor,
        failed=healthy - everywhere,
    )

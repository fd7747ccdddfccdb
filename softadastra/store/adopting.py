"""A replica again, under a new name, with no more than is known for certain of each origin.

What a log is salvaged from may have lost the records that say whose a write is, or which lives an
origin has had (`lives.py`). A node that tells of numbers whose lives it does not know makes its
peers believe that histories have parted. So of each origin there is a number up to which it is
*sure*, and nothing above it is claimed, or named in a context. A write above it that stands goes on
as a new write of this node, with the same stamp, version and value:

    before    k: (a, 1) 70         sure of (a, 1) up to 60
    after     k: (a, 9) 1          which supersedes (a, 1) up to 60

Peers that hold the write under its own number hold the same value twice for a while; the next write
of the key settles it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from softadastra.store.changes import OWN, Lost
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, State, context_of, siblings_of, simplest

__all__ = ["adopted"]

Named = dict[tuple[int, int], tuple[int, int]]


def adopted(
    replica: Replica, sure: Mapping[int, int], incarnation: int, draw: Callable[[], int]
) -> tuple[Replica, int]:
    """Make the replica of a new life from that of an old one.

    Args:
        replica: what is left; every row's key has an entry, and every sibling its row.
        sure: up to which number each origin is known, by origin number.
        incarnation: of the new life.
        draw: gives 64 random bits.

    Returns:
        The new replica, and how many writes go on under a new name.
    """
    new = Replica(replica.node_id, incarnation, replica.policies)
    numbers = {old: new.origins.number(replica.origins[old]) for old, n in sure.items() if n}
    names = _new_names(replica, sure, new, draw)

    def named(sibling: Sibling) -> Sibling:
        origin, n, *rest = sibling
        if n > sure.get(origin, 0):
            return (*names[origin, n], *rest)  # type: ignore[return-value]  # the rest of a Sibling
        return (numbers[origin], n, *rest)  # type: ignore[return-value]  # as above

    def renewed(state: State) -> State:
        context = {
            numbers[origin]: min(n, sure[origin])
            for origin, n in context_of(state).items()
            if origin in numbers
        }
        for origin, n, *_ in siblings_of(state):
            if origin in numbers and n > sure[origin]:
                # It superseded its own older ones without a word.
                context[numbers[origin]] = sure[origin]
        siblings = tuple(sorted(map(named, siblings_of(state)), key=new.rank))
        for origin, n in context.items():
            new.named[origin] = max(n, new.named.get(origin, 0))
        return simplest(siblings, context)

    new.replace((key, renewed(state)) for key, state in replica.entries.items())
    for old, number in numbers.items():
        _claim(replica, old, new, number, sure[old])
    for key, state in new.entries.items():
        for origin, n, *_ in siblings_of(state):
            new.logs[origin].add(n, key)
    stamps = (s[2] for state in new.entries.values() for s in siblings_of(state))
    new.clock = max(replica.clock, max(stamps, default=0))
    new.last_remote = replica.last_remote
    new.lost += (
        Lost(lost.key, named(lost.loser), named(lost.winner))
        for lost in replica.lost
        if all(
            s[1] <= sure.get(s[0], 0) and s[1] in new.logs[numbers[s[0]]]
            for s in (lost.loser, lost.winner)
        )
    )
    return new, len(names)


def _new_names(
    replica: Replica, sure: Mapping[int, int], new: Replica, draw: Callable[[], int]
) -> Named:
    """Give origin and number to every write that stands and cannot keep its own.

    Two of one key need two origins: of one the newer would supersede the other.
    """
    unsure: list[tuple[int, int, int, int]] = []
    for state in replica.entries.values():
        found = [s for s in siblings_of(state) if s[1] > sure.get(s[0], 0)]
        unsure += ((s[2], s[1], s[0], layer) for layer, s in enumerate(found))
    origins = [OWN]
    layers = max((layer for *_, layer in unsure), default=0)
    origins += (new.origins.number(Origin(new.node_id, draw())) for _ in range(layers))
    counts: defaultdict[int, int] = defaultdict(int)
    names: Named = {}
    for _, n, origin, layer in sorted(unsure):
        counts[layer] += 1
        names[origin, n] = (origins[layer], counts[layer])
    return names


def _claim(replica: Replica, old: int, new: Replica, number: int, sure: int) -> None:
    """Claim the writes of an origin, as far as it is sure, and tell what is known of it."""
    log = new.logs[number]
    if old in replica.logs:
        for first, last in replica.logs[old].collected.ranges():
            if first <= sure:
                log.collect(first, min(last, sure))
        for n, key in replica.logs[old].rows():
            if n <= sure and key in new.entries:
                log.add(n, key)
    new.lives[number] = [life for life in replica.lives.get(old, ()) if life.first <= sure]
    named = min(replica.named.get(old, 0), sure)
    if named:
        new.named[number] = max(named, new.named.get(number, 0))

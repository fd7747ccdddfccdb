"""One number that stands for two writes: both are kept, and every node names them alike.

It takes a process that is set back without being opened again, as with a snapshot of a running
virtual machine, or a fault of memory: of a log that is opened again the lives tell (`lives.py`).
Nodes find it out when their digests differ though they have the same numbers, and send each other
all that they hold. Each of the two becomes the first write of an origin that is named by its
content, so that every node names it alike, and superseded is what stood under the number. If one of
them kept it, a node that has the number by the other one would take it for obsolete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from xxhash import xxh3_64_intdigest

from softadastra.store.changes import Lost
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, Sibling, merge, siblings_of

__all__ = ["Holders", "holders", "undouble"]


Holders: TypeAlias = Mapping[tuple[int, int], str]
"""(origin number, n) -> the key that holds this write."""


def holders(replica: Replica) -> Holders:
    """Give which key holds which write. Costs as much as the store has keys."""
    return {(s[0], s[1]): key for key, state in replica.entries.items() for s in siblings_of(state)}


def undouble(replica: Replica, key: str, theirs: Sibling, rows: Holders) -> bool:
    """Look at a sibling whose number this node has; give whether the number stands for two writes.

    Then both get names of their own, and are new to everybody.

    Args:
        replica: what this node holds; the batch of the sibling is merged.
        key: of the sibling.
        theirs: the sibling.
        rows: where writes are whose rows are collected, as far as it is known.
    """
    origin, n, *_ = theirs
    row = replica.logs[origin].key(n)
    if row is None:
        at_key = any(s[:2] == (origin, n) for s in siblings_of(replica.entries.get(key)))
        row = key if at_key else rows.get((origin, n), key)
    ours = next((s for s in siblings_of(replica.entries.get(row)) if s[:2] == (origin, n)), None)
    if row == key and ours in (None, theirs):
        return False
    if ours is not None:
        rename(replica, row, ours)
    rename(replica, key, theirs)
    return True


def rename(replica: Replica, key: str, sibling: Sibling) -> None:
    """Let a write stand under the name of its content instead of its number."""
    number, n, stamp, version, value, flags = sibling
    origin = replica.origins[number]
    facts = f"{origin.incarnation} {n} {stamp} {version} {flags} {len(key)} {key}"
    life = xxh3_64_intdigest(facts.encode() + value)
    name = replica.origins.number(Origin(origin.node_id, life))
    state, losers = merge(
        replica.entries.get(key),
        KeyState(((name, 1, stamp, version, value, flags),), {number: n}),
        had=lambda other, m: other == name and m in replica.logs[other],
        rank=replica.rank,
        policy=replica.policies.of(key),
    )
    if state is not None:
        replica.logs[name].add(1, key)
        replica.replace([(key, state)])
        replica.lost += (Lost(key, *pair) for pair in losers if pair[0][4] != pair[1][4])

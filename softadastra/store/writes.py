"""Deciding local writes: what is asked and what is held give a record, and nothing changes.

All that waits is decided together (`Client.batch`, or the writes of several threads that
share one sync), so one record holds any number of writes, also several of one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias, cast

from softadastra.store.changes import OwnWrites, Write, Writes
from softadastra.store.clock import next_stamp
from softadastra.store.replica import Replica
from softadastra.store.siblings import TOMBSTONE, Context, KeyState, Sibling, State
from softadastra.types import PutStatus

__all__ = ["Assigned", "Assignment", "decide_writes"]

Assignment: TypeAlias = tuple[str, bytes, int]
"""One write that is asked for: the key, its packed value or TOMBSTONE, and flags."""

Assigned: TypeAlias = tuple[str, int, PutStatus, str, int]
"""What became of it, as the fields of a PutResult: made for each write, looked at for few."""


class Held(NamedTuple):
    """What a key holds, as far as a write over it needs to know."""

    value: bytes | None
    """None: several values, which any write settles."""
    origin: str
    n: int
    version: int
    stamp_min: int
    """The least stamp with which a write ranks above all that is held."""
    context: Context


U64_MAX: Final = 2**64 - 1

ABSENT = Held(TOMBSTONE, "", 0, 0, 0, {})


def held(replica: Replica, key: str) -> Held:
    """Give what a write over this key supersedes: every sibling, not only the one shown."""
    state = replica.entries.get(key)
    if state is None:
        return ABSENT
    me = replica.me
    if not isinstance(state, KeyState):
        origin, n, stamp, version, value, _ = state
        if origin == me:
            return Held(value, replica.node_id, n, version, stamp, {})
        node_id = replica.origins[origin].node_id
        return Held(value, node_id, n, version, above(stamp), {origin: n})
    siblings = state.siblings
    joined = dict(state.context)
    for origin, n, *_ in siblings:
        joined[origin] = max(n, joined.get(origin, 0))
    joined.pop(me, None)
    standing = replica.sibling(key)
    shown_value = standing[4] if standing else TOMBSTONE
    return Held(
        None if key in replica.conflicted else shown_value,
        replica.origins[standing[0]].node_id if standing else "",
        standing[1] if standing else 0,
        max(s[3] for s in siblings),
        above(max(s[2] for s in siblings)),
        joined,
    )


def above(stamp: int) -> int:
    """Give the least stamp that ranks above another node's.

    Behind the last one that 64 bits hold, which no clock gives before the year 10889, comes the
    same again: a peer that invents it gets no order, and breaks nobody's writes.
    """
    return min(stamp + 1, U64_MAX)


def lone_write(
    replica: Replica, asked: Assignment, n: int, clock: int
) -> tuple[Write, list[Assigned | None]] | None:
    """Decide one write that changes a key which nobody else has written; None for anything else."""
    key, value, flags = asked
    state = replica.entries.get(key)
    me = replica.me
    status: PutStatus
    if state is None:
        if not value:
            return None
        version, stamp, status = 1, clock, "created"
    elif isinstance(state, KeyState) or state[0] != me or state[4] == value:
        return None
    else:
        version = state[3] + 1
        stamp = max(state[2], clock)
        status = "updated" if state[4] else "created"
    if version > U64_MAX:
        return None
    write = Write(clock, key, (me, n, stamp, version, value, flags))
    return write, [(key, version, status, replica.node_id, n)]


def usual_writes(
    replica: Replica, asked: Sequence[Assignment], first: int, clock: int
) -> tuple[Writes, list[Assigned | None]] | None:
    """Decide several writes of which each is a usual one; None for anything else.

    Usual is a value for a key that no other one has, that nobody else has written, and that holds
    no value or another one. By columns, in less than half of the time.
    """
    keys, values, flags = zip(*asked, strict=True)
    if not all(values) or len(set(keys)) < len(keys):
        return None
    me = replica.me
    old = list(map(replica.entries.get, keys))
    versions: Iterable[int] = repeat(1)
    statuses: Iterable[PutStatus] = repeat("created")
    if any(old):
        for state, value in zip(old, values, strict=True):
            if state is not None and (
                isinstance(state, KeyState)
                or state[0] != me
                or state[2] >= clock
                or state[3] == U64_MAX
                or state[4] in (TOMBSTONE, value)
            ):
                return None
        plain = cast("list[Sibling | None]", old)
        versions = [1 if state is None else state[3] + 1 for state in plain]
        statuses = ["created" if state is None else "updated" for state in plain]
    numbers = range(first, first + len(keys))
    columns = (repeat(me), numbers, repeat(clock), versions, values, flags)
    states: list[State] = list(zip(*columns, strict=False))
    rows = zip(keys, versions, statuses, repeat(replica.node_id), numbers, strict=False)
    return Writes(first, clock, list(keys), states), list(rows)


def decide_writes(
    replica: Replica, asked: Sequence[Assignment], wall_ms: int
) -> tuple[OwnWrites | None, list[Assigned | None]]:
    """Decide what the asked writes do.

    A put of the value that the key holds, and a remove of an absent key, write nothing.

    Returns:
        The record, None when nothing is to be written, and per write its result, None for
        the remove of an absent key.
    """
    me = replica.me
    clock = next_stamp(replica.clock, wall_ms)
    first = n = replica.logs[me].base + 1
    if len(asked) == 1 and (write := lone_write(replica, asked[0], first, clock)) is not None:
        return write
    if len(asked) > 1 and (usual := usual_writes(replica, asked, first, clock)) is not None:
        return usual
    node_id, entries = replica.node_id, replica.entries
    keys: list[str] = []
    states: list[State] = []
    results: list[Assigned | None] = []
    # What this record itself assigns, when it assigns a key twice.
    is_repeating = len(asked) > 1 and len({a[0] for a in asked}) < len(asked)
    decided: dict[str, Held] | None = {} if is_repeating else None
    for key, value, flags in asked:
        if decided is not None and key in decided:
            old = decided[key]
        else:
            old = held(replica, key) if key in entries else ABSENT
        if old.value == value and not flags:
            row: Assigned = (key, old.version, "unchanged", old.origin, old.n)
            results.append(row if value else None)
            continue
        stamp = max(clock, old.stamp_min)
        version = min(old.version + 1, U64_MAX)
        sibling = (me, n, stamp, version, value, flags)
        keys.append(key)
        states.append(KeyState((sibling,), old.context) if old.context else sibling)
        status: PutStatus = "created" if old.value == TOMBSTONE and value else "updated"
        results.append((key, version, status, node_id, n))
        if decided is not None:
            decided[key] = Held(value, node_id, n, version, stamp, old.context)
        n += 1
    return (Writes(first, clock, keys, states) if keys else None), results

"""Deciding local writes: what is asked and what is held give a record, and nothing changes.

All that waits is decided together (`Client.batch`, or the writes of several threads that
share one sync), so one record holds any number of writes, also several of one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from softadastra.store.clock import next_stamp
from softadastra.store.replica import Replica, Writes
from softadastra.store.siblings import TOMBSTONE, Context, KeyState, State
from softadastra.types import PutStatus

__all__ = ["Assigned", "Assignment", "decide_writes"]

Assignment: TypeAlias = tuple[str, bytes, int]
"""One write that is asked for: the key, its packed value or TOMBSTONE, and flags."""

Assigned: TypeAlias = tuple[str, int, PutStatus, str, int]
"""What became of it, as the fields of a PutResult: made for each write, looked at for few."""


class Held(NamedTuple):
    """What a key holds, as far as a write over it needs to know."""

    value: bytes
    origin: str
    n: int
    version: int
    stamp_min: int
    """The least stamp with which a write ranks above all that is held."""
    context: Context


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
        return Held(value, node_id, n, version, stamp + 1, {origin: n})
    siblings = state.siblings
    joined = dict(state.context)
    for origin, n, *_ in siblings:
        joined[origin] = max(n, joined.get(origin, 0))
    joined.pop(me, None)
    shown = replica.sibling(key)
    # A key with several live siblings is changed even by the value that is shown.
    single = shown is not None and sum(1 for s in siblings if s[4]) == 1
    return Held(
        shown[4] if shown and single else TOMBSTONE,
        replica.origins[shown[0]].node_id if shown else "",
        shown[1] if shown else 0,
        max(s[3] for s in siblings),
        max(s[2] for s in siblings) + 1,
        joined,
    )


def decide_writes(
    replica: Replica, asked: Sequence[Assignment], *, wall_ms: int
) -> tuple[Writes | None, list[Assigned | None]]:
    """Decide what the asked writes do.

    A put of the value that the key holds, and a remove of an absent key, write nothing.

    Returns:
        The record, None when nothing is to be written, and per write its result, None for
        the remove of an absent key.
    """
    clock = next_stamp(replica.clock, wall_ms)
    first = n = replica.top + 1
    me, node_id, entries = replica.me, replica.node_id, replica.entries
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
        version = old.version + 1
        sibling = (me, n, stamp, version, value, flags)
        keys.append(key)
        states.append(KeyState((sibling,), old.context) if old.context else sibling)
        status: PutStatus = "updated" if old.value or not value else "created"
        results.append((key, version, status, node_id, n))
        if decided is not None:
            decided[key] = Held(value, node_id, n, version, stamp, old.context)
        n += 1
    return (Writes(first, clock, keys, states) if keys else None), results

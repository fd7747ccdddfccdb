"""Deciding local writes: what is asked and what is held give a record, and nothing changes.

All that waits is decided together (`Client.batch`, or the writes of several threads that
share one sync), so one record holds any number of writes, also several of one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from softadastra.store.clock import next_stamp
from softadastra.store.replica import Replica, Writes
from softadastra.store.siblings import TOMBSTONE, Context, KeyState
from softadastra.types import PutResult, PutStatus

__all__ = ["Assignment", "decide_writes"]


class Assignment(NamedTuple):
    """One write that is asked for: the key, and its packed value or TOMBSTONE."""

    key: str
    value: bytes


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
        origin, n, stamp, version, value = state
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
) -> tuple[Writes | None, list[PutResult | None]]:
    """Decide what the asked writes do.

    A put of the value that the key holds, and a remove of an absent key, write nothing.

    Returns:
        The record, None when nothing is to be written, and per write its result, None for
        the remove of an absent key.
    """
    clock = next_stamp(replica.clock, wall_ms)
    is_single = len(asked) == 1
    is_regular = True
    first = n = replica.top + 1
    node_id = replica.node_id
    keys: list[str] = []
    stamps: list[int] = []
    versions: list[int] = []
    values: list[bytes] = []
    contexts: dict[int, Context] = {}
    results: list[PutResult | None] = []
    decided: dict[str, Held] = {}
    for key, value in asked:
        old = (not is_single and decided.get(key)) or held(replica, key)
        if old.value == value:
            results.append(
                PutResult(key, old.version, "unchanged", old.origin, old.n) if value else None
            )
            continue
        stamp = clock
        if old.stamp_min > clock:
            stamp = old.stamp_min
            is_regular = False
        version = old.version + 1
        if old.context:
            contexts[len(keys)] = old.context
        keys.append(key)
        stamps.append(stamp)
        versions.append(version)
        values.append(value)
        status: PutStatus = "updated" if old.value or not value else "created"
        results.append(PutResult(key, version, status, node_id, n))
        if not is_single:
            decided[key] = Held(value, node_id, n, version, stamp, old.context)
        n += 1
    if not keys:
        return None, results
    return (
        Writes(first, clock, keys, None if is_regular else stamps, versions, values, contexts),
        results,
    )

"""Conflicts that settle themselves: `keep_local`, `keep_remote`, and functions that merge.

A node settles what it wrote a part of, with a write that supersedes all siblings. Two nodes
may do so at once: such writes are marked, and the total order chooses between them, the
same everywhere. Settling by a mere local choice would leave nodes different for good. What a
function made is not marked: each of two results has what the other one lacks, so they are merged
again, until nobody has anything new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from softadastra.store.policies import Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, siblings_of

__all__ = ["Unsettled", "kept_value", "unsettled"]


class Unsettled(NamedTuple):
    """A key whose conflict this node is to settle."""

    key: str
    policy: Policy
    siblings: tuple[Sibling, ...]
    """In the total order, the greatest last."""


def unsettled(replica: Replica) -> Iterator[Unsettled]:
    """Give the conflicts of data that this node wrote and whose policy needs nobody."""
    for key in replica.conflicted:
        policy = replica.policies.of(key)
        siblings = siblings_of(replica.entries[key])
        if policy is not Policy.MANUAL and any(s[0] == replica.me for s in siblings):
            yield Unsettled(key, policy, siblings)


def kept_value(conflict: Unsettled, me: int) -> bytes:
    """Give what `keep_local` or `keep_remote` keeps: a packed value, or TOMBSTONE."""
    is_local = conflict.policy is Policy.KEEP_LOCAL
    return next(s[4] for s in reversed(conflict.siblings) if (s[0] == me) == is_local)

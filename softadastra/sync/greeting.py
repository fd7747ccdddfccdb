"""Whether a greeting is accepted."""

from __future__ import annotations

from typing import NamedTuple

from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.sync.messages import Hello, RejectReason

__all__ = ["Refusal", "check_greeting"]


class Refusal(NamedTuple):
    """Why a greeting is refused, for both sides' logs."""

    reason: RejectReason
    words: str


def check_greeting(
    hello: Hello,
    *,
    cluster: str,
    me: Origin,
    policies: str,
    top: int,
    expected: str | None,
) -> Refusal | None:
    """Check a peer's greeting.

    Args:
        hello: what it said.
        cluster: ours.
        me: this node.
        policies: ours.
        top: our last write.
        expected: who was to be at the address that we dialled; None when the peer dialled.

    Returns:
        Why it is refused; None when it is accepted.
    """
    node_id = me.node_id
    if hello.cluster != cluster:
        return Refusal(
            RejectReason.DIFFERENT_CLUSTER,
            f"node {node_id!r} is in cluster {cluster!r}, {hello.node_id!r} in {hello.cluster!r}",
        )
    if hello.policies != policies:
        return Refusal(
            RejectReason.POLICY_MISMATCH,
            f"conflicts are settled by {policies!r} on {node_id!r} and by {hello.policies!r} on "
            f"{hello.node_id!r}: give both the same conflict_policy and conflict_policies",
        )
    if hello.node_id == node_id:
        return Refusal(
            RejectReason.DUPLICATE_IDENTITY,
            f"both nodes are called {node_id!r}: give each its own node_id and WAL",
        )
    if expected is not None and hello.node_id != expected:
        return Refusal(
            RejectReason.UNAUTHORIZED,
            f"node {expected!r} was expected at this address, {hello.node_id!r} answered",
        )
    theirs = hello.have.get(me, DotSet()).top
    if theirs > top:
        return Refusal(
            RejectReason.DUPLICATE_IDENTITY,
            f"{hello.node_id!r} has {theirs} writes of {node_id!r}, which itself knows of {top}: "
            "its WAL is an older copy; move it away so that the node starts anew",
        )
    return None

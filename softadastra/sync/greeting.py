"""Whether a greeting is accepted."""

from __future__ import annotations

from typing import NamedTuple

from softadastra.store.origins import Origin
from softadastra.sync.fields import REJECT_WORDS_BYTES_MAX
from softadastra.sync.messages import PROTOCOL, Hello, Reject, RejectReason

__all__ = ["Refusal", "check_greeting", "duplicate_of", "farewell"]


class Refusal(NamedTuple):
    """Why a greeting is refused, for both sides' logs."""

    reason: RejectReason
    words: str

    @property
    def told(self) -> str:
        """The words with the kind before them, as people see it of whoever was refused here."""
        return f"refused: {self.reason.name.lower()}: {self.words}"


def duplicate_of(node_id: str) -> Refusal:
    """Give the refusal of the second of two live nodes of one name."""
    return Refusal(
        RejectReason.DUPLICATE_IDENTITY,
        f"another node that is alive is called {node_id!r} too: give one of the two another "
        "node_id and an empty WAL, or stop it",
    )


def check_greeting(
    hello: Hello,
    *,
    cluster: str,
    me: Origin,
    policies: str,
    proved: str,
    expected: str | None,
) -> Refusal | None:
    """Check a peer's greeting.

    Args:
        hello: what it said.
        cluster: ours.
        me: this node.
        policies: ours.
        proved: whose key it has proved to have; empty without security.
        expected: who was to be at the address that we dialled; None when the peer dialled.

    Returns:
        Why it is refused; None when it is accepted.
    """
    node_id = me.node_id
    if proved not in ("", hello.node_id):
        return Refusal(
            RejectReason.UNAUTHORIZED,
            f"the key of {proved!r} was proved, and {hello.node_id!r} is what it says it is",
        )
    lowest, highest = hello.protocols
    if not lowest <= PROTOCOL <= highest:
        return Refusal(
            RejectReason.PROTOCOL,
            f"{hello.node_id!r} speaks protocol {lowest} to {highest}, {node_id!r} {PROTOCOL}: "
            "update the older one",
        )
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
    return None


def farewell(words: str, refusal: Refusal | None) -> Reject:
    """Give what a refused peer is told: both sides log the same reason."""
    reason = refusal.reason if refusal else RejectReason.PROTOCOL
    return Reject(reason, words.encode()[:REJECT_WORDS_BYTES_MAX].decode(errors="ignore"))

"""What somebody says who is no node of the cluster under test."""

from __future__ import annotations

from softadastra.sync.messages import PROTOCOL, Hello

__all__ = ["HELLO"]

HELLO = Hello(
    protocols=(PROTOCOL, PROTOCOL),
    features=frozenset(),
    cluster="default",
    node_id="evil",
    incarnation=666,
    nonce=666,
    wall_ms=1_700_000_000_000,
    policies="last_write_wins",
    have={},
    named={},
    lives={},
    digest=bytes(16),
    credit=8,
    neighbours=frozenset(),
    resume=None,
    number=0,
)
"""A greeting that every node takes whose options are the defaults."""

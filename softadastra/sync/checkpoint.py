"""What a checkpoint holds of the replication itself: who is known, and how far the outbox is."""

from __future__ import annotations

from softadastra.sync.engine import Engine
from softadastra.sync.records import Counted, Forgotten, Pruned, Record, Released

__all__ = ["outline"]


def outline(engine: Engine) -> list[Record]:
    """Give the records that bring back what an engine knows beside its replica and its place."""
    members = engine.members
    return [
        *(Forgotten(node_id) for node_id in sorted(members.forgotten)),
        Counted(members.forgotten_retries),
        *members,
        Pruned(engine.floor),
        Released(engine.delivery.released),
    ]

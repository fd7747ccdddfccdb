"""All that a node knows as records: its replica, whom it knows, and how far its outbox is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from softadastra.store.checkpoint import Checkpoint
from softadastra.sync.engine import Engine
from softadastra.sync.records import Counted, Forgotten, Pruned, Record, Released

__all__ = ["checkpoint"]


def checkpoint(engine: Engine) -> Iterator[Record]:
    """Give the records that bring back what an engine is at this moment, but for its place.

    They are made when they are taken, while the engine goes on. They belong into a log whose
    incarnation is that of the engine's own origin by now, and are encoded with a copy of its
    origins: a number may stand for another one later.
    """
    members = engine.members
    outline: list[Record] = [
        *(Forgotten(node_id) for node_id in sorted(members.forgotten)),
        Counted(members.forgotten_retries),
        *members,
        Pruned(engine.floor),
        Released(engine.delivery.released),
    ]
    return chain(Checkpoint(engine.replica).parts(), outline)

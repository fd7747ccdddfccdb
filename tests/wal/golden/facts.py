"""What a node holds, as JSON: it is the same before its log was closed and after it was opened."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from softadastra.store.clock import milliseconds
from softadastra.store.values import unpack_value
from softadastra.sync.engine import Engine
from softadastra.sync.members import Member
from softadastra.sync.status import conflicts, sync_state
from softadastra.types import Conflict
from tests.vectors.plain import Plain, plain_haves
from tests.vectors.values import plain_value

__all__ = ["facts_of"]

COUNTS: Final = (
    "outbox_size",
    "queued_count",
    "acknowledged_count",
    "held_count",
    "total_retries",
    "last_submitted_version",
    "last_applied_remote_version",
)
"""The counts of the outbox that do not depend on who is connected."""


def facts_of(engine: Engine) -> Plain:
    """Give what an engine holds."""
    replica, counts = engine.replica, asdict(sync_state(engine))
    return {
        "digest": replica.digest.hex(),
        "entries": {key: entry for key in sorted(replica.entries) if (entry := shown(engine, key))},
        "removed": sorted(replica.tombstones),
        "conflicts": [plain_conflict(conflict) for conflict in conflicts(replica)],
        "have": sorted(plain_haves(engine.have()), key=lambda had: list(had.values())[:2]),
        "outbox": {name: counts[name] for name in COUNTS},
        "members": sorted(map(plain_member, engine.members), key=lambda known: known["node_id"]),
        "forgotten": sorted(engine.members.forgotten),
    }


def shown(engine: Engine, key: str) -> Plain | None:
    """Give what stands for a key; None when it was removed."""
    sibling = engine.replica.sibling(key)
    if sibling is None:
        return None
    origin, n, stamp, version, packed, _ = sibling
    return {
        "value": plain_value(unpack_value(packed)),
        "version": version,
        "sync_id": f"{engine.replica.origins[origin].node_id}-{n}",
        "timestamp_ms": milliseconds(stamp),
    }


def plain_conflict(conflict: Conflict) -> dict[str, Any]:
    values = [[plain_value(found.value), found.sync_id] for found in conflict.values]
    return {"key": conflict.key, "policy": conflict.policy, "values": values}


def plain_member(member: Member) -> Plain:
    address = {"host": member.host, "port": member.port, "source": member.source.value}
    return {"node_id": member.node_id, **address, "confirmed": member.confirmed}

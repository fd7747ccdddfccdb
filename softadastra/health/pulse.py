"""All of a node's vitals that the engine knows: what is taken under the lock, and nothing more.

Its cost is that of peers and origins, whatever the store holds.
"""

from __future__ import annotations

from typing import NamedTuple

from softadastra.health.moment import Moment
from softadastra.health.standing import peer_vitals, totals
from softadastra.sync.collection import Known
from softadastra.sync.status import holders, shown_members, sync_state
from softadastra.types import SyncState, TombstoneHold
from softadastra.vitals import PeerVitals, StoreVitals, TrafficTotals

__all__ = ["Pulse", "store_vitals", "take_pulse"]


class Pulse(NamedTuple):
    """What was taken at one moment."""

    entries: int
    size_bytes: int
    digest: str
    conflicts: int
    lost: int
    tombstones: int
    holders: dict[str, Known]
    """Who holds back tombstones, with what he has: counted later, as they may be many."""
    sync: SyncState
    traffic: TrafficTotals
    peers: tuple[PeerVitals, ...]


def take_pulse(moment: Moment) -> Pulse:
    """Take what is to be shown of an engine."""
    engine, replica = moment.engine, moment.engine.replica
    traffic = engine.connections.traffic()
    return Pulse(
        entries=len(replica),
        size_bytes=replica.size_bytes,
        digest=replica.digest.hex(),
        conflicts=len(replica.conflicted),
        lost=len(replica.lost),
        tombstones=len(replica.tombstones),
        holders=holders(engine, moment.now),
        sync=sync_state(engine),
        traffic=totals(traffic.values()),
        peers=tuple(peer_vitals(moment, member, traffic) for member in shown_members(engine)),
    )


def store_vitals(pulse: Pulse, holds: list[TombstoneHold]) -> StoreVitals:
    """Give how the store is, when it is counted who holds back tombstones."""
    return StoreVitals(
        entries=pulse.entries,
        size_bytes=pulse.size_bytes,
        digest=pulse.digest,
        conflicts=pulse.conflicts,
        lost=pulse.lost,
        tombstones=pulse.tombstones,
        tombstone_holds=tuple(holds),
    )

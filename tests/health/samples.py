"""Vitals of a node that has a bit of everything."""

from __future__ import annotations

from softadastra.types import PeerSource, PeerState, SyncState, TombstoneHold
from softadastra.vitals import (
    LogVitals,
    NodeVitals,
    PeerVitals,
    StoreVitals,
    SyncBucket,
    TrafficTotals,
    Vitals,
)

NOW_MS = 1_700_000_000_000
TRAFFIC = TrafficTotals(
    bytes_in=10_000, bytes_out=20_000, batches_in=3, batches_out=4, writes_in=30, writes_out=40
)
PEER = PeerVitals(
    node_id="node-b",
    host="127.0.0.1",
    port=4042,
    state=PeerState.CONNECTED,
    source=PeerSource.MANUAL,
    since_ms=NOW_MS - 60_000,
    last_seen_ms=NOW_MS,
    lag=1_234,
    lag_ms=150_000,
    others_lag=0,
    ahead=7,
    in_flight=12,
    batches_in_flight=1,
    retries=3,
    last_error="",
    next_ms=None,
    round_trip_ms=2,
    confirmation_ms=11,
    clock_skew_ms=-4,
    relayed_by=(),
    traffic=TRAFFIC,
)
VITALS = Vitals(
    observed_ms=NOW_MS,
    elapsed_ms=5_000,
    node=NodeVitals(
        node_id="node-a",
        display_name="",
        version="1.0",
        started_at_ms=NOW_MS - 3_600_000 * 3,
        uptime_ms=3_600_000 * 3,
        is_writing=True,
        transport_port=4041,
        discovery_running=False,
    ),
    store=StoreVitals(
        entries=155_063,
        size_bytes=12_345_678,
        digest="00" * 16,
        conflicts=1,
        lost=2,
        tombstones=3,
        tombstone_holds=(TombstoneHold(peer="node-c", count=3, since_ms=NOW_MS - 7_200_000),),
    ),
    log=LogVitals(
        size_bytes=25_000_000,
        live_bytes=20_000_000,
        syncs=500,
        sync_p50_ms=0.912,
        sync_p99_ms=4.05,
        sync_max_ms=12.5,
        rewrites=0,
        rewritten_ms=None,
        rewritten_from_bytes=None,
        rewritten_to_bytes=None,
        sync_total_ms=612.5,
        sync_buckets=(
            SyncBucket(up_to_ms=0.5, count=100),
            SyncBucket(up_to_ms=1.0, count=390),
            SyncBucket(up_to_ms=25.0, count=10),
            SyncBucket(up_to_ms=None, count=0),
        ),
        free_bytes=9_000_000_000,
    ),
    sync=SyncState(
        outbox_size=115,
        queued_count=40,
        in_flight_count=30,
        acknowledged_count=20,
        failed_count=5,
        held_count=20,
        total_retries=3,
        last_submitted_version=400,
        last_applied_remote_version=7,
    ),
    traffic=TRAFFIC,
    peers=(PEER,),
)

"""How a node is at one moment, as one value: what every view of a running node shows.

It is JSON-able: `dataclasses.asdict` gives str, int, float, bool, None, lists and dicts only. What
rises for ever is a total; a rate is the difference of two of these (`Vitals.rates_since`).

Fields that came later have a default: a command may ask a node of an older version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from softadastra.types import PeerSource, PeerState, SyncState, TombstoneHold

__all__ = [
    "LogRefusal",
    "LogVitals",
    "NodeVitals",
    "PeerVitals",
    "Rates",
    "RefusalKind",
    "StoreVitals",
    "SyncBucket",
    "TrafficTotals",
    "Vitals",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVitals:
    """The node itself."""

    node_id: str
    display_name: str
    version: str
    """Of the application, as in `NodeInfo`."""
    started_at_ms: int
    """When it was opened, in milliseconds since 1970."""
    uptime_ms: int
    is_writing: bool
    """Whether it takes writes; not after a failed sync, until it is opened again."""
    transport_port: int | None
    """The port that is bound; None when the transport does not run."""
    discovery_running: bool
    has_failed: bool = False
    """Whether a bug has ended its thread: it is offline, local reads and writes go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVitals:
    """What it holds."""

    entries: int
    """Keys that have a value."""
    size_bytes: int
    """Of all keys and values: characters of keys, bytes of packed values."""
    digest: str
    """As `Client.digest`."""
    conflicts: int
    """Keys that wait to be resolved."""
    lost: int
    """Writes that lost a conflict and are still listed by `conflicts()`."""
    tombstones: int
    """Removed keys that not every peer is known to know of."""
    tombstone_holds: tuple[TombstoneHold, ...]
    """Who holds them back, since when."""


class RefusalKind(StrEnum):
    """Why the disk does not take what is written."""

    FULL = "full"
    """No room: on the disk, in the quota, or below the limit on file sizes."""
    READ_ONLY = "read_only"
    """The file system cannot be written."""
    FAILED = "failed"
    """The device failed, or anything else did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRefusal:
    """The disk refused the last append or sync of the log."""

    kind: RefusalKind
    since_ms: int
    """When the first one was refused since an append worked, in milliseconds since 1970."""
    detail: str
    """What the last one was, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBucket:
    """How many syncs took longer than the bucket before, and no longer than this one."""

    up_to_ms: float | None
    """None: the last one, for all that took longer still."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogVitals:
    """Its write-ahead log."""

    size_bytes: int
    """Up to the last frame; the file is larger by the space allocated ahead."""
    live_bytes: int
    """About what it would be if it were rewritten now."""
    syncs: int
    """Syncs of commits, since the node was opened."""
    sync_p50_ms: float | None
    """Of the last 1,024 of these: half of them took no longer. None: there were none."""
    sync_p99_ms: float | None
    sync_max_ms: float | None
    rewrites: int
    """How often it was rewritten since the node was opened."""
    rewritten_ms: int | None
    """When the last time was; None: not since then."""
    rewritten_from_bytes: int | None
    rewritten_to_bytes: int | None
    sync_total_ms: float = 0.0
    """How long all syncs of commits took together."""
    sync_buckets: tuple[SyncBucket, ...] = ()
    """All of them, by how long they took; quickest first."""
    free_bytes: int | None = None
    """What is free for this user on its file system. None: the system does not tell."""
    refusal: LogRefusal | None = None
    """None: the last append worked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTotals:
    """What went over connections since the node was opened, those of before among them.

    Bytes are those of messages, without what ZeroMQ, CURVE and TCP add.
    """

    bytes_in: int
    bytes_out: int
    batches_in: int
    """Batches and parts of snapshots that became durable here, also those that came twice."""
    batches_out: int
    """Those that left, each counted once."""
    writes_in: int
    """Writes that came and had not been here."""
    writes_out: int
    """Writes in batches that left, each batch counted once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerVitals:
    """How one peer stands with the node."""

    node_id: str
    host: str
    """Empty when its address is not known."""
    port: int
    state: PeerState
    source: PeerSource
    since_ms: int | None
    """Since when it is connected, or is not; None: it was not connected since the node opened."""
    last_seen_ms: int | None
    """When it was last heard, by this node or another; None: never."""
    lag: int
    """Own writes that it has not confirmed."""
    lag_ms: int
    """How long ago the first of these was made; 0 when there are none. One that was overwritten
    since may count as a sixteenth older than it is, or a second; one whose record the log does
    not have any more, as old as what took its place."""
    others_lag: int | None
    """Writes of other nodes that are here and that it has not said to have. None: it has not been
    heard of since the node opened."""
    ahead: int | None
    """Writes that it said to have and that are not here. None: as above."""
    in_flight: int
    """Own writes that are sent and not confirmed."""
    batches_in_flight: int
    retries: int
    """Batches that were sent again, ever."""
    last_error: str
    """Why the last connection, or attempt at one, ended; empty while it is connected."""
    next_ms: int | None
    """When it is dialled, or sent something again, if nothing happens before, in milliseconds since
    1970. None: no time is set."""
    round_trip_ms: int | None
    """How long its last answer to a ping took. It is pinged when it was silent for 2 s."""
    confirmation_ms: int | None
    """From when a batch left to its acknowledgement, of the last that was sent once: the way there
    and back, and the peer's sync."""
    clock_skew_ms: int | None
    """Its clock minus ours, at the last greeting."""
    relayed_by: tuple[str, ...]
    """Connected peers that are connected to it, when this node is not."""
    traffic: TrafficTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast totals rose between two moments, per second."""

    writes_made: float
    """Own writes."""
    syncs: float
    """Of the log."""
    bytes_in: float
    bytes_out: float
    batches_in: float
    batches_out: float
    writes_in: float
    writes_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a node is at one moment."""

    observed_ms: int
    """The wall clock, in milliseconds since 1970."""
    elapsed_ms: int
    """A clock that is never set; only the difference of two readings says anything."""
    node: NodeVitals
    store: StoreVitals
    log: LogVitals | None
    """None: nothing is kept on disk."""
    sync: SyncState
    traffic: TrafficTotals
    peers: tuple[PeerVitals, ...]
    """By name."""

    def rates_since(self, before: Vitals) -> Rates:
        """Give how fast the node's totals rose since an earlier look at the same node.

        What fell counts as 0: the node was opened again meanwhile, or has a new incarnation.
        """
        seconds = (self.elapsed_ms - before.elapsed_ms) / 1000

        def rate(total: int, total_before: int) -> float:
            return max(0, total - total_before) / seconds if seconds > 0 else 0.0

        now, then = self.traffic, before.traffic
        made = (self.sync.last_submitted_version, before.sync.last_submitted_version)
        return Rates(
            writes_made=rate(*made),
            syncs=rate(self.log.syncs if self.log else 0, before.log.syncs if before.log else 0),
            bytes_in=rate(now.bytes_in, then.bytes_in),
            bytes_out=rate(now.bytes_out, then.bytes_out),
            batches_in=rate(now.batches_in, then.batches_in),
            batches_out=rate(now.batches_out, then.batches_out),
            writes_in=rate(now.writes_in, then.writes_in),
            writes_out=rate(now.writes_out, then.writes_out),
        )

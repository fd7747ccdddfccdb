"""What of the vitals is a metric: its name, its kind, its help, and where it is read.

- Names are `softadastra_`, then what it is, then its unit: seconds or bytes, or what is counted. A
  counter ends in `_total` (Prometheus: "Metric and label naming").
- Every sample has the label `node_id`, since one text file may be about several nodes. The only
  labels beside it are `peer`, of which there are 256 at most (`sync/settings.py`), and those whose
  values are fixed here. A key, an address or the text of an error is never a label.
- What is not known is left out. It is not 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from softadastra.explanation import Readiness
from softadastra.health.readiness import FAULTS
from softadastra.types import PeerState
from softadastra.vitals import LogVitals, PeerVitals, TrafficTotals, Vitals

__all__ = ["METRICS", "Kind", "Look", "Metric", "Sample"]

Number: TypeAlias = int | float


class Kind(StrEnum):
    """What may be made of a metric; the names are those of the text format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Look(NamedTuple):
    """What metrics are read from."""

    readiness: Readiness
    vitals: Vitals | None
    """None: the node does not run."""


class Sample(NamedTuple):
    """One number of a metric."""

    value: Number
    labels: tuple[tuple[str, str], ...] = ()
    """Beside `node_id`."""
    suffix: str = ""
    """Behind the metric's name, in a histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of a node."""

    name: str
    kind: Kind
    help: str
    samples: Callable[[Look], Iterable[Sample]]


def node_metric(
    name: str, kind: Kind, words: str, read: Callable[[Vitals], Number | None]
) -> Metric:
    """Make a metric with one number for an open node."""

    def samples(look: Look) -> Iterator[Sample]:
        value = None if look.vitals is None else read(look.vitals)
        if value is not None:
            yield Sample(value)

    return Metric(name=name, kind=kind, help=words, samples=samples)


def log_metric(
    name: str, kind: Kind, words: str, read: Callable[[LogVitals], Number | None]
) -> Metric:
    """Make a metric with one number for a node that has a log."""
    return node_metric(
        name, kind, words, lambda vitals: None if vitals.log is None else read(vitals.log)
    )


def peer_metric(
    name: str, kind: Kind, words: str, read: Callable[[PeerVitals], Number | None]
) -> Metric:
    """Make a metric with a number for each peer of which it is known."""

    def samples(look: Look) -> Iterator[Sample]:
        for peer in () if look.vitals is None else look.vitals.peers:
            value = read(peer)
            if value is not None:
                yield Sample(value, (("peer", peer.node_id),))

    return Metric(name=name, kind=kind, help=words, samples=samples)


TRAFFIC: Final[tuple[tuple[str, str, Callable[[TrafficTotals], int]], ...]] = (
    ("received_bytes", "Bytes of messages that came", lambda traffic: traffic.bytes_in),
    ("sent_bytes", "Bytes of messages that left", lambda traffic: traffic.bytes_out),
    ("received_batches", "Batches that became durable here", lambda traffic: traffic.batches_in),
    ("sent_batches", "Batches that left, each counted once", lambda traffic: traffic.batches_out),
    (
        "received_writes",
        "Writes that came and had not been here",
        lambda traffic: traffic.writes_in,
    ),
    ("sent_writes", "Writes in batches that left", lambda traffic: traffic.writes_out),
)
"""What goes over connections: of all together, and of each peer."""


def node_traffic(name: str, words: str, read: Callable[[TrafficTotals], int]) -> Metric:
    """Make a metric of what goes over all connections."""
    full_name = f"softadastra_{name}_total"
    return node_metric(full_name, Kind.COUNTER, f"{words}.", lambda vitals: read(vitals.traffic))


def peer_traffic(name: str, words: str, read: Callable[[TrafficTotals], int]) -> Metric:
    """Make a metric of what goes over the connections with each peer."""
    full_name = f"softadastra_peer_{name}_total"
    return peer_metric(
        full_name, Kind.COUNTER, f"{words}, by peer.", lambda peer: read(peer.traffic)
    )


def seconds(milliseconds: float | None) -> float | None:
    """Give a time in the base unit."""
    return None if milliseconds is None else milliseconds / 1000


def is_up(look: Look) -> Iterator[Sample]:
    """Tell whether the node runs."""
    yield Sample(int(look.vitals is not None))


def is_ready(look: Look) -> Iterator[Sample]:
    """Tell whether the node is in order."""
    yield Sample(int(look.readiness.ok))


def faults(look: Look) -> Iterator[Sample]:
    """Tell of each fault that there is whether the node has it."""
    found = {finding.cause for finding in look.readiness.findings}
    for cause in FAULTS:
        yield Sample(int(cause in found), (("cause", cause.value),))


def names(look: Look) -> Iterator[Sample]:
    """Tell what the node is called."""
    if look.vitals is not None:
        node = look.vitals.node
        yield Sample(1, (("display_name", node.display_name), ("version", node.version)))


def outbox(look: Look) -> Iterator[Sample]:
    """Count own writes by how far they have come."""
    if look.vitals is None:
        return
    sync = look.vitals.sync
    counts = {
        "held": sync.held_count,
        "queued": sync.queued_count,
        "in_flight": sync.in_flight_count,
        "acknowledged": sync.acknowledged_count,
        "failed": sync.failed_count,
    }
    for state, count in counts.items():
        yield Sample(count, (("state", state),))


def tombstones_held(look: Look) -> Iterator[Sample]:
    """Count the tombstones that each peer holds back."""
    for hold in () if look.vitals is None else look.vitals.store.tombstone_holds:
        yield Sample(hold.count, (("peer", hold.peer),))


def syncs(look: Look) -> Iterator[Sample]:
    """Count syncs by how long they took; each bucket has those of the ones before it too."""
    log = look.vitals.log if look.vitals is not None else None
    if log is None or not log.sync_buckets:
        return
    count = 0
    for bucket in log.sync_buckets:
        count += bucket.count
        bound = "+Inf" if bucket.up_to_ms is None else repr(bucket.up_to_ms / 1000)
        yield Sample(count, (("le", bound),), "_bucket")
    yield Sample(log.sync_total_ms / 1000, suffix="_sum")
    # Not `log.syncs`, which may have risen between two looks: a histogram agrees with itself.
    yield Sample(count, suffix="_count")


def peer_states(look: Look) -> Iterator[Sample]:
    """Tell of each peer and each state whether it is in it."""
    for peer in () if look.vitals is None else look.vitals.peers:
        for state in PeerState:
            yield Sample(int(peer.state is state), (("peer", peer.node_id), ("state", state.value)))


OF_THE_NODE: Final = (
    Metric(
        name="softadastra_up",
        kind=Kind.GAUGE,
        help="Whether the node runs.",
        samples=is_up,
    ),
    Metric(
        name="softadastra_ready",
        kind=Kind.GAUGE,
        help="Whether nothing is wrong with the node; peers that are away are not wrong.",
        samples=is_ready,
    ),
    Metric(
        name="softadastra_fault",
        kind=Kind.GAUGE,
        help="Whether this is wrong with the node.",
        samples=faults,
    ),
    Metric(
        name="softadastra_node_info",
        kind=Kind.GAUGE,
        help="Always 1; what the node is called, and the version of its application.",
        samples=names,
    ),
    node_metric(
        "softadastra_start_time_seconds",
        Kind.GAUGE,
        "When the node was opened, since 1970.",
        lambda vitals: vitals.node.started_at_ms / 1000,
    ),
    node_metric(
        "softadastra_transport_running",
        Kind.GAUGE,
        "Whether the node listens for peers.",
        lambda vitals: int(vitals.node.transport_port is not None),
    ),
    node_metric(
        "softadastra_discovery_running",
        Kind.GAUGE,
        "Whether the node looks for peers.",
        lambda vitals: int(vitals.node.discovery_running),
    ),
)

OF_THE_STORE: Final = (
    node_metric(
        "softadastra_store_entries",
        Kind.GAUGE,
        "Keys that have a value.",
        lambda vitals: vitals.store.entries,
    ),
    node_metric(
        "softadastra_store_size_bytes",
        Kind.GAUGE,
        "All keys and values: characters of keys, bytes of packed values.",
        lambda vitals: vitals.store.size_bytes,
    ),
    node_metric(
        "softadastra_store_conflicts",
        Kind.GAUGE,
        "Keys that wait to be resolved.",
        lambda vitals: vitals.store.conflicts,
    ),
    node_metric(
        "softadastra_store_lost_writes",
        Kind.GAUGE,
        "Writes that lost a conflict and are still listed.",
        lambda vitals: vitals.store.lost,
    ),
    node_metric(
        "softadastra_store_tombstones",
        Kind.GAUGE,
        "Removed keys that not every peer is known to know of.",
        lambda vitals: vitals.store.tombstones,
    ),
    Metric(
        name="softadastra_store_tombstones_held",
        kind=Kind.GAUGE,
        help="Removed keys that are kept for a peer.",
        samples=tombstones_held,
    ),
)

OF_THE_LOG: Final = (
    log_metric(
        "softadastra_log_size_bytes",
        Kind.GAUGE,
        "The log, up to its last frame.",
        lambda log: log.size_bytes,
    ),
    log_metric(
        "softadastra_log_live_bytes",
        Kind.GAUGE,
        "About what the log would be if it were rewritten now.",
        lambda log: log.live_bytes,
    ),
    log_metric(
        "softadastra_log_free_bytes",
        Kind.GAUGE,
        "What is free for the node on the file system of its log.",
        lambda log: log.free_bytes,
    ),
    Metric(
        name="softadastra_log_sync_seconds",
        kind=Kind.HISTOGRAM,
        help="How long syncs of commits took.",
        samples=syncs,
    ),
    log_metric(
        "softadastra_log_rewrites_total",
        Kind.COUNTER,
        "How often the log was rewritten.",
        lambda log: log.rewrites,
    ),
    log_metric(
        "softadastra_log_rewrite_timestamp_seconds",
        Kind.GAUGE,
        "When the log was last rewritten, since 1970.",
        lambda log: seconds(log.rewritten_ms),
    ),
)

OF_SYNC: Final = (
    Metric(
        name="softadastra_outbox_writes",
        kind=Kind.GAUGE,
        help="Own writes, by how far they have come.",
        samples=outbox,
    ),
    node_metric(
        "softadastra_writes_total",
        Kind.COUNTER,
        "Own writes, since the node was made.",
        lambda vitals: vitals.sync.last_submitted_version,
    ),
    node_metric(
        "softadastra_retried_batches_total",
        Kind.COUNTER,
        "Batches that were sent again.",
        lambda vitals: vitals.sync.total_retries,
    ),
    *(node_traffic(*each) for each in TRAFFIC),
)

OF_PEERS: Final = (
    Metric(
        name="softadastra_peer_state",
        kind=Kind.GAUGE,
        help="Whether a peer is in this state.",
        samples=peer_states,
    ),
    peer_metric(
        "softadastra_peer_last_seen_timestamp_seconds",
        Kind.GAUGE,
        "When the peer was last heard, by this node or another, since 1970.",
        lambda peer: seconds(peer.last_seen_ms),
    ),
    peer_metric(
        "softadastra_peer_lag_writes",
        Kind.GAUGE,
        "Own writes that the peer has not confirmed.",
        lambda peer: peer.lag,
    ),
    peer_metric(
        "softadastra_peer_lag_seconds",
        Kind.GAUGE,
        "How long ago the first of these was made.",
        lambda peer: seconds(peer.lag_ms),
    ),
    peer_metric(
        "softadastra_peer_others_lag_writes",
        Kind.GAUGE,
        "Writes of other nodes that are here and that the peer has not said to have.",
        lambda peer: peer.others_lag,
    ),
    peer_metric(
        "softadastra_peer_ahead_writes",
        Kind.GAUGE,
        "Writes that the peer said to have and that are not here.",
        lambda peer: peer.ahead,
    ),
    peer_metric(
        "softadastra_peer_in_flight_writes",
        Kind.GAUGE,
        "Own writes that are sent to the peer and not confirmed.",
        lambda peer: peer.in_flight,
    ),
    peer_metric(
        "softadastra_peer_in_flight_batches",
        Kind.GAUGE,
        "Batches that are sent to the peer and not acknowledged.",
        lambda peer: peer.batches_in_flight,
    ),
    peer_metric(
        "softadastra_peer_retried_batches_total",
        Kind.COUNTER,
        "Batches that were sent to the peer again.",
        lambda peer: peer.retries,
    ),
    peer_metric(
        "softadastra_peer_round_trip_seconds",
        Kind.GAUGE,
        "How long the peer's last answer to a ping took.",
        lambda peer: seconds(peer.round_trip_ms),
    ),
    peer_metric(
        "softadastra_peer_confirmation_seconds",
        Kind.GAUGE,
        "From when a batch left to its acknowledgement, of the last that was sent once.",
        lambda peer: seconds(peer.confirmation_ms),
    ),
    peer_metric(
        "softadastra_peer_clock_skew_seconds",
        Kind.GAUGE,
        "The peer's clock minus this one's, at the last greeting.",
        lambda peer: seconds(peer.clock_skew_ms),
    ),
    *(peer_traffic(*each) for each in TRAFFIC),
)

METRICS: Final[tuple[Metric, ...]] = (
    *OF_THE_NODE,
    *OF_THE_STORE,
    *OF_THE_LOG,
    *OF_SYNC,
    *OF_PEERS,
)
"""All metrics, in the order in which they are written."""

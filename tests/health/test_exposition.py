"""What Prometheus reads of a node, as Prometheus's own parser reads it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from softadastra import Client, ClientOptions, exposition
from softadastra.findings import Cause
from softadastra.health.exposition import exposition_of_stopped
from softadastra.health.metrics import METRICS, Kind
from softadastra.health.readiness import FAULTS
from softadastra.types import PeerState
from softadastra.vitals import LogRefusal, RefusalKind, SyncBucket, Vitals

from .samples import NOW_MS, PEER, VITALS

NODE = {"node_id": "node-a"}


def families(text: str) -> dict[str, Family]:
    """Read a text; a counter stands under its full name, which the parser takes apart."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name not in found, f"{name} is told in two places"
        found[name] = family
    return found


def value(vitals: Vitals, name: str, **labels: str) -> float:
    (found,) = [
        sample.value
        for family in families(exposition(vitals)).values()
        for sample in family.samples
        if sample.name == name and sample.labels == {**NODE, **labels}
    ]
    return float(found)


def test_a_parser_of_prometheus_finds_every_metric_with_its_kind_and_help():
    assert VITALS.log is not None
    rewritten = replace(VITALS, log=replace(VITALS.log, rewritten_ms=NOW_MS))
    found = families(exposition(rewritten))

    assert {name: (each.type, each.documentation) for name, each in found.items()} == {
        metric.name: (metric.kind.value, metric.help) for metric in METRICS
    }


def test_no_number_is_told_twice():
    told = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in families(exposition(VITALS)).values()
        for sample in family.samples
    ]

    assert [key for key, count in Counter(told).items() if count > 1] == []


def test_numbers_are_those_of_the_vitals_in_seconds_and_bytes():
    assert value(VITALS, "softadastra_up") == 1
    assert value(VITALS, "softadastra_ready") == 1
    assert value(VITALS, "softadastra_start_time_seconds") == (NOW_MS - 3 * 3_600_000) / 1000
    assert value(VITALS, "softadastra_store_entries") == 155_063
    assert value(VITALS, "softadastra_log_size_bytes") == 25_000_000
    assert value(VITALS, "softadastra_log_free_bytes") == 9_000_000_000
    assert value(VITALS, "softadastra_outbox_writes", state="queued") == 40
    assert value(VITALS, "softadastra_writes_total") == 400
    assert value(VITALS, "softadastra_received_bytes_total") == 10_000
    assert value(VITALS, "softadastra_peer_sent_writes_total", peer="node-b") == 40
    assert value(VITALS, "softadastra_peer_lag_writes", peer="node-b") == 1_234
    assert value(VITALS, "softadastra_peer_lag_seconds", peer="node-b") == 150
    assert value(VITALS, "softadastra_peer_clock_skew_seconds", peer="node-b") == -0.004
    assert value(VITALS, "softadastra_store_tombstones_held", peer="node-c") == 3


def test_each_number_of_traffic_has_its_own_name():
    traffic = dataclasses.replace(
        VITALS.traffic,
        bytes_in=1, bytes_out=2, batches_in=3, batches_out=4, writes_in=5, writes_out=6,
    )  # fmt: skip
    peer = replace(PEER, traffic=traffic)
    names = ("received_bytes", "sent_bytes", "received_batches", "sent_batches",
             "received_writes", "sent_writes")  # fmt: skip

    for number, name in enumerate(names, start=1):
        found = replace(VITALS, traffic=traffic, peers=(peer,))
        assert value(found, f"softadastra_{name}_total") == number
        assert value(found, f"softadastra_peer_{name}_total", peer="node-b") == number


def test_the_outbox_is_the_sum_of_its_states():
    family = families(exposition(VITALS))["softadastra_outbox_writes"]

    assert sum(sample.value for sample in family.samples) == VITALS.sync.outbox_size


def test_a_sync_counts_in_every_bucket_that_it_fits_in():
    bucket = "softadastra_log_sync_seconds_bucket"

    assert value(VITALS, bucket, le="0.0005") == 100
    assert value(VITALS, bucket, le="0.001") == 490
    assert value(VITALS, bucket, le="0.025") == 500
    assert value(VITALS, bucket, le="+Inf") == 500
    assert value(VITALS, "softadastra_log_sync_seconds_count") == 500
    assert value(VITALS, "softadastra_log_sync_seconds_sum") == 0.6125


def test_what_is_not_known_is_left_out_and_not_told_as_0():
    unheard = replace(
        PEER, others_lag=None, ahead=None, round_trip_ms=None, clock_skew_ms=None, lag=0
    )
    names = families(exposition(replace(VITALS, peers=(unheard,)))).keys()

    assert "softadastra_peer_ahead_writes" not in names
    assert "softadastra_peer_round_trip_seconds" not in names
    assert "softadastra_log_rewrite_timestamp_seconds" not in names
    assert "softadastra_peer_lag_writes" in names


def test_a_node_in_memory_has_no_metrics_of_a_log():
    names = families(exposition(replace(VITALS, log=None))).keys()

    assert [name for name in names if name.startswith("softadastra_log")] == []


def test_a_peer_is_in_one_state_and_not_in_the_others():
    stale = replace(VITALS, peers=(replace(PEER, state=PeerState.STALE),))
    found = {
        state: value(stale, "softadastra_peer_state", peer="node-b", state=state)
        for state in PeerState
    }

    assert [state for state, is_in in found.items() if is_in] == [PeerState.STALE]


def test_what_is_wrong_has_a_number_for_each_cause():
    assert VITALS.log is not None
    refusal = LogRefusal(kind=RefusalKind.FULL, since_ms=NOW_MS, detail="no space left")
    full = replace(VITALS, log=replace(VITALS.log, refusal=refusal))
    found = {cause: value(full, "softadastra_fault", cause=cause) for cause in FAULTS}

    assert value(full, "softadastra_ready") == 0
    assert [cause for cause, is_wrong in found.items() if is_wrong] == [Cause.DISK_FULL]


def test_a_node_that_does_not_run_says_that_alone():
    found = families(exposition_of_stopped("node-a", NOW_MS))

    assert list(found) == ["softadastra_up", "softadastra_ready", "softadastra_fault"]
    assert [sample.value for sample in found["softadastra_up"].samples] == [0]
    assert [sample.value for sample in found["softadastra_ready"].samples] == [0]


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "two\nlines", "\\n", "é 日本", '"} 1\n# x'])
def test_no_name_of_a_node_or_peer_breaks_the_text(name: str):
    node = replace(VITALS.node, node_id=name, display_name=name)
    peers = (replace(PEER, node_id=name),)
    found = families(exposition(replace(VITALS, node=node, peers=peers)))

    (lag,) = found["softadastra_peer_lag_writes"].samples
    assert lag.labels == {"node_id": name, "peer": name}
    (info,) = found["softadastra_node_info"].samples
    assert info.labels["display_name"] == name


def test_labels_are_of_few_values_and_none_is_a_key_or_an_address():
    labels = {
        label
        for family in families(exposition(VITALS)).values()
        for sample in family.samples
        for label in sample.labels
    }

    assert labels == {"node_id", "peer", "state", "cause", "le", "display_name", "version"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_rules_of_prometheus(metric):
    assert re.fullmatch(r"softadastra_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not re.search(r"_(ms|milliseconds|kb|mb|count|sum|bucket)$", metric.name)
    assert metric.help.endswith(".")


def test_the_text_of_an_open_node_is_read_too(tmp_path):
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal").with_local_transport()
    with Client(options) as client:
        client.start_transport()
        for n in range(7):
            client.put(f"key/{n}", n)
        vitals = client.vitals()

    assert value(vitals, "softadastra_store_entries") == 7
    assert value(vitals, "softadastra_log_sync_seconds_count") == 7
    assert value(vitals, "softadastra_log_sync_seconds_sum") > 0
    assert value(vitals, "softadastra_log_free_bytes") > 0
    assert value(vitals, "softadastra_transport_running") == 1
    assert "key/" not in exposition(vitals)


def test_the_buckets_of_a_histogram_are_those_of_the_vitals():
    assert VITALS.log is not None
    buckets = (SyncBucket(up_to_ms=2.5, count=1), SyncBucket(up_to_ms=None, count=2))
    found = replace(VITALS, log=replace(VITALS.log, sync_buckets=buckets, syncs=4))

    assert value(found, "softadastra_log_sync_seconds_bucket", le="0.0025") == 1
    assert value(found, "softadastra_log_sync_seconds_count") == 3


NOT_TOLD = {
    "elapsed_ms": "rates are made by Prometheus",
    "node.uptime_ms": "softadastra_start_time_seconds",
    "store.digest": "no number; nodes compare it themselves",
    "log.syncs": "softadastra_log_sync_seconds_count",
    "log.sync_p50_ms": "softadastra_log_sync_seconds, over any time",
    "log.sync_p99_ms": "softadastra_log_sync_seconds, over any time",
    "log.sync_max_ms": "softadastra_log_sync_seconds, over any time",
    "log.rewritten_from_bytes": "of no use over time",
    "log.rewritten_to_bytes": "of no use over time",
    "store.tombstone_holds.since_ms": "of use to people alone",
    "sync.per_peer": "the metrics of peers",
    "sync.last_applied_remote_version": "a number at whichever origin was last",
    "sync.outbox_size": "the sum of softadastra_outbox_writes",
    "peers.host": "an address is no label",
    "peers.port": "an address is no label",
    "peers.source": "does not change how it is",
    "peers.since_ms": "changes(softadastra_peer_state)",
    "peers.last_error": "a text is no label",
    "peers.next_ms": "softadastra sync explain",
    "peers.relayed_by": "two names in a label are too many",
}
"""Fields of the vitals that are no metric, each with the reason or with what stands for it."""


class Watched:
    """Stands for a dataclass, and notes which of its fields are read."""

    def __init__(self, of: object, path: str, read: set[str]) -> None:
        self._of, self._path, self._read = of, path, read

    def __getattr__(self, name: str) -> object:
        path = f"{self._path}.{name}".lstrip(".")
        found = getattr(self._of, name)
        if name in ("peers", "tombstone_holds"):
            return [Watched(each, path, self._read) for each in found]
        if dataclasses.is_dataclass(found) and not isinstance(found, LogRefusal):
            return Watched(found, path, self._read)
        self._read.add(path)
        return found


def paths(of: object, prefix: str = "") -> set[str]:
    found = set()
    for field in dataclasses.fields(of):  # type: ignore[arg-type]
        path, inner = f"{prefix}{field.name}", getattr(of, field.name)
        if isinstance(inner, tuple) and inner and path in ("peers", "store.tombstone_holds"):
            inner = inner[0]
        if dataclasses.is_dataclass(inner):
            found |= paths(inner, f"{path}.")
        else:
            found.add(path)
    return found


def test_every_field_of_the_vitals_is_a_metric_or_says_why_not():
    read: set[str] = set()
    exposition(Watched(VITALS, "", read))  # type: ignore[arg-type]

    assert paths(VITALS) - read == NOT_TOLD.keys()

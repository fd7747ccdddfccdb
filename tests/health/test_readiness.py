"""What makes a node not ready, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from softadastra.findings import Cause
from softadastra.health.readiness import FAULTS, readiness, stopped
from softadastra.types import PeerState
from softadastra.vitals import LogRefusal, RefusalKind, Vitals

from .samples import NOW_MS, PEER, VITALS


def causes(vitals: Vitals) -> list[Cause]:
    return [finding.cause for finding in readiness(vitals).findings]


def refusing(kind: RefusalKind) -> Vitals:
    refusal = LogRefusal(kind=kind, since_ms=NOW_MS - 5_000, detail="cannot write till.wal: no")
    assert VITALS.log is not None
    return replace(VITALS, log=replace(VITALS.log, refusal=refusal))


def test_a_node_with_conflicts_lags_and_tombstones_is_ready():
    found = readiness(VITALS)

    assert found.ok
    assert (found.sentences, found.advice) == ([], [])


@pytest.mark.parametrize("state", PeerState)
def test_a_node_whose_only_peer_is_away_is_ready(state):
    away = replace(PEER, state=state, lag=10**9, lag_ms=10**10, last_error="connection refused")

    assert readiness(replace(VITALS, peers=(away,))).ok


def test_a_node_without_peers_transport_or_log_is_ready():
    offline = replace(VITALS.node, transport_port=None)

    assert readiness(replace(VITALS, node=offline, peers=(), log=None)).ok


@pytest.mark.parametrize(
    ("kind", "cause", "what_to_do"),
    [
        (RefusalKind.FULL, Cause.DISK_FULL, "Free space"),
        (RefusalKind.READ_ONLY, Cause.READ_ONLY, "Make the file system of the log writable"),
        (RefusalKind.FAILED, Cause.LOG_REFUSED, "See what the disk says"),
    ],
)
def test_a_node_whose_disk_refuses_is_not_ready_and_says_why(kind, cause, what_to_do):
    found = readiness(refusing(kind))

    assert not found.ok
    assert [finding.cause for finding in found.findings] == [cause]
    assert found.sentences[0].endswith("5 s ago (2023-11-14 22:13:15Z): cannot write till.wal: no.")
    assert found.advice[0].startswith(what_to_do)


def test_a_node_that_writes_no_more_says_so_first():
    refused = refusing(RefusalKind.READ_ONLY)
    poisoned = replace(refused, node=replace(refused.node, is_writing=False))

    assert causes(poisoned) == [Cause.NOT_WRITING, Cause.READ_ONLY]


def test_a_node_whose_thread_a_bug_has_ended_is_not_ready():
    assert causes(replace(VITALS, node=replace(VITALS.node, has_failed=True))) == [
        Cause.REACTOR_FAILED
    ]


def test_a_node_that_does_not_run_is_not_ready():
    found = stopped(NOW_MS)

    assert not found.ok
    assert found.sentences == ["This node does not run."]


def test_all_that_can_be_found_is_listed_once():
    found = {cause for kind in RefusalKind for cause in causes(refusing(kind))}
    failed = replace(VITALS.node, has_failed=True, is_writing=False)
    found |= {Cause.STOPPED, *causes(replace(VITALS, node=failed))}

    assert found == set(FAULTS)
    assert len(FAULTS) == len(found)

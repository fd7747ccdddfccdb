"""In a full mesh each write goes to each node about once, also where nodes have no time."""

from __future__ import annotations

import pytest

from .busy import BusyCluster

LATER_MS = 8_000
"""Longer than anybody waits here for another one."""
BATCH_WRITES = 10


def copies_in(cluster: BusyCluster, batches: int) -> float:
    """Let all nodes write; give how often each write was sent to each other node."""
    writes = cluster.write_all(batches, BATCH_WRITES)
    cluster.schedule.run(LATER_MS)
    return cluster.crossings / writes / (len(cluster.nodes) - 1)


@pytest.mark.parametrize("count", [8, 32])
def test_who_has_just_met_all_others_sends_each_write_about_once(count):
    """Nobody has told yet who its neighbours are, and each would bring it to each."""
    cluster = BusyCluster(count, 1, turn_ms=1, message_ms=0.2)
    cluster.meet()

    assert 1 <= copies_in(cluster, batches=10) <= 1.3


@pytest.mark.parametrize(
    ("count", "batches", "turn_ms", "message_ms"), [(8, 40, 50, 12), (32, 10, 6, 1.5)]
)
def test_who_is_too_busy_to_tell_within_a_second_what_it_has_is_not_made_busier(
    count, batches, turn_ms, message_ms
):
    cluster = BusyCluster(count, 1, turn_ms=turn_ms, message_ms=message_ms)
    cluster.meet()
    cluster.schedule.run(20_000)

    assert 1 <= copies_in(cluster, batches) <= 1.3

"""Real processes, killed with -9 and started again: nothing that was answered is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from softadastra.errors import InvalidStateError, TransportError
from softadastra.testing import LocalCluster, LocalNode, wait_until
from softadastra.testing.history import Outcome, WriteHistory
from softadastra.types import PutResult

DEADLINE_SECONDS = 30.0
BATCH_WRITES = 20


def numbered(start: int, count: int = 2_000) -> list[tuple[str, str]]:
    return [(f"key/{n}", f"value {n}") for n in range(start, start + count)]


def kill_while_writing(
    history: WriteHistory, node: LocalNode, pairs: list[tuple[str, str]], *, answered: int
) -> None:
    """Kill a node when it has answered so many more writes, in the middle of `put_many`."""
    goal = history.accepted_count + answered
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(node.put_many, pairs, batch_size=BATCH_WRITES)
        assert wait_until(lambda: history.accepted_count >= goal, DEADLINE_SECONDS)
        node.kill()
        with pytest.raises((TransportError, InvalidStateError)):
            written.result(DEADLINE_SECONDS)


def keys_of(history: WriteHistory, outcome: Outcome) -> set[str]:
    return {key for key, writes in history.by_key().items() if writes[-1].outcome is outcome}


@pytest.fixture
def lone() -> Iterator[LocalCluster]:
    with LocalCluster(1) as cluster:
        yield cluster


def test_every_answered_write_survives_a_kill_and_an_unanswered_batch_is_whole_or_absent(
    lone: LocalCluster,
) -> None:
    (node,) = lone.nodes
    kill_while_writing(lone.history, node, numbered(0), answered=10 * BATCH_WRITES)
    node.restart()

    keys = node.items().keys()
    answered = keys_of(lone.history, Outcome.ACCEPTED)
    unanswered = keys_of(lone.history, Outcome.UNKNOWN)
    assert len(answered) >= 10 * BATCH_WRITES
    assert answered <= keys
    assert keys - answered in (set(), unanswered)
    assert lone.judge().is_clean


def test_the_outbox_and_its_counters_survive_a_kill(lone: LocalCluster) -> None:
    (node,) = lone.nodes
    kill_while_writing(lone.history, node, numbered(0), answered=BATCH_WRITES)
    node.restart()

    state = node.sync_state()
    count = node.size()
    assert (state.outbox_size, state.queued_count, state.last_submitted_version) == (count,) * 3


def test_numbers_are_never_used_twice_over_kills(lone: LocalCluster) -> None:
    (node,) = lone.nodes
    answers: list[PutResult] = []
    for life in range(3):
        answers += node.put_many(numbered(life * 10_000, count=5))
        kill_while_writing(
            lone.history, node, numbered(life * 10_000 + 5), answered=2 * BATCH_WRITES
        )
        node.restart()
        answers.append(node.put(f"life/{life}", life))

    sync_ids = [
        write.sync_id
        for writes in lone.history.by_key().values()
        for write in writes
        if write.outcome is Outcome.ACCEPTED
    ]
    assert len(sync_ids) == len(set(sync_ids))
    numbers = [answer.n for answer in answers]
    assert numbers == sorted(numbers)
    assert node.sync_state().last_submitted_version == numbers[-1] == node.size()


def test_unsent_writes_are_delivered_after_a_kill_of_their_writer() -> None:
    with LocalCluster(2) as cluster:
        a, b = cluster.nodes
        b.pause()
        a.put_many(numbered(0, count=500))
        a.kill()
        b.resume()
        a.restart()

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert a.wait_synced(DEADLINE_SECONDS)
        assert a.sync_state().acknowledged_count == 500
        assert cluster.judge().is_clean


def test_a_line_of_three_converges_though_its_ends_never_meet() -> None:
    with LocalCluster(3, topology="line") as cluster:
        a, b, c = cluster.nodes
        a.put_many(numbered(0, count=300))
        c.put_many(numbered(1_000, count=300))
        b.put("key/1", "changed in the middle")

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert [peer.node_id for peer in a.peers()] == ["node-b"]
        entries = (a.get("key/1000"), c.get("key/0"), c.size())
        assert entries == ("value 1000", "value 0", 600)
        assert cluster.judge().is_clean


@pytest.mark.parametrize("fault", ["pause", "kill"])
def test_a_node_that_was_away_catches_up_in_both_directions(fault: str) -> None:
    with LocalCluster(3) as cluster:
        a, b, c = cluster.nodes
        a.put_many(numbered(0, count=200))
        assert cluster.wait_converged(DEADLINE_SECONDS)
        c.put("only at c", 1)
        if fault == "pause":
            c.pause()
        else:
            c.kill()
        a.put_many((key, "overwritten") for key, _ in numbered(100, count=50))
        b.put_many(numbered(1_000, count=200))
        if fault == "pause":
            c.resume()
        else:
            c.restart()

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert (a.get("only at c"), c.get("key/100")) == (1, "overwritten")
        assert cluster.judge().is_clean


def test_a_cluster_of_which_every_node_was_killed_in_turn_holds_all_that_was_answered() -> None:
    with LocalCluster(3) as cluster:
        for number, node in enumerate(cluster.nodes):
            pairs = numbered(number * 10_000)
            kill_while_writing(cluster.history, node, pairs, answered=3 * BATCH_WRITES)
            node.restart()

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert cluster.judge().is_clean

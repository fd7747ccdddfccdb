"""The simulated cluster as people use it: verbs on named nodes, and what they must lead to."""

from __future__ import annotations

from itertools import pairwise

import pytest

from softadastra.errors import (
    InvalidArgumentError,
    InvalidStateError,
    NotFoundError,
    StorageError,
    StoreError,
)
from softadastra.testing import BrokenPromiseError, NodeState, SimCluster, SimNode
from softadastra.types import PeerState


def test_a_write_made_before_a_power_cut_arrives_after_the_restart():
    with SimCluster(3, seed=7, topology="line") as cluster:
        a, b, c = cluster.nodes
        cluster.partition("node-a", "node-b")
        a.put("message/1", "hello")
        a.crash()
        cluster.run(60)
        assert b.get("message/1") is None
        a.restart()
        cluster.heal()

        assert cluster.wait_converged(timeout=120)
        assert c.get("message/1") == "hello"


def test_a_one_way_partition_lets_nothing_through_and_heals():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        cluster.run(1)
        cluster.partition("node-a", "node-b", one_way=True)
        a.put("key", 1)

        assert not cluster.wait_until(lambda: b.get("key") == 1, timeout=30)
        cluster.heal()
        assert cluster.wait_converged(timeout=60)


def test_a_paused_node_costs_its_peer_a_window_and_then_catches_up():
    with SimCluster(2, sync_batch_size=1, sync_window=2) as cluster:
        a, b = cluster.nodes
        cluster.run(1)
        b.pause()
        for number in range(50):
            a.put(f"key/{number}", number)
        cluster.run(1)

        assert a.sync_state().in_flight_count == 2
        b.resume()
        assert cluster.wait_converged(timeout=60)
        assert len(b.items()) == 50


def test_a_full_disk_refuses_the_write_and_takes_later_ones():
    with SimCluster(1, allocation_bytes_max=0) as cluster:
        (a,) = cluster.nodes
        a.fill_disk(free_bytes=20)

        with pytest.raises(StorageError):
            a.put("key", "refused")
        assert a.get("key") is None
        a.free_disk()
        a.put("key", "taken")
        a.crash()
        a.restart()
        assert a.get("key") == "taken"


def outgrow_a_full_disk(node: SimNode) -> int:
    """Let most of a log be obsolete when there is no room for a new one; give what is alive."""
    for number in range(50):
        node.put(f"key/{number}", "v" * 1_000)
    live_bytes = node.running().log.size_bytes
    node.fill_disk(free_bytes=100_000)
    for number in range(80):
        node.put(f"key/{number % 50}", f"{number:04}" * 250)
    return live_bytes


def test_a_log_that_a_full_disk_kept_from_being_rewritten_is_so_when_there_is_room():
    """Though nothing is written any more: what waits for the log to grow would wait for ever."""
    lines: list[str] = []
    with SimCluster(1, slack_bytes=1_024, allocation_bytes_max=0, trace=lines.append) as cluster:
        (a,) = cluster.nodes
        live_bytes = outgrow_a_full_disk(a)
        cluster.run(3_600)
        failed = [float(line.split()[0]) for line in lines if "compaction.failed" in line]

        assert a.running().log.size_bytes > 2 * live_bytes
        waits = [round(later - before) for before, later in pairwise(failed)]
        assert waits[:7] == [5, 10, 20, 40, 80, 160, 300]
        assert set(waits[7:]) == {300}
        assert a.running().compact() is None, "it was tried again too early"
        a.free_disk()
        cluster.run(300)
        assert a.running().log.size_bytes < 1.1 * live_bytes
        assert len(a.items()) == 50


def test_a_node_that_writes_no_more_does_not_try_again_to_rewrite_its_log():
    lines: list[str] = []
    with SimCluster(1, slack_bytes=1_024, allocation_bytes_max=0, trace=lines.append) as cluster:
        (a,) = cluster.nodes
        outgrow_a_full_disk(a)
        cluster.run(1)
        assert any("compaction.failed" in line for line in lines)
        a.fail_sync()
        with pytest.raises(StorageError):
            a.put("key/0", "unknown")
        lines.clear()

        cluster.run(3_600)
        assert not any("compaction.failed" in line for line in lines)


@pytest.mark.parametrize("seed", range(4))
def test_a_range_of_a_snapshot_that_a_full_disk_refused_is_not_skipped(seed):
    """What was decided and refused looked as if it had come: its next copy was acknowledged."""
    with SimCluster(2, seed=seed, sync_batch_bytes=1_024, allocation_bytes_max=0) as cluster:
        a, b = cluster.nodes
        for number in range(60):
            a.put(f"key/{number}", number)
        assert cluster.wait_converged(timeout=30)
        cluster.run(120)
        b.wipe()
        b.restart()
        b.fill_disk(free_bytes=0)
        cluster.run(20)
        b.free_disk()

        assert cluster.wait_converged(timeout=120)
        assert len(b.items()) == 60


def test_a_failed_sync_stops_writes_until_the_restart():
    with SimCluster(1) as cluster:
        (a,) = cluster.nodes
        a.fail_sync()

        with pytest.raises(StorageError):
            a.put("key", 1)
        assert a.is_poisoned
        a.kill()
        a.restart()
        a.put("other", 2)
        assert a.get("other") == 2


def test_a_flipped_bit_in_the_middle_of_a_log_is_refused_and_a_wiped_node_is_filled_again():
    with SimCluster(2, seed=3) as cluster:
        a, b = cluster.nodes
        for number in range(100):
            a.put(f"key/{number}", number)
        assert cluster.wait_converged(timeout=30)
        a.kill()
        a.flip_bit()

        with pytest.raises(StoreError):
            a.restart()
        assert a.state is NodeState.DOWN
        a.wipe()
        a.restart()
        assert cluster.wait_converged(timeout=60)
        assert a.items() == b.items()


def test_frames_out_of_order_lose_nothing_and_all_arrives():
    lines: list[str] = []
    with SimCluster(3, seed=3, topology="line", sync_batch_size=1, trace=lines.append) as cluster:
        cluster.run(1)
        for one, other in (("node-a", "node-b"), ("node-b", "node-c")):
            cluster.reorder(one, other, 0.5)
            cluster.reorder(other, one, 0.5)
        for number in range(100):
            cluster.nodes[number % 3].put(f"key/{number % 7}", number)
            cluster.run(0.05)

        assert cluster.wait_converged(timeout=240)
        assert any("behind later ones" in line for line in lines)


def test_when_the_network_heals_every_fault_of_frames_ends():
    lines: list[str] = []
    with SimCluster(2, trace=lines.append) as cluster:
        a, _ = cluster.nodes
        cluster.drop("node-a", "node-b", 1)
        cluster.duplicate("node-a", "node-b", 1)
        cluster.reorder("node-a", "node-b", 1)
        cluster.delay("node-a", "node-b", 5, 5)
        cluster.partition("node-a", "node-b")
        cluster.run(10)
        cluster.heal()
        assert cluster.wait_until(lambda: bool(a.running().engine.connections.active), 10)
        lines.clear()

        a.put("key", 1)
        assert cluster.wait_converged(timeout=1)
        assert not [line for line in lines if "a frame of" in line]


def test_a_replayed_batch_changes_nothing():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=30)
        a.put("key", 2)
        assert cluster.wait_converged(timeout=30)

        assert all(cluster.replay("node-a", "node-b") for _ in range(30))
        cluster.run(60)
        assert b.get("key") == 2
        assert cluster.wait_converged(timeout=30)


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "another file"])
def test_a_log_restored_from_an_old_copy_loses_nothing_and_gets_back_what_it_forgot(in_place):
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.put("before", 1)
        assert cluster.wait_converged(timeout=30)
        image = a.copy()
        a.put("forgotten", 2)
        assert cluster.wait_converged(timeout=30)
        a.restore(image, in_place=in_place)
        a.restart()
        a.put("under a number that was used", 3)

        assert cluster.wait_converged(timeout=120)
        assert a.items() == b.items()
        assert a.items() == {"before": 1, "forgotten": 2, "under a number that was used": 3}


def test_two_branches_of_a_history_that_come_at_once_are_told_apart():
    """Each continues what was here before; the second one has to be compared with the first."""
    with SimCluster(4, topology="apart") as cluster:
        receiver, writer, *holders = cluster.nodes
        for holder in holders:
            holder.connect(receiver)
        cluster.run(2)
        image = writer.copy()
        receiver.pause()
        writer.connect(holders[0])
        writer.put("one", 1)
        cluster.run(0.4)
        cluster.partition(writer.node_id, holders[0].node_id)
        writer.restore(image)
        writer.restart()
        writer.connect(holders[1])
        writer.put("two", 1)
        writer.put("two", 2)
        cluster.run(0.4)
        receiver.resume()
        cluster.run(0.05)
        assert receiver.get("one") == 1
        holders[0].lose()
        for node in (receiver, writer, holders[1]):
            node.forget(holders[0].node_id)
        cluster.heal()

        assert cluster.wait_converged(timeout=120)
        assert receiver.items() == holders[1].items() == {"one": 1, "two": 2}


def test_a_life_that_was_told_before_any_write_of_it_came_is_not_given_to_another_branch():
    """A link fails behind the first batch of a branch; then the whole of the other one comes."""
    with SimCluster(4, topology="apart", sync_batch_size=1, sync_window=1) as cluster:
        receiver, writer, first, second = cluster.nodes
        writer.connect(first)
        writer.put_many([("common 1", 1), ("common 2", 2)])
        cluster.run(1)
        image = writer.copy()
        writer.put_many([(f"first {i}", i) for i in range(4)])
        cluster.run(1)
        cluster.partition(writer.node_id, first.node_id)
        writer.restore(image)
        writer.restart()
        writer.connect(second)
        writer.put_many([(f"second {i}", i) for i in range(4)])
        cluster.run(1)
        cluster.delay(receiver.node_id, second.node_id, 0.6, 0.6)
        second.connect(receiver)
        assert cluster.wait_until(lambda: receiver.get("common 1") is not None, timeout=5)
        cluster.partition(receiver.node_id, second.node_id)
        first.connect(receiver)
        assert cluster.wait_until(lambda: receiver.get("first 3") is not None, timeout=5)
        assert receiver.get("second 0") is None
        cluster.delay(receiver.node_id, second.node_id, 0, 0)
        cluster.heal()

        assert cluster.wait_converged(timeout=120)
        assert len(receiver.items()) == 10


def test_a_write_that_only_a_wiped_disk_held_is_lost_and_an_old_copy_brings_it_back():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        cluster.partition("node-a", "node-b")
        a.put("key", 1)
        image = a.copy()
        a.wipe()
        a.restore(image)
        a.restart()
        cluster.heal()

        assert cluster.wait_converged(timeout=120)
        assert b.get("key") == 1


def test_a_clone_is_refused_beside_the_node_that_it_is_a_copy_of():
    lines: list[str] = []
    with SimCluster(2, trace=lines.append) as cluster:
        a, b = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=30)
        clone = cluster.clone("node-a")
        cluster.run(30)
        a.put("key", 2)
        cluster.run(30)

        refused = [line for line in lines if "> node-a.2: reject duplicate_identity" in line]
        assert refused
        assert not any("> node-a: reject" in line for line in lines)
        assert b.get("key") == 2
        assert clone.get("key") == 1


def test_a_clone_takes_the_place_of_a_node_that_is_down_and_both_have_everything_later():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=30)
        a.put("not sent", 2)
        a.kill()
        clone = cluster.clone("node-a")
        clone.put("of the clone", 3)
        assert cluster.wait_converged(timeout=60)
        expected = {"key": 1, "not sent": 2, "of the clone": 3}
        assert b.items() == expected
        clone.lose()
        a.restart()
        a.put("of the first one", 4)

        assert cluster.wait_converged(timeout=120)
        assert a.items() == b.items() == {**expected, "of the first one": 4}


def test_a_node_that_stayed_away_for_too_long_brings_nothing_back_that_was_removed():
    with SimCluster(3, max_offline=60) as cluster:
        a, b, c = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=30)
        cluster.partition("node-a", "node-c")
        cluster.partition("node-b", "node-c")
        a.remove("key")
        cluster.suspend("node-c")
        assert a.peers()[-1].state is PeerState.SUSPENDED
        tombstones = a.running().engine.replica.tombstones

        assert cluster.wait_until(lambda: not tombstones, timeout=300)
        cluster.heal()
        c.resume()
        assert cluster.wait_converged(timeout=120)
        assert a.items() == b.items() == c.items() == {}


@pytest.mark.parametrize("is_named", [False, True], ids=["unheard of", "named"])
def test_a_later_remove_that_is_collected_waits_for_who_is_named_and_for_nobody_unheard_of(
    is_named: bool,
):
    """A remove that is collected meets nothing more; who is named keeps it from being so."""
    with SimCluster(3, topology="apart") as cluster:
        a, b, late = cluster.nodes
        b.connect(a)
        if is_named:
            cluster.partition(a.node_id, late.node_id)
            a.connect(late)
            b.connect(late)
            cluster.partition(b.node_id, late.node_id)
        a.put("key", "first")
        late.put("key", "late")
        cluster.run(1)
        b.remove("key")
        cluster.run(200)
        cluster.heal()
        late.connect(a)

        assert cluster.wait_converged(timeout=120)
        held = [node.get("key") for node in cluster.nodes]
        assert held == [None if is_named else "late"] * 3


def test_a_write_that_was_told_of_and_lost_with_its_disk_holds_back_no_collection():
    """Others told node-a that node-c has it. It never comes, and the last word counts."""
    with SimCluster(3, topology="line", auto_queue=False) as cluster:
        a, _, c = cluster.nodes
        cluster.run(1)
        c.put("held back", 1)
        cluster.run(90)
        c.wipe()
        c.restart()
        a.put("key", 1)
        a.remove("key")
        a.queue_pending()

        assert cluster.wait_converged(timeout=60)
        cluster.wait_collected()
        assert not any(node.running().engine.replica.entries for node in cluster.nodes)


def test_a_clone_that_is_refused_holds_back_no_collection():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=30)
        clone = cluster.clone("node-a")
        clone.put("of the clone", 2)
        cluster.run(30)
        clone.lose()
        b.remove("key")

        assert cluster.wait_converged(timeout=60)
        cluster.wait_collected()


def test_writes_of_nodes_with_clocks_a_year_apart_keep_their_causal_order():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.jump_clock(31_536_000_000)
        a.put("key", "first")
        assert cluster.wait_converged(timeout=30)
        b.put("key", "second")

        assert cluster.wait_converged(timeout=30)
        assert a.get("key") == "second"


def test_the_monotonic_clock_never_falls():
    with SimCluster(1) as cluster:
        (a,) = cluster.nodes
        times = []
        for drift in (100_000, -400_000, 0):
            a.drift_clock(drift)
            a.jump_clock(-1_000_000)
            cluster.run(1)
            times.append(a.clock.now().mono_ms)

        assert times == [1_100, 1_700, 2_700]


def test_calls_on_a_node_that_is_down_say_so():
    with SimCluster(1) as cluster:
        (a,) = cluster.nodes
        a.kill()

        with pytest.raises(InvalidStateError, match="node-a is down"):
            a.put("key", 1)


def test_a_fault_of_nobody_or_of_no_possible_measure_is_refused():
    """A name that is misspelt would let a test pass that tests nothing."""
    with SimCluster(2) as cluster:
        clone = cluster.clone("node-a")
        cluster.partition(clone.machine, "node-b")
        for fault in (cluster.partition, cluster.rejoin, cluster.cut, cluster.replay):
            with pytest.raises(NotFoundError, match="no node 'node-c'"):
                fault("node-a", "node-c")
        for measured in (cluster.drop, cluster.duplicate, cluster.reorder):
            with pytest.raises(NotFoundError, match="no node 'node-c'"):
                measured("node-c", "node-a", 0.5)
            with pytest.raises(InvalidArgumentError, match="from 0 to 1, got 2"):
                measured("node-a", "node-b", 2)
        with pytest.raises(InvalidArgumentError, match="got 2, 1"):
            cluster.delay("node-a", "node-b", 2, 1)


def test_options_that_the_cluster_sets_itself_are_refused():
    with pytest.raises(InvalidArgumentError, match="wal_path"):
        SimCluster(2, wal_path="here.wal")


def test_a_node_that_hurries_does_at_once_what_it_does_every_half_minute():
    with SimCluster(2) as cluster:
        a, b = cluster.nodes
        a.put("key", 1)
        assert cluster.wait_converged(timeout=10)
        a.remove("key")
        assert cluster.wait_converged(timeout=10)

        for _ in range(4):
            a.hurry()
            b.hurry()
            cluster.run(0.1)

        assert not any(node.running().engine.replica.entries for node in cluster.nodes)
        assert cluster.seconds < 20


def test_what_waited_between_two_nodes_arrives_when_they_are_joined_again():
    with SimCluster(3, sync_batch_size=1) as cluster:
        a, b, c = cluster.nodes
        cluster.run(1)
        cluster.partition("node-a", "node-b")
        cluster.partition("node-a", "node-c")
        a.put("key", 1)
        cluster.run(1)

        cluster.rejoin("node-a", "node-b", one_way=True)
        cluster.partition("node-b", "node-c")
        cluster.run(1)

        assert (b.get("key"), c.get("key")) == (1, None)


def union(key, writes):
    return sorted({item for write in writes for item in write.value or ()})


def test_two_results_of_a_function_are_merged_again():
    """One of them was taken as it is, and what only the other one had met was not in the value."""
    with SimCluster(3, conflict_policy=union) as cluster:
        a, b, c = cluster.nodes
        cluster.run(1)
        for one, other in (("node-a", "node-b"), ("node-b", "node-c"), ("node-a", "node-c")):
            cluster.partition(one, other)
        for number, node in enumerate((a, b, c)):
            node.put("key", [number])
        cluster.rejoin("node-b", "node-a", one_way=True)
        cluster.rejoin("node-b", "node-c", one_way=True)
        cluster.run(2)
        assert [node.get("key") for node in (a, b, c)] == [[0, 1], [1], [1, 2]]

        cluster.heal()
        cluster.run(5)

        assert cluster.wait_converged(timeout=60)
        assert [node.get("key") for node in (a, b, c)] == [[0, 1, 2]] * 3


def test_a_cluster_that_cannot_converge_is_told_of():
    with SimCluster(2, auto_queue=False) as cluster:
        cluster.nodes[0].put("key", 1)
        cluster.partition("node-a", "node-b")
        with pytest.raises(BrokenPromiseError, match="progress: no convergence within 240 s"):
            cluster.wait_settled()

        cluster.recover()
        cluster.wait_settled()
        assert cluster.nodes[1].get("key") == 1

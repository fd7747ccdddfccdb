"""A local cluster is a client times n: same calls, same values, same errors, and faults."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from softadastra.errors import (
    InvalidArgumentError,
    InvalidStateError,
    StoreLockedError,
    TransportError,
)
from softadastra.testing import LocalCluster, ProcessState, Topology, wait_until
from softadastra.types import PeerState, Value

DEADLINE_SECONDS = 30.0


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_values_of_every_kind_come_back_equal_from_another_process() -> None:
    values: dict[str, Value] = {
        "bytes": b"\x00\xff",
        "datetime": datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=UTC),
        "float": 0.1,
        "integer": 2**63,
        "nested": {"list": [1, [True, None]], "text": "naïve ☃"},
    }
    with LocalCluster(1) as cluster:
        (node,) = cluster.nodes
        results = node.put_many(values.items(), batch_size=2)

        assert [result.sync_id for result in results] == [f"node-a-{n}" for n in range(1, 6)]
        assert {key: node.get(key) for key in values} == values
        assert list(node.items().items()) == list(values.items())
        assert node.size() == len(values)
        assert node.get("absent", "default") == "default"
        assert cluster.judge().is_clean


def test_the_errors_of_the_node_are_raised_here_and_change_nothing() -> None:
    with LocalCluster(1, max_value_bytes=100) as cluster:
        (node,) = cluster.nodes
        with pytest.raises(InvalidArgumentError, match="max_value_bytes"):
            node.put("large", "x" * 200)
        with pytest.raises(InvalidArgumentError, match="key cannot be empty"):
            node.put("", 1)

        assert node.remove("absent") is False
        assert node.items() == {}
        assert cluster.judge().is_clean


def test_a_mesh_is_connected_and_a_removed_key_goes_everywhere() -> None:
    with LocalCluster(3) as cluster:
        a, b, c = cluster.nodes
        assert all(
            [peer.state for peer in node.peers()] == [PeerState.CONNECTED] * 2
            for node in cluster.nodes
        )
        assert a.put("k", 1).status == "created"
        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert b.remove("k") is True
        assert cluster.wait_converged(DEADLINE_SECONDS)

        assert c.get("k") is None
        assert cluster.judge().is_clean


def test_nodes_apart_do_not_converge_until_they_are_connected() -> None:
    with LocalCluster(2, topology="apart") as cluster:
        a, b = cluster.nodes
        a.put("k", 1)
        assert cluster.wait_converged(0) is False

        a.connect(b)

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert b.get("k") == 1


def test_without_auto_tick_a_write_leaves_with_the_tick() -> None:
    with LocalCluster(2, auto_tick=False) as cluster:
        a, b = cluster.nodes
        a.put("k", 1)
        assert a.sync_state().queued_count == 1

        tick = a.tick()

        assert (tick.batch_size, tick.connected_peers) == (1, 1)
        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.get("k") == 1
        assert a.tick(prune=True).pruned_count == 1
        assert a.sync_state().outbox_size == 0


def test_connecting_to_a_killed_node_says_that_it_was_refused() -> None:
    with LocalCluster(2, topology=Topology.APART) as cluster:
        a, b = cluster.nodes
        b.kill()

        with pytest.raises(TransportError, match="refused"):
            a.connect(b)


def test_a_given_directory_is_made_and_kept_with_logs_of_all_nodes(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "cluster"
    with LocalCluster(2, directory=directory):
        pass

    names = {path.name for path in directory.iterdir()}
    assert {"node-a.wal", "node-b.wal", "node-a.log", "node-b.log"} <= names
    assert '"node_id":"node-a"' in (directory / "node-a.log").read_text()


def fail_with_a_paused_node(pids: list[int]) -> None:
    with LocalCluster(2) as cluster:
        cluster.nodes[0].pause()
        pids += [node.pid for node in cluster.nodes]
        raise ZeroDivisionError


def test_no_process_is_left_by_the_end_of_the_block() -> None:
    with LocalCluster(3) as cluster:
        cluster.nodes[0].kill()
        cluster.nodes[1].pause()
        pids = [node.pid for node in cluster.nodes]
        assert all(map(is_there, pids[1:]))
    assert not any(map(is_there, pids))


def test_no_process_is_left_by_an_error_in_the_block() -> None:
    pids: list[int] = []
    with pytest.raises(ZeroDivisionError):
        fail_with_a_paused_node(pids)

    assert len(pids) == 2
    assert not any(map(is_there, pids))


def test_a_node_that_cannot_open_ends_the_others_and_says_why(tmp_path: Path) -> None:
    with LocalCluster(1, directory=tmp_path), pytest.raises(StoreLockedError, match="node-a"):
        LocalCluster(2, directory=tmp_path).open()


def test_a_killed_node_is_not_asked_and_comes_back_on_its_port() -> None:
    with LocalCluster(1) as cluster:
        (node,) = cluster.nodes
        address, pid = node.address, node.pid
        node.kill()
        assert node.state is ProcessState.KILLED
        with pytest.raises(InvalidStateError, match=r"node-a.*killed.*restart"):
            node.get("k")

        node.restart()

        assert node.items() == {}
        assert node.address == address
        assert node.pid != pid


def test_a_closed_node_ends_cleanly_and_can_be_started_again() -> None:
    with LocalCluster(2) as cluster:
        a, b = cluster.nodes
        b.close()
        a.put("k", 1)
        b.restart()

        assert wait_until(lambda: b.get("k") == 1, DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes_count": 0}, "1 to 26 nodes, got 0"),
        ({"nodes_count": 2, "topology": "ring"}, "expected one of mesh, line, apart"),
        ({"nodes_count": 2, "wal_path": "x"}, "sets wal_path for each node"),
        ({"nodes_count": 2, "log_level": "x"}, "expected one of debug, info, warning, error"),
        ({"nodes_count": 2, "auto_tik": 1}, "'auto_tik' .* did you mean 'auto_tick'"),
        ({"nodes_count": 2, "retry_interval": -1}, "retry_interval must be"),
    ],
)
def test_wrong_arguments_are_refused_when_a_cluster_is_made(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        LocalCluster(**arguments)  # type: ignore[arg-type]

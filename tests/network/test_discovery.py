"""Nodes that find each other by multicast on the loopback interface. Real time, with deadlines.

Each test has a cluster of its own: others on this machine may be running the same tests.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from softadastra import Client, ClientOptions, Peer, configure_logging
from softadastra.discovery import multicast
from softadastra.discovery.announcement import SERVICE_TYPE
from softadastra.runtime import events
from softadastra.testing import LocalCluster, wait_until
from softadastra.types import PeerSource, PeerState
from tests.network.forger import forged, forger

DEADLINE_SECONDS = 30.0
FORGED_NAMES = 20_000


@pytest.fixture
def cluster() -> str:
    return f"test {secrets.token_hex(8)}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Give the events of this name, of one node or of all."""
    monkeypatch.setattr(events, "_output", events._output)
    file = tmp_path / "events.log"
    configure_logging("debug", "json", file=file)

    def read(event: str, **fields: object) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        return [line for line in lines if line["event"] == event and line.items() >= fields.items()]

    return read


def started(stack: ExitStack, node_id: str, cluster: str, **settings: Any) -> Client:
    options = ClientOptions.memory_only(node_id, cluster=cluster, **settings).with_discovery()
    node = stack.enter_context(Client(options))
    node.start_transport()
    node.start_discovery()
    return node


def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    assert wait_until(condition, seconds), "the deadline passed"


def connected(node: Client) -> set[str]:
    return {peer.node_id for peer in node.peers() if peer.state is PeerState.CONNECTED}


def test_two_nodes_find_each_other_and_are_in_step(stack, cluster):
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)
    a.put("from-a", 1)
    b.put("from-b", 2)

    eventually(lambda: dict(a) == dict(b) == {"from-a": 1, "from-b": 2})
    assert a.discovery_running
    eventually(lambda: all(node.peers()[0].host for node in (a, b)))
    for node, other in ((a, "node-b"), (b, "node-a")):
        (peer,) = node.peers()
        assert (peer.node_id, peer.source, peer.host) == (other, PeerSource.MDNS, "127.0.0.1")


def test_nodes_of_other_clusters_are_left_alone(stack, cluster):
    a = started(stack, "node-a", cluster)
    c = started(stack, "node-c", f"{cluster} too")
    b = started(stack, "node-b", cluster)

    eventually(lambda: connected(a) == {"node-b"} and connected(b) == {"node-a"})
    assert c.peers() == []
    assert {peer.node_id for peer in a.peers()} == {"node-b"}


def test_named_and_found_peers_work_together(stack, cluster):
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)
    named = ClientOptions.memory_only("node-c", cluster=cluster).with_local_transport()
    c = stack.enter_context(Client(named))
    c.start_transport()
    assert b.transport_port is not None
    c.connect(Peer.local("node-b", b.transport_port))
    a.put("k", 1)

    eventually(lambda: c.get("k") == 1)
    assert {peer.node_id: peer.source for peer in c.peers()} == {"node-b": PeerSource.MANUAL}


def test_a_node_that_stops_discovery_keeps_its_connections_and_may_start_again(
    stack, cluster, told
):
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)
    eventually(lambda: connected(a) == {"node-b"})

    a.stop_discovery()
    a.stop_discovery()
    assert not a.discovery_running
    a.put("k", 1)
    eventually(lambda: b.get("k") == 1)
    assert connected(b) == {"node-a"}
    assert len(told("discovery.stopped", node_id="node-a")) == 1

    a.start_discovery()
    a.start_discovery()
    c = started(stack, "node-c", cluster)
    eventually(lambda: connected(c) == {"node-a", "node-b"})
    assert len(told("discovery.started", node_id="node-a")) == 2
    assert told("discovery.clashed") == []


@pytest.fixture
def broken(stack, cluster, told, monkeypatch):
    """A node whose discovery has ended by itself; it would run now."""

    def fail() -> None:
        raise RuntimeError("zeroconf is broken")

    with monkeypatch.context() as patched:
        patched.setattr(multicast, "question", fail)
        a = started(stack, "node-a", cluster)
        eventually(lambda: not a.discovery_running)
    return a


def test_discovery_that_has_ended_by_itself_begins_anew(stack, cluster, told, monkeypatch):
    monkeypatch.setattr(multicast, "RESTART_SECONDS_MIN", 0.1)
    failures = iter([RuntimeError("zeroconf is broken"), OSError(24, "Too many open files")])
    question = multicast.question

    def failing_twice():
        for failure in failures:
            raise failure
        return question()

    monkeypatch.setattr(multicast, "question", failing_twice)
    a = started(stack, "node-a", cluster)
    eventually(lambda: len(told("discovery.failed")) == 2)

    started(stack, "node-b", cluster)
    eventually(lambda: connected(a) == {"node-b"})
    assert [failure["error"] for failure in told("discovery.failed")] == [
        "discovery has ended: zeroconf is broken; it begins anew in 0.1 s",
        "discovery has ended: Too many open files; it begins anew in 0.2 s",
    ]
    assert a.discovery_running


def test_discovery_that_has_ended_by_itself_is_begun_anew_by_who_does_not_wait(
    broken, stack, cluster, told
):
    """What waited does not begin beside it."""
    (failure,) = told("discovery.failed", node_id="node-a")
    assert failure["error"].endswith("it begins anew in 10 s")

    broken.start_discovery()
    started(stack, "node-b", cluster)

    eventually(lambda: connected(broken) == {"node-b"})
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("softadastra-discovery") == 2


def test_discovery_that_waits_to_begin_anew_is_stopped_at_once(broken):
    broken.stop_discovery()

    names = [thread.name for thread in threading.enumerate()]
    assert "softadastra-discovery" not in names


def test_the_end_of_the_transport_is_the_end_of_discovery(stack, cluster):
    a = started(stack, "node-a", cluster)

    a.stop_transport()

    assert not a.discovery_running


def test_a_node_on_loopback_is_told_that_nobody_else_finds_it(stack, cluster, told):
    started(stack, "node-a", cluster)

    (warning,) = told("discovery.confined", node_id="node-a")
    assert warning["level"] == "warning"
    assert "insecure=True" in warning["advice"]


def test_closing_takes_less_than_a_second(stack, cluster):
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)
    eventually(lambda: connected(a) == {"node-b"})
    begun = time.monotonic()

    b.close()

    assert time.monotonic() - begun < 1.0
    assert own_threads().count("softadastra-discovery") == 1


def test_nodes_that_were_started_and_stopped_leave_no_thread_and_no_socket(stack, cluster):
    with ExitStack() as first:
        started(first, "node-a", cluster)
    descriptors = open_descriptors()
    for _ in range(3):
        with ExitStack() as short:
            started(short, "node-a", cluster)

    eventually(lambda: not own_threads())
    assert open_descriptors() == descriptors


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("softadastra")]


def open_descriptors() -> int:
    path = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    return len(list(path.iterdir()))


def test_two_nodes_of_one_name_say_so_and_a_third_one_is_in_step(stack, cluster, told):
    first = started(stack, "node-a", cluster)
    eventually(lambda: bool(told("discovery.announced")))
    second = started(stack, "node-a", cluster)
    third = started(stack, "node-b", cluster)
    third.put("k", 1)

    eventually(lambda: len(told("discovery.clashed", node_id="node-a")) == 2)
    eventually(lambda: 1 in (first.get("k"), second.get("k")))
    names = {event["name"] for event in told("discovery.announced", node_id="node-a")}
    assert len(names) == 2
    assert "node-a" not in {peer.node_id for peer in (*first.peers(), *second.peers())}


def test_who_answers_to_every_name_keeps_nobody_from_being_announced(
    stack, cluster, told, monkeypatch
):
    monkeypatch.setattr(multicast, "PROBING_SECONDS", 0.01)
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)

    eventually(lambda: connected(a) == {"node-b"})
    eventually(lambda: bool(told("discovery.announced", node_id="node-a")))
    (event,) = told("discovery.announced", node_id="node-a")
    assert re.fullmatch(r"node-a-[0-9a-f]{8}\._softadastra\._tcp\.local\.", event["name"])
    assert connected(b) == {"node-a"}


def silent(stack: ExitStack, node_id: str, cluster: str) -> Client:
    """Start a node that looks for nobody, and which only others announce."""
    options = ClientOptions.memory_only(node_id, cluster=cluster).with_local_transport()
    node = stack.enter_context(Client(options))
    node.start_transport()
    return node


def test_names_that_no_node_can_have_keep_nobody_out(stack, cluster, told):
    a, c = started(stack, "node-a", cluster), silent(stack, "node-c", cluster)
    assert c.transport_port is not None
    long = ".".join(letter * 60 for letter in "xyz")
    with forger("127.0.0.1") as forging:
        forging.point(f"{n}-{label}.{SERVICE_TYPE}" for n in range(16) for label in (long, "_sub"))
        forging.point(f"{label}.{SERVICE_TYPE}" for label in ("_sub", "a\x07b", "\x00"))
        forging.announce(
            [forged("node-c", cluster=cluster, address="127.0.0.1", port=c.transport_port)]
        )

        eventually(lambda: connected(a) == {"node-c"})
    assert told("discovery.failed") == []


def test_a_machine_that_has_slept_announces_itself_anew(stack, cluster, told, monkeypatch):
    slept_ms = 0
    monkeypatch.setattr(multicast, "read_slept_ms", lambda: slept_ms)
    monkeypatch.setattr(multicast, "INTERFACES_INTERVAL_SECONDS", 0.1)
    started(stack, "node-a", cluster)
    eventually(lambda: len(told("discovery.announced")) == 1)

    slept_ms = 3_600_000

    eventually(lambda: len(told("discovery.announced")) == 2)


def test_a_forged_goodbye_and_a_forged_address_of_a_connected_peer_change_nothing(
    stack, cluster, told
):
    a, b = started(stack, "node-a", cluster), started(stack, "node-b", cluster)
    eventually(lambda: connected(a) == {"node-b"} and connected(b) == {"node-a"})
    eventually(lambda: bool(told("discovery.announced", node_id="node-b")))
    (event,) = told("discovery.announced", node_id="node-b")
    label = event["name"].partition(".")[0]
    with socket.create_server(("127.0.0.1", 0)) as stranger, forger("127.0.0.1") as forging:
        stranger.setblocking(False)
        port = stranger.getsockname()[1]
        lie = forged(label, cluster=cluster, node_id="node-b", address="127.0.0.1", port=port)
        for _ in range(3):
            forging.announce([lie])
            forging.announce([lie], ttl=0)
        for n in range(10):
            a.put("k", n)
            assert a.wait_synced(DEADLINE_SECONDS)
            assert b.get("k") == n

        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert told("peer.lost") == []


class Doorman:
    """Takes connections, counts them, and hangs up."""

    def __init__(self) -> None:
        self.count = 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)


@pytest.fixture
def doorman() -> Iterator[Doorman]:
    made = Doorman()
    yield made
    made.close()


def test_a_peer_that_announces_another_port_is_dialled_there(stack, cluster, told, doorman):
    a = started(stack, "node-a", cluster)
    c = silent(stack, "node-c", cluster)
    assert c.transport_port is not None
    with forger("127.0.0.1") as forging:
        before = forged(
            "c", cluster=cluster, node_id="node-c", address="127.0.0.1", port=doorman.port
        )
        after = forged(
            "c", cluster=cluster, node_id="node-c", address="127.0.0.1", port=c.transport_port
        )
        forging.announce([before])
        eventually(lambda: doorman.count > 0)
        forging.announce([after])

        eventually(lambda: connected(a) == {"node-c"})
    (peer,) = a.peers()
    assert (peer.port, peer.source) == (c.transport_port, PeerSource.MDNS)


def test_a_forged_peer_that_answers_under_another_name_is_refused(stack, cluster, told):
    a = started(stack, "node-a", cluster)
    b = started(stack, "node-b", cluster)
    eventually(lambda: connected(a) == {"node-b"})
    assert b.transport_port is not None
    with forger("127.0.0.1") as forging:
        lie = forged("ghost", cluster=cluster, address="127.0.0.1", port=b.transport_port)
        forging.announce([lie] * 3)
        eventually(lambda: bool(told("peer.refused", peer="ghost")))

    (ghost,) = [peer for peer in a.peers() if peer.node_id == "ghost"]
    assert (ghost.source, ghost.state) == (PeerSource.MDNS, PeerState.AVAILABLE)
    assert "'node-b' answered" in ghost.last_error
    assert a.wait_synced(DEADLINE_SECONDS)  # a ghost is waited for by nobody


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_flood_of_20_000_forged_peers_is_bounded_and_an_honest_one_is_found_after_it(
    stack, cluster, tmp_path, doorman, record_property
):
    options = {"cluster": cluster, "enable_discovery": True}
    nodes = stack.enter_context(LocalCluster(1, directory=tmp_path, **options))
    (node,) = nodes.nodes
    log = tmp_path / "node-a.log"
    eventually(lambda: "discovery.announced" in log.read_text())
    before = resident_bytes(node.pid)
    begun = time.monotonic()
    with forger("127.0.0.1") as forging:
        forging.announce(
            forged(secrets.token_hex(12), cluster=cluster, address="127.0.0.1", port=doorman.port)
            for _ in range(FORGED_NAMES)
        )
    node.put("k", 1)

    honest = started(stack, "honest", cluster)
    eventually(lambda: honest.get("k") == 1, 300.0)

    seconds = time.monotonic() - begun
    grown = resident_bytes(node.pid) - before
    peers = node.peers()
    record_property("grown_bytes", grown)
    record_property("dials", doorman.count)
    print(f"grown by {grown >> 20} MiB, {doorman.count} dials in {seconds:.0f} s")
    assert grown < 32 << 20
    assert len(peers) <= 257
    assert doorman.count <= 10 * seconds + 10
    assert doorman.count > 0
    assert "discovery.flooded" in log.read_text()
    assert [peer.node_id for peer in peers if peer.state is PeerState.CONNECTED] == ["honest"]

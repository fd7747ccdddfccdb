"""What running nodes tell of themselves and of each other. Real time, waited for by condition."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from softadastra import Cause, Client, ClientOptions, NotFoundError, Peer, TransportError, Vitals
from softadastra.types import PeerState
from softadastra.vitals import PeerVitals
from tests.eventually import DEADLINE_SECONDS, eventually


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, directory: Path, node_id: str, **settings) -> Client:
    options = ClientOptions.persistent(node_id, directory / f"{node_id}.wal", **settings)
    options.enable_transport = True
    node = stack.enter_context(Client(options))
    node.start_transport()
    return node


def address(node: Client) -> Peer:
    assert node.transport_port is not None
    return Peer.local(node.options.node_id, node.transport_port)


def peer_of(vitals: Vitals, node_id: str) -> PeerVitals:
    (found,) = [peer for peer in vitals.peers if peer.node_id == node_id]
    return found


def causes(node: Client, key: str) -> list[tuple[Cause, str]]:
    return [(finding.cause, finding.peer) for finding in node.explain_key(key).findings]


def test_two_looks_at_a_node_tell_what_went_on_between(stack, tmp_path):
    a, b = started(stack, tmp_path, "node-a"), started(stack, tmp_path, "node-b")
    a.connect(address(b))
    before = a.vitals()
    for n in range(20):
        a.put(f"key {n}", n)
    assert a.wait_synced(DEADLINE_SECONDS)
    eventually(lambda: b.vitals().traffic.writes_in == 20)
    # What left is counted when the whole of it has left, which may be after its acknowledgement.
    eventually(lambda: a.vitals().traffic.bytes_out > before.traffic.bytes_out + 20 * 20)

    now = a.vitals()
    assert (now.store.entries, now.store.digest) == (20, a.digest())
    assert now.log is not None
    assert before.log is not None
    assert now.log.syncs >= before.log.syncs + 20
    assert (
        0 < (now.log.sync_p50_ms or 0) <= (now.log.sync_p99_ms or 0) <= (now.log.sync_max_ms or 0)
    )
    assert now.traffic.writes_out == 20
    assert now.rates_since(before).writes_made > 0
    assert now.rates_since(before).bytes_out > 0
    peer = peer_of(now, "node-b")
    assert (peer.state, peer.lag, peer.lag_ms) == (PeerState.CONNECTED, 0, 0)
    assert peer.confirmation_ms is not None
    assert peer.traffic == now.traffic
    eventually(lambda: peer_of(a.vitals(), "node-b").round_trip_ms is not None)
    assert json.loads(json.dumps(dataclasses.asdict(now)))["sync"]["acknowledged_count"] == 20


def test_rates_of_a_node_that_was_opened_again_are_not_negative(tmp_path):
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal")
    with Client(options) as node:
        node.put("key", 1)
        before = node.vitals()
    with Client(options) as node:
        now = node.vitals()

    assert now.rates_since(before).syncs == 0
    assert before.rates_since(before).syncs == 0


def test_a_rewritten_log_is_told(tmp_path):
    with Client(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
        for n in range(50):
            node.put("key", n)
        node.compact()
        log = node.vitals().log

    assert log is not None
    assert log.rewrites == 1
    assert log.rewritten_ms is not None
    assert (log.rewritten_from_bytes or 0) > (log.rewritten_to_bytes or 0)
    assert log.size_bytes >= (log.rewritten_to_bytes or 0)


def test_a_memory_only_node_has_no_log_to_tell_of():
    with Client(ClientOptions.memory_only("node-a")) as node:
        assert node.vitals().log is None


def test_why_a_key_is_not_at_a_peer_is_said_until_it_is(stack, tmp_path):
    a = started(stack, tmp_path, "node-a")
    b = started(stack, tmp_path, "node-b")
    there = address(b)
    a.connect(there)
    b.stop_transport()
    eventually(lambda: a.vitals().peers[0].state is not PeerState.CONNECTED)
    a.put("key", 1)

    eventually(lambda: "connection refused" in " ".join(a.explain_peer("node-b").sentences))
    assert (Cause.DISCONNECTED, "node-b") in causes(a, "key")
    assert a.explain_peer("node-b").peer.lag == 1
    assert a.explain_key("key").writes[0].lacked_by == ("node-b",)

    b.start_transport()
    a.connect(address(b))
    eventually(lambda: (Cause.HAVE_IT, "") in causes(a, "key"))
    assert a.explain_peer("node-b").findings[0].cause is Cause.IN_STEP


def test_a_node_of_another_cluster_is_said_to_be_one(stack, tmp_path):
    a = started(stack, tmp_path, "node-a")
    b = started(stack, tmp_path, "node-b", cluster="another")
    with pytest.raises(TransportError):
        a.connect(address(b))

    found = a.explain_peer("node-b")
    assert Cause.DIFFERENT_CLUSTER in [finding.cause for finding in found.findings]
    assert "Give both nodes the same cluster, or name the right one." in found.advice


def test_a_node_that_does_not_listen_says_that_it_is_offline():
    with Client(ClientOptions.memory_only("node-a", peers=[Peer.local("node-b", 4041)])) as node:
        node.put("key", 1)

        assert causes(node, "key") == [(Cause.PRESENT, ""), (Cause.ALONE, "")]
        with pytest.raises(NotFoundError, match="no peer 'node-b' is known"):
            node.explain_peer("node-b")


def test_a_node_of_100_000_keys_and_removes_is_looked_at_without_holding_up_writers(tmp_path):
    """What is done under the lock is counted in lines of Python, which are the same everywhere:
    some 300 a look. A walk over the keys, or over what was removed, is 100,000 and more."""
    with Client(ClientOptions.memory_only("node-a", enable_transport=True)) as node:
        node.start_transport()
        with pytest.raises(TransportError):
            node.connect(Peer("node-b", "127.0.0.1", 1))  # who may bring what is older
        node.stop_transport()
        with node.batch() as batch:
            for n in range(100_000):
                batch.put(f"key {n}", n)
        with node.batch() as batch:
            for n in range(100_000):
                batch.remove(f"key {n}")
        lock, held = node._opened().lock, []

        class Watched:
            """Counts the lines that are run while the lock is held."""

            def __enter__(self):
                lock.acquire()
                self.lines = 0
                sys.settrace(self.trace)
                # The function that holds the lock was entered before.
                frame = sys._getframe(1)
                frame.f_trace = self.trace

            def __exit__(self, *_):
                sys.settrace(None)
                held.append(self.lines)
                lock.release()

            def trace(self, _frame, event, _argument):
                self.lines += event == "line"
                return self.trace

        node._opened().lock = Watched()  # type: ignore[assignment]
        store = node.vitals().store
        assert (store.tombstones, store.tombstone_holds[0].count) == (100_000, 100_000)
        node.explain_key("key 1")

    assert len(held) >= 2
    assert 10 < max(held) < 5_000


def test_looks_and_writes_from_several_threads_do_not_disturb_each_other(stack, tmp_path):
    a, b = started(stack, tmp_path, "node-a"), started(stack, tmp_path, "node-b")
    a.connect(address(b))
    failures: list[BaseException] = []
    end = threading.Event()

    def look() -> None:
        try:
            while not end.is_set():
                a.vitals()
                a.explain_key("key 1")
                a.explain_peer("node-b")
        except BaseException as error:
            failures.append(error)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for n in range(300):
        a.put(f"key {n % 10}", n)
        if n % 3 == 0:
            a.remove(f"key {n % 10}")
    assert a.wait_synced(DEADLINE_SECONDS)
    end.set()
    for looker in lookers:
        looker.join()

    assert failures == []

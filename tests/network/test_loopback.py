"""Nodes that meet over ZeroMQ on the loopback interface. Real time, waited for by condition."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from softadastra import Cause, Client, ClientOptions, Peer, TransportError, readiness
from tests.eventually import DEADLINE_SECONDS, eventually


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, node_id: str, **settings) -> Client:
    options = ClientOptions.memory_only(node_id, enable_transport=True, **settings)
    node = stack.enter_context(Client(options))
    node.start_transport()
    return node


def address(node: Client) -> Peer:
    assert node.transport_port is not None
    return Peer.local(node.options.node_id, node.transport_port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_nodes_keep_each_other_in_step(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.put("from-a", 1)
    b.put("from-b", 2)

    a.connect(address(b))

    eventually(lambda: dict(a) == dict(b) == {"from-a": 1, "from-b": 2})
    assert a.digest() == b.digest()
    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.wait_synced(DEADLINE_SECONDS)
    a.remove("from-b")
    eventually(lambda: dict(b) == {"from-a": 1})


def test_modify_loses_nothing_that_a_peer_writes_meanwhile(stack):
    a, b = started(stack, "a"), started(stack, "b")
    a["sold"] = {"a": 1}
    a.connect(address(b))
    eventually(lambda: "sold" in b)
    seen: list[object] = []

    def sell(sold):
        if not seen:
            b.put("sold", {"a": 1, "b": 1})
            eventually(lambda: a["sold"] == {"a": 1, "b": 1})
        seen.append(dict(sold))
        return {**sold, "a": sold["a"] + 1}

    a.modify("sold", sell)

    assert seen == [{"a": 1}, {"a": 1, "b": 1}]
    eventually(lambda: b["sold"] == a["sold"] == {"a": 2, "b": 1})
    assert not a.conflicts()


def test_with_auto_tick_off_nothing_leaves_before_the_tick(stack):
    a, b = started(stack, "node-a", auto_tick=False), started(stack, "node-b")
    a.connect(address(b))
    a.put("k", "v")
    b.put("other", 1)
    eventually(lambda: a.get("other") == 1)  # receiving and acknowledging go on
    assert b.wait_synced(DEADLINE_SECONDS)
    assert (a.sync_state().queued_count, b.get("k")) == (1, None)

    ticked = a.tick()

    assert (ticked.batch_size, ticked.sent_count, ticked.connected_peers) == (1, 1, 1)
    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("k") == "v"
    assert a.sync_state().acknowledged_count == 1
    assert a.tick(prune=True).pruned_count == 1
    assert (a.sync_state().outbox_size, a.get("k")) == (0, "v")


def test_three_nodes_in_a_line_converge(stack):
    a, b, c = (started(stack, name) for name in ("node-a", "node-b", "node-c"))
    a.connect(address(b))
    c.connect(address(b))

    for i in range(300):
        a.put(f"a/{i}", i)
        c.put(f"c/{i}", i)

    eventually(lambda: len(a) == len(b) == len(c) == 600)
    assert a.digest() == b.digest() == c.digest()
    entry = c.entry("a/7")
    assert entry is not None
    assert entry.origin == "node-a"
    assert {peer.node_id for peer in a.peers()} == {"node-b"}


def test_who_was_only_heard_of_holds_up_no_wait_for_all(stack):
    """It gets the write from the one in the middle, and never confirms anything here."""
    a, b, c = (started(stack, name) for name in ("node-a", "node-b", "node-c"))
    b.connect(address(a))
    c.connect(address(b))
    eventually(lambda: "node-c" in {peer.node_id for peer in a.peers()})

    a.put("k", 1)

    assert a.wait_synced(DEADLINE_SECONDS)
    eventually(lambda: c.get("k") == 1)


def test_the_same_port_twice_is_address_in_use(stack):
    a = started(stack, "node-a")
    other = stack.enter_context(
        Client(ClientOptions.memory_only("node-b").with_local_transport(address(a).port))
    )

    with pytest.raises(TransportError) as refusal:
        other.start_transport()

    assert "in use" in refusal.value.message
    assert str(a.transport_port) in refusal.value.message
    assert not other.transport_running
    other.put("k", 1)  # the node works on without it


def test_a_peer_that_is_not_there_is_refused_and_tried_again_by_itself(stack, tmp_path):
    a, port = started(stack, "node-a"), free_port()
    a.put("k", "v")

    with pytest.raises(TransportError) as refusal:
        a.connect(Peer.local("node-b", port))

    assert "connection refused" in refusal.value.message
    assert a.get("k") == "v"
    state = a.sync_state()
    assert (state.outbox_size, state.queued_count, state.failed_count) == (1, 1, 0)
    (peer,) = a.peers()
    assert (peer.node_id, peer.port, peer.last_error) == ("node-b", port, "connection refused")
    assert a.wait_synced(0.01) is False

    b = started(stack, "node-b", transport_port=port)

    eventually(lambda: b.get("k") == "v")
    assert a.wait_synced(DEADLINE_SECONDS)
    assert a.peers()[0].state == "connected"


def test_a_silent_address_times_out_with_words(stack):
    """Before libzmq gives up shaking hands, after 5 s, of which the words would be others."""
    a = started(stack, "node-a")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TransportError) as refusal:
            a.connect(Peer.local("node-b", silent.getsockname()[1]), timeout=0.3)

    assert "no answer within 0.3 s" in refusal.value.message


def test_the_wrong_node_at_an_address_is_refused_by_name(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")

    with pytest.raises(TransportError) as refusal:
        a.connect(Peer.local("node-x", address(b).port))

    assert "node-x" in refusal.value.message
    assert "node-b" in refusal.value.message


def test_a_node_is_not_its_own_peer(stack):
    a = started(stack, "node-a")

    with pytest.raises(TransportError):
        a.connect(address(a))


def test_nodes_of_different_clusters_say_so(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b", cluster="other")

    with pytest.raises(TransportError) as refusal:
        a.connect(address(b))

    assert "cluster" in refusal.value.message


def test_a_peer_that_comes_back_gets_what_it_lacks_after_a_new_greeting(stack, tmp_path):
    port = free_port()
    a = started(stack, "node-a")
    options = ClientOptions.persistent("node-b", tmp_path / "b.wal").with_local_transport(port)
    with Client(options) as b:
        b.start_transport()
        a.connect(address(b))
        a.put("before", 1)
        assert a.wait_synced(DEADLINE_SECONDS)
    a.put("meanwhile", 2)
    assert a.sync_state().queued_count == 1

    with Client(options) as b:
        b.put("of-b", 3)
        b.start_transport()

        assert a.wait_synced(DEADLINE_SECONDS)
        eventually(lambda: a.get("of-b") == 3)
        assert dict(b) == {"before": 1, "meanwhile": 2, "of-b": 3}


def test_peers_and_cursors_are_remembered_over_a_restart(stack, tmp_path):
    b = started(stack, "node-b")
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal").with_local_transport()
    with Client(options) as a:
        a.start_transport()
        a.connect(address(b))
        a.put("k", 1)
        assert a.wait_synced(DEADLINE_SECONDS)
        before = a.sync_state()

    with Client(options) as a:
        assert a.sync_state() == before
        a.put("k2", 2)
        a.start_transport()  # dials what it remembers

        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.get("k2") == 2


def test_options_name_peers_to_dial(stack):
    b = started(stack, "node-b")
    a = started(stack, "node-a", peers=(address(b),))
    a.put("k", 1)

    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("k") == 1


def test_both_may_dial(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    b.connect(address(a))

    a.put("a", 1)
    b.put("b", 2)

    eventually(lambda: dict(a) == dict(b) == {"a": 1, "b": 2})
    assert [len(n.peers()) for n in (a, b)] == [1, 1]


def test_disconnect_ends_it_and_connect_begins_it_again(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))

    a.disconnect("node-b")
    eventually(lambda: b.tick().connected_peers == 0)
    a.put("k", 1)
    assert b.get("k") is None

    a.connect(address(b))
    eventually(lambda: b.get("k") == 1)


def test_a_forgotten_peer_holds_back_nothing(stack):
    a, b, c = (started(stack, name) for name in ("node-a", "node-b", "node-c"))
    a.connect(address(b))
    a.connect(address(c))
    c.close()
    a.put("k", 1)
    assert a.wait_synced(DEADLINE_SECONDS, peers=["node-b"])
    assert a.wait_synced(0.05) is False

    a.forget("node-c")

    assert a.wait_synced(DEADLINE_SECONDS)
    assert a.sync_state().acknowledged_count == 1
    assert [p.node_id for p in a.peers()] == ["node-b"]


def test_wait_synced_counts_peers(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    with pytest.raises(TransportError):
        a.connect(Peer.local("node-c", free_port()))
    a.put("k", 1)

    assert a.wait_synced(DEADLINE_SECONDS, peers="any")
    assert a.wait_synced(DEADLINE_SECONDS, peers=1)
    assert a.wait_synced(0.05, peers=2) is False
    assert a.wait_synced(0.05) is False  # node-c was never met, and is waited for


def test_close_returns_within_a_second_with_peers_alive_and_dead(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    with pytest.raises(TransportError):
        a.connect(Peer.local("node-c", free_port()))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TransportError):
            a.connect(Peer.local("node-d", silent.getsockname()[1]), timeout=0.2)
        b.close()
        for i in range(100):
            a.put(f"k{i}", i)

        began = time.monotonic()
        a.close()

    assert time.monotonic() - began < 1.0
    assert not [t for t in threading.enumerate() if t.name == "softadastra-reactor"]


def test_a_closed_node_says_goodbye(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))

    a.close()

    eventually(lambda: b.tick().connected_peers == 0, seconds=3)  # sooner than silence shows it


def test_the_transport_can_be_stopped_and_started(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))

    a.stop_transport()
    a.stop_transport()
    assert not a.transport_running
    a.put("k", 1)
    assert a.tick().connected_peers == 0
    a.start_transport()
    a.start_transport()

    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("k") == 1


def test_an_idle_node_with_two_peers_sleeps_nearly_all_the_time():
    """In a process of its own, so that what it uses is its own.

    Wake-ups are counted, 5 or 6 a second; a loop that looks about at each tick has a hundred more.
    What one costs varies fivefold with the state of a machine, on which the same idle node took
    from 0.1 to 1.1 % of a core. A loop that does not sleep takes all of it.
    """
    import subprocess
    import sys

    code = """
import resource, sys, time
from softadastra import Client, ClientOptions, Peer
with Client(ClientOptions.memory_only("idle", enable_transport=True, tick_interval=0.01)) as node:
    node.start_transport()
    for line in sys.stdin.readline().split():
        node.connect(Peer.parse(line))
    node.put("k", 1)
    assert node.wait_synced(20)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    while time.monotonic() - began < 5:
        time.sleep(1)
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    print((after.ru_nvcsw - before.ru_nvcsw) / seconds)
    print((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / seconds)
"""
    with ExitStack() as stack:
        peers = [started(stack, name) for name in ("node-b", "node-c")]
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=" ".join(str(address(peer)) for peer in peers) + "\n",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    wakeups_a_second, share_of_a_core = map(float, done.stdout.split())
    assert wakeups_a_second < 25
    assert share_of_a_core < 0.05


def test_garbage_on_the_port_harms_nobody(stack):
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    for payload in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(1_000), b""):
        with socket.create_connection(("127.0.0.1", b.transport_port)) as stranger:
            stranger.sendall(payload)

    a.put("k", 1)

    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("k") == 1


def test_a_peer_that_talks_nonsense_is_dropped_and_others_go_on(stack):
    import zmq

    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    try:
        dealer.connect(f"tcp://127.0.0.1:{b.transport_port}")
        for payload in (b"\xc1", b"\x93\x01\x03\x01", os.urandom(500), b"\x92\x01\x0b"):
            dealer.send(payload)
        a.put("k", 1)

        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.get("k") == 1
        assert [p.node_id for p in b.peers()] == ["node-a"]
    finally:
        dealer.close()
        context.term()


def test_a_reactor_that_fails_is_told_of_and_takes_no_data_with_it(stack, monkeypatch):
    from softadastra.runtime.driver import Driver
    from softadastra.runtime.events import Events

    told = []
    monkeypatch.setattr(Events, "emit", lambda _self, *notices: told.extend(notices))
    a, b = started(stack, "node-a"), started(stack, "node-b")
    a.connect(address(b))
    turn = Driver.turn

    def fail_a(self, events):
        if self._engine.replica.node_id == "node-a":
            raise ZeroDivisionError
        turn(self, events)

    monkeypatch.setattr(Driver, "turn", fail_a)
    a.put("k", 1)

    eventually(lambda: not a.transport_running)
    (failure,) = [notice for notice in told if notice.event == "reactor.failed"]
    assert "ZeroDivisionError" in str(failure.fields["traceback"])
    assert a.peers()[0].state != "connected"
    a.put("k", 2)
    assert a.wait_synced(5) is False  # at once: nobody is there to bring it about
    assert [found.cause for found in readiness(a.vitals()).findings] == [Cause.REACTOR_FAILED]

    monkeypatch.setattr(Driver, "turn", turn)
    a.start_transport()
    assert readiness(a.vitals()).ok
    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("k") == 2


@pytest.mark.parametrize("in_place", [True, False])
def test_a_log_that_was_copied_back_meets_its_peers_and_loses_nothing(tmp_path, in_place):
    path = tmp_path / "till.wal"
    copy = tmp_path / "till.copy"
    till = ClientOptions.persistent("till", path).with_local_transport()
    office = ClientOptions.persistent("office", tmp_path / "office.wal").with_local_transport()
    with Client(office) as server:
        server.start_transport()
        peer = Peer("office", "127.0.0.1", server.transport_port or 0)
        with Client(till) as node:
            node.start_transport()
            node.connect(peer)
            node.put("common", 0)
            assert node.wait_synced(DEADLINE_SECONDS)
        shutil.copyfile(path, copy)
        with Client(till) as node:
            node.start_transport()
            node.put("lost/1", 1)
            node.put("lost/2", 2)
            assert node.wait_synced(DEADLINE_SECONDS)
        if not in_place:
            path.unlink()
        shutil.copyfile(copy, path)
        with Client(till) as node:
            node.put("new/1", 1)
            node.put("new/2", 2)
            node.put("new/3", 3)
            node.start_transport()

            eventually(lambda: node.digest() == server.digest() and node.size() == 6)
            assert dict(node.items()) == dict(server.items())
            assert node.wait_synced(DEADLINE_SECONDS)

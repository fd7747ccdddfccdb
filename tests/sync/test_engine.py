"""Two engines and more, joined by fake links."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from softadastra.packing import pack_value
from softadastra.store.changes import OWN, Committed, Writes
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies, Policy
from softadastra.sync.batches import Limits
from softadastra.sync.fields import VALUE_BYTES_MAX
from softadastra.sync.messages import Ack, Batch, Have, Hello, Ping
from softadastra.sync.notices import Level, each
from softadastra.sync.output import Push
from softadastra.sync.patience import Patience
from softadastra.sync.records import Pruned, Released
from softadastra.sync.session import GAPS_MAX, Session
from softadastra.sync.wire import encode
from softadastra.types import Peer, PeerSource
from tests.engines import OPTIONS, Network, Node

A = Origin("a", ord("a") + 1)


def test_a_write_reaches_the_peer_and_is_acknowledged():
    network = Network("a", "b")
    network["a"].write(("k", "v"))
    network.join("a", "b")

    network.run()

    assert network["b"].get("k") == "v"
    assert network["a"].state.acknowledged_count == 1
    assert network["a"].digest == network["b"].digest


def test_writes_go_both_ways_over_one_connection():
    network = Network("a", "b")
    network.join("a", "b")
    network["a"].write(("from-a", 1))
    network["b"].write(("from-b", 2))

    network.run()

    assert network["a"].items() == network["b"].items() == {"from-a": 1, "from-b": 2}


def test_before_any_peer_the_outbox_is_queued():
    network = Network("a")

    network["a"].write(("k", "v"))

    state = network["a"].state
    assert (state.outbox_size, state.queued_count, state.acknowledged_count) == (1, 1, 0)


def test_a_relay_passes_on_writes_with_their_origin():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("b", "c")

    network["a"].write(("k", "v"))
    network.run()

    sibling = network["c"].engine.replica.sibling("k")
    assert sibling is not None
    assert network["c"].engine.replica.origins[sibling[0]].node_id == "a"


def test_in_a_line_nothing_waits_for_a_timer():
    network = Network(*"abcdefgh")
    for left, right in zip("abcdefg", "bcdefgh", strict=True):
        network.join(left, right)
    network.run()

    network["a"].write(("k", "v"))
    network.run()

    assert all(node.get("k") == "v" for node in network.nodes.values())


def test_in_a_full_mesh_each_write_crosses_the_wire_once_per_receiver():
    names = "abcdefgh"
    network = Network(*names)
    for i, left in enumerate(names):
        for right in names[i + 1 :]:
            network.join(left, right)
    network.advance(2_000)
    network.sent.clear()

    for i in range(20):
        network[names[i % 8]].write((f"k{i}", i))
        network.advance(100, step=50)
    network.advance(3_000)

    assert len({node.digest for node in network.nodes.values()}) == 1
    assert len(network.messages(Batch)) <= 1.3 * 7 * 20


def test_an_overwrite_by_another_node_supersedes_what_its_writer_saw():
    network = Network("a", "b")
    network.join("a", "b")
    network["a"].write(("k", "first"))
    network.run()

    network["b"].skew_ms = -(10**9)  # its clock is eleven days behind
    network["b"].write(("k", "second"))
    network.run()

    assert network["a"].get("k") == network["b"].get("k") == "second"


def test_concurrent_writes_have_the_same_winner_everywhere():
    network = Network("a", "b", "c")
    for name in "abc":
        network[name].write(("k", name))

    network.join("a", "b")
    network.run()
    network.join("b", "c")
    network.run()

    assert {node.get("k") for node in network.nodes.values()} == {"c"}
    assert len({node.digest for node in network.nodes.values()}) == 1


def test_a_remove_is_not_undone_by_the_put_it_superseded():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network["a"].write(("k", "v"))
    network.run()
    late = Network("a", "c")  # the put, on its way to c by another road
    late.nodes["a"].log = list(network["a"].log)

    network["b"].remove("k")
    network.run()
    network.join("b", "c")
    network.run()
    network.join("a", "c")
    network.run()

    assert all(node.items() == {} for node in network.nodes.values())


def test_a_duplicate_batch_is_acknowledged_but_not_applied():
    network = Network("a", "b")
    network.join("a", "b")
    network["a"].write(("k", "v"))
    network.run()
    (batch,) = [m for _, _, m in network.sent if isinstance(m, Batch)]
    digest = network["b"].digest
    acknowledged = len(network.messages(Ack))

    network.send(network["a"], 1, batch)
    network.run()

    assert network["b"].digest == digest
    assert len(network.messages(Ack)) == acknowledged + 1


def test_an_acknowledgement_is_made_from_evolved_state_only():
    network = Network("a", "b")
    link = network.join("a", "b")
    network.run()
    network["a"].write(("k", "v"))
    network["a"].poll()
    (_, _, batch), network.wire = network.wire[0], type(network.wire)()
    b = network["b"]

    record = b.engine.receive(link, batch, encode(batch), b.now)

    assert record is not None
    assert b.engine.poll(b.now, Push.ALL).sends == []  # not durable: nothing is said
    b.commit(record)
    assert [type(m) for _, m in b.engine.poll(b.now, Push.ALL).sends] == [Ack]


def test_a_lost_batch_is_sent_again_with_backoff():
    network = Network("a", "b")
    network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)

    network["a"].write(("k", "v"))
    network.run()
    times = []
    for _ in range(40):
        before = network["a"].state.total_retries
        network.advance(1_000)
        if network["a"].state.total_retries > before:
            times.append(network.now_ms // 1000)

    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) >= 3
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]

    network.passes = lambda *_: True
    network.advance(70_000)

    assert network["b"].get("k") == "v"
    assert network["a"].state.acknowledged_count == 1


def test_a_peer_that_never_acknowledges_is_faulted_and_comes_back_by_itself():
    network = Network("a", "b", options=replace(OPTIONS, max_retries=2))
    network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, (Ack, Have))

    network["a"].write(("k", "v"))
    network.advance(40_000)

    assert network["a"].state.failed_count == 1
    assert network["a"].state.queued_count == 0

    network.passes = lambda *_: True
    network.advance(70_000)

    assert network["a"].state.failed_count == 0
    assert network["a"].state.acknowledged_count == 1


def test_one_peers_acknowledgement_completes_nothing_for_another():
    network = Network("a", "b", "c")
    network.join("a", "b")
    away = network.join("a", "c")
    network.run()
    network.close(away)

    network["a"].write(("k", "v"))
    network.run()

    state = network["a"].state
    assert (state.acknowledged_count, state.queued_count) == (0, 1)
    assert (state.per_peer["b"].lag, state.per_peer["c"].lag) == (0, 1)


def test_a_peer_that_was_away_gets_what_it_lacks_and_no_more():
    network = Network("a", "b")
    link = network.join("a", "b")
    network["a"].write(*[(f"k{i}", i) for i in range(1_000)])
    network.run()
    network.close(link)
    network["a"].write(*[(f"k{i}", -i) for i in range(10, 15)])
    network.sent.clear()

    network.join("a", "b")
    network.run()

    batches = [m for _, _, m in network.sent if isinstance(m, Batch)]
    assert [sorted(m.keys) for m in batches] == [[f"k{i}" for i in range(10, 15)]]
    assert network["a"].digest == network["b"].digest


def test_a_backlog_of_one_hot_key_goes_over_as_one_entry():
    network = Network("a", "b")
    for i in range(10_000):
        network["a"].write(("hot", i))
    network.join("a", "b")
    network.run()

    (batch,) = [m for _, _, m in network.sent if isinstance(m, Batch)]

    assert batch.keys == ["hot"]
    assert network["b"].get("hot") == 9_999
    assert network["a"].state.acknowledged_count == 10_000


def test_the_window_bounds_what_is_in_flight():
    network = Network("a", "b", options=replace(OPTIONS, batch=Limits(10, 262_144), window=3))
    network.join("a", "b")
    network.run()
    network["a"].write(*[(f"k{i}", i) for i in range(100)])

    network["a"].poll()

    state = network["a"].state
    assert (state.in_flight_count, state.queued_count) == (30, 70)

    network.run()

    assert network["a"].state.acknowledged_count == 100


def test_a_batch_that_a_full_connection_did_not_take_is_sent_again_soon():
    network = Network("a", "b")
    link = network.join("a", "b")
    network.run()
    network["a"].write(("k", "v"))
    a = network["a"].engine
    (sent,) = [m for _, m in a.poll(network["a"].now, Push.ALL).sends if isinstance(m, Batch)]

    a.unsent(link, sent, network["a"].now)

    assert network["a"].state.in_flight_count == 0
    assert a.poll(network["a"].now, Push.ALL).sends == []  # no busy loop
    deadline = a.deadline(Push.ALL)
    assert deadline is not None
    network.advance(deadline - network.now_ms, step=1)
    assert network["b"].get("k") == "v"
    assert network["a"].state.total_retries == 0


def test_what_is_due_and_cannot_leave_is_no_reason_to_poll_again():
    """As a relay while the window is full: the reactor waits for an answer, it does not spin."""
    network = Network("a", "b", "c", options=replace(OPTIONS, batch=Limits(1, 262_144), window=1))
    network.join("a", "b")
    network.join("b", "c")
    network.join("a", "c")
    network.run()
    network.passes = lambda _from, to, message: to.name != "c" or not isinstance(message, Batch)
    network["b"].write(("own", 1))
    network["a"].write(("relayed", 2))
    network.run()
    b = network["b"]
    network.now_ms += 1_500  # the relay to c is due, and its window is full

    b.poll()

    deadline = b.engine.deadline(Push.ALL)
    assert deadline is not None
    assert deadline > network.now_ms


def test_a_peer_that_is_forgotten_while_it_is_connected_does_no_harm():
    """It dials again between the end of its connection and the record that strikes it off."""
    from softadastra.sync.records import Forgotten

    network = Network("a", "b")
    network.join("b", "a")
    network.run()
    network["a"].commit(Forgotten("b"))

    network["a"].write(("k", 1))
    network["b"].write(("other", 2))
    network.run()

    assert network["a"].items() == network["b"].items() == {"k": 1, "other": 2}
    assert network["a"].state.per_peer["b"].lag == 0


@pytest.mark.parametrize("keys", [2, 20])
def test_many_writes_of_a_few_keys_in_turn_go_over_within_the_readers_limits(keys):
    """Each change of the key is a run of the claim, and the reader takes so many of them."""
    network = Network("a", "b", options=replace(OPTIONS, batch=Limits(1024, 262_144)))
    for start in range(0, 30_000, 1_000):
        network["a"].write(*[(f"k{i * i % 7919 % keys}", i) for i in range(start, start + 1_000)])

    network.join("a", "b")
    network.run()

    assert network["b"].items() == network["a"].items()
    assert network["a"].state.acknowledged_count == network["a"].state.outbox_size


def test_the_largest_batch_fits_into_a_message():
    """Keys count as UTF-8, and claims, contexts and origins count too."""
    options = replace(OPTIONS, batch=Limits(4096, 1 << 20))
    network = Network("a", "b", options=options)
    for start in range(0, 3_000, 500):
        network["a"].write(*[("\U0001f600" * 250 + str(i), i) for i in range(start, start + 500)])

    network.join("a", "b")
    network.run()

    sizes = [len(encode(m)) for _, _, m in network.sent if isinstance(m, Batch)]
    assert max(sizes) <= 1 << 20
    assert len(network["b"].items()) == 3_000


@pytest.mark.parametrize("kept", ["alone", "beside another one"])
@pytest.mark.parametrize("size", [VALUE_BYTES_MAX, VALUE_BYTES_MAX + 1])
def test_a_value_that_could_not_be_passed_on_is_not_taken(size, kept):
    """A member may send one in the shortest message that there is; others' forms are longer."""
    policies = Policies(Policy.MANUAL, {}, "manual")
    network = Network("a", "b", "c", policies=policies)
    if kept == "beside another one":
        network["b"].write(("k", "small"))
    network["a"]._write([("k", pack_value(b"x" * (size - 5), max_bytes=size), 0)])
    network.join("a", "b")
    network.run()
    network.join("b", "c")
    network.run()

    is_taken = size == VALUE_BYTES_MAX
    assert ("a" in network["b"].engine.connections.active) == is_taken
    assert (network["c"].digest == network["a"].digest) == is_taken
    refused = [n for n in each(network["b"].engine.notices.waiting) if n.event == "peer.refused"]
    assert [f"a value of {size} bytes" in str(n.fields["reason"]) for n in refused] == (
        [] if is_taken else [True]
    )


def test_a_have_of_very_many_ranges_is_told_in_part_and_the_rest_follows():
    network = Network("x", "y", "new", options=replace(OPTIONS, batch=Limits(1024, 262_144)))
    network["x"].write(*[(f"k{i}", 0) for i in range(12_000)])
    network.join("x", "y")
    network.run()
    network["y"].write(*[(f"k{i}", 1) for i in range(12_000)])
    network.run()
    network["x"].write(*[(f"k{i}", 2) for i in range(0, 12_000, 2)])
    network.run()

    network.join("new", "x")
    network.advance(2_000, step=100)

    assert network["new"].digest == network["x"].digest
    assert network["new"].engine.have() == network["x"].engine.have()


def test_batches_keep_to_their_bytes_and_take_at_least_one_entry():
    network = Network("a", "b", options=replace(OPTIONS, batch=Limits(64, 2_000)))
    network["a"].write(*[(f"k{i}", "x" * 500) for i in range(10)], ("large", "y" * 10_000))
    network.join("a", "b")

    network.run()

    sizes = [len(m.keys) for _, _, m in network.sent if isinstance(m, Batch)]
    assert max(sizes) <= 4
    assert network["a"].digest == network["b"].digest


def test_a_restarted_node_goes_on_where_its_log_ends():
    network = Network("a", "b")
    network.join("a", "b")
    network["a"].write(("k", 1))
    network.run()
    before = network["a"].state

    network["a"].restart()

    assert network["a"].state == before
    network["a"].write(("k", 2))
    assert network["a"].engine.replica.top == 2
    network.join("a", "b")
    network.run()
    assert network["b"].get("k") == 2


def test_a_peer_that_lost_data_is_believed():
    network = Network("a", "b")
    link = network.join("a", "b")
    network["a"].write(("k", "v"))
    network.run()
    network.close(link)
    network["b"].log.clear()
    network["b"].restart()

    network.join("a", "b")
    network.run()

    assert network["b"].get("k") == "v"


def test_cut_after_every_batch_no_overwrite_is_claimed_without_its_value():
    """A claim of a superseded write must bring what superseded it: else a third node drops it."""
    options = replace(OPTIONS, batch=Limits(1, 262_144), window=1)
    for cut_after in range(6):
        network = Network("a", "b", "c", options=options)
        network.join("a", "b")
        network["a"].write(("x", "old"), ("y", "old"))
        network.run()
        network["b"].write(("x", "new"))
        network.run()
        link = network.join("a", "c")
        for _ in range(cut_after):
            network["a"].poll()
            network["c"].poll()
            network.deliver()
        network.close(link)
        network.cut(network["a"])  # lost for good
        del network.nodes["a"]

        network.join("b", "c")
        network.run()

        assert network["b"].items() == network["c"].items() == {"x": "new", "y": "old"}
        assert network["b"].digest == network["c"].digest


def test_when_both_dial_one_connection_is_used():
    network = Network("a", "b")
    network.join("b", "a")
    network.join("a", "b")
    network.run()

    network["a"].write(("k", "v"))
    network.run()

    assert (
        network["a"].engine.connections.active["b"]
        == network["b"].engine.connections.active["a"]
        == 2
    )
    assert list(network.links) == [2]
    assert len(network.messages(Batch)) == 1


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_second_connection_of_the_same_dialler_replaces_the_first(names):
    network = Network("a", "b")
    network.join(*names)
    network.run()

    network.join(*names)
    network.run()

    network["a"].write(("k", "v"))
    network.run()
    assert network["b"].get("k") == "v"
    assert list(network.links) == [2]


def test_two_nodes_in_step_exchange_a_constant_amount():
    counts = []
    for keys in (10, 1_000):
        network = Network("a", "b")
        link = network.join("a", "b")
        network["a"].write(*[(f"k{i}", i) for i in range(keys)])
        network.run()
        network.close(link)
        network.sent.clear()
        network.join("a", "b")
        network.run()
        counts.append([type(m) for _, _, m in network.sent])

    assert counts == [[Hello, Hello]] * 2


def test_anti_entropy_finds_what_was_dropped_without_acknowledgements():
    options = replace(OPTIONS, require_ack=False)
    network = Network("a", "b", options=options)
    network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    network["a"].write(("k", "v"))
    network.run()
    assert network["a"].state.acknowledged_count == 1  # sent counts
    network.passes = lambda *_: True

    network.advance(45_000)

    assert network["b"].get("k") == "v"
    assert network["a"].state.total_retries == 0
    assert network.messages(Have)


def test_a_silent_peer_is_asked_and_then_dropped():
    network = Network("a", "b")
    network.join("a", "b")
    network.run()
    network.passes = lambda sender, _to, _message: sender.name == "a"

    network.advance(3_000)
    assert ("a", "b") in network.messages(Ping)
    assert "b" in network["a"].engine.connections.active

    network.advance(5_000)

    assert network["a"].engine.connections.active == {}
    assert any(n.event == "peer.lost" for n in each(network["a"].engine.notices.waiting))


def test_a_connection_that_never_greets_is_dropped():
    network = Network("a")
    network["a"].engine.connections.up(9, dialled=False, now=network["a"].now)

    network.advance(6_000)

    assert network["a"].engine.connections.sessions == {}


def test_nodes_of_different_clusters_refuse_each_other():
    network = Network("a", "b")
    network["b"].options = replace(OPTIONS, cluster="other")
    network["b"].start()
    network.join("a", "b")

    network["a"].write(("k", "v"))
    network.run()

    assert network["b"].items() == {}
    assert network.links == {}
    reasons = [
        n.fields["reason"]
        for n in each(network["a"].engine.notices.waiting)
        if n.event == "peer.rejected"
    ]
    assert "different_cluster" in str(reasons)


def test_held_writes_leave_only_when_released():
    from softadastra.sync.records import Released

    network = Network("a", "b", options=replace(OPTIONS, auto_queue=False))
    network["a"].write(("k", 1))
    network.join("a", "b")
    network.run()
    assert (network["a"].state.held_count, network["b"].items()) == (1, {})

    network["a"].commit(Released(1))
    network["a"].write(("k", 2), ("other", 3))
    network.run()
    assert network["b"].items() == {}  # the state of k has a write that is held
    assert network["a"].state.held_count == 2

    network["a"].commit(Released(3))
    network.run()
    assert network["b"].items() == {"k": 2, "other": 3}


def test_pruning_removes_no_value_and_survives_a_restart():
    network = Network("a", "b")
    network.join("a", "b")
    network["a"].write(("k", "v"))
    network.run()

    network["a"].commit(Pruned(1))
    network["a"].restart()

    assert network["a"].state.outbox_size == 0
    assert network["a"].get("k") == "v"


def test_a_write_that_came_unclaimed_with_a_batch_is_passed_on():
    """Otherwise c holds the overwrite and cannot say so, and d keeps the old value for good."""
    network = Network(*"acd", options=replace(OPTIONS, batch=Limits(1, 262_144), window=1))
    network["a"].write(("k", "old"))
    network.join("a", "d")
    network.run()
    network.cut(network["a"])
    network["a"].write(("x", 1))
    network["a"].write(("k", "new"))
    network.join("a", "c")
    while network["c"].get("k") is None:
        network["a"].poll()
        network["c"].poll()
        network.deliver()
    network.cut(network["a"])  # lost for good
    del network.nodes["a"]

    network.join("c", "d")
    network.run()

    assert network["d"].get("k") == "new"


def test_a_peer_that_was_faulted_gets_what_is_written_later():
    network = Network("a", "b", options=replace(OPTIONS, max_retries=2))
    network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, (Ack, Have))
    network["a"].write(("k", 1))
    network.advance(40_000)
    assert network["a"].state.failed_count == 1
    network.passes = lambda *_: True
    network.advance(70_000)

    network["a"].write(("k", 2))
    network.run()

    assert network["b"].get("k") == 2


def test_a_faulted_peer_is_asked_again_when_its_last_batch_was_not_taken():
    network = Network("a", "b", options=replace(OPTIONS, max_retries=2))
    link = network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, (Batch, Ack, Have))
    network["a"].write(("k", 1))
    network.advance(40_000)
    assert network["a"].state.failed_count == 1
    a = network["a"].engine
    (flight,) = a.connections.sessions[link].flights.values()

    a.unsent(link, flight.message, network["a"].now)
    network.passes = lambda *_: True
    network.advance(1_000)

    assert network["b"].get("k") == 1
    assert network["a"].state.acknowledged_count == 1


def test_nodes_with_the_same_writes_and_other_values_find_out_and_say_so():
    """No history leads here; a fault of the code or of the memory may."""
    network = Network("a", "b")
    link = network.join("a", "b")
    network["a"].write(("k", 1))
    network.run()
    network["b"].commit(Committed({}, [("k", network["b"].engine.replica.origins.number(A), 1)]))
    network.close(link)

    network.join("a", "b")
    network.run()

    for name in "ab":
        told = network[name].engine.notices.take()
        assert (Level.ERROR, "digest.differed") in {(n.level, n.event) for n in told}


def test_two_nodes_of_one_name_refuse_each_other():
    network = Network("a")
    network.nodes["other"] = Node(network, "a", OPTIONS, network["a"].policies)
    network["a"].write(("k", 1))

    network.join("other", "a")
    network.run()

    assert network["other"].items() == {}
    assert network.links == {}
    assert any("called 'a'" in str(n.fields) for n in network["a"].engine.notices.take())


def test_without_acknowledgements_a_batch_that_a_full_connection_did_not_take_is_sent_again_soon():
    network = Network("a", "b", options=replace(OPTIONS, require_ack=False))
    network.join("a", "b")
    network.run()
    network["a"].write(("k", 1))
    output = network["a"].engine.poll(network["a"].now, Push.ALL)
    ((link, batch),) = output.sends

    network["a"].engine.unsent(link, batch, network["a"].now)
    network.advance(50, step=10)

    assert network["b"].get("k") == 1


def test_an_address_that_is_registered_while_its_peer_greets_leaves_it_a_member():
    network = Network("a", "b")
    record = network["a"].engine.register(Peer.local("b", 1), PeerSource.MANUAL, network["a"].now)
    network.join("a", "b")
    network.run()
    assert record is not None

    network["a"].commit(record)

    member = network["a"].engine.members["b"]
    assert member.accepted
    assert (member.host, member.port) == ("127.0.0.1", 1)
    network["a"].restart()
    assert network["a"].engine.members["b"] == member


def test_two_prunes_that_pass_each_other_leave_the_later_one():
    network = Network("a")
    network["a"].write(("k", 1), ("l", 2))

    network["a"].commit(Pruned(2))
    network["a"].commit(Pruned(1))
    network["a"].commit(Released(2))
    network["a"].commit(Released(1))

    assert (network["a"].engine.floor, network["a"].engine.delivery.released) == (2, 2)


def test_a_faulted_peer_to_which_nothing_is_on_its_way_recovers_when_it_speaks():
    network = Network("a", "b")
    network.join("a", "b")
    network.run()
    network["a"].engine.delivery.faulted.add("b")

    network.advance(45_000)

    assert network["a"].engine.delivery.faulted == set()


def test_a_write_over_the_last_stamp_and_version_that_there_are_is_made_and_delivered():
    """A member that invents them gets no order from it, and breaks nobody's writes."""
    network = Network("a", "b")
    last = 2**64 - 1
    b = network["b"]
    b.commit(Writes(1, 0, ["k"], [(OWN, 1, last, last, b"\x01", 0)]))
    network.join("a", "b")
    network.run()

    network["a"].write(("k", 2))
    network["b"].write(("other", 3))
    network.run()

    assert network["a"].items() == network["b"].items() == {"k": 2, "other": 3}
    assert network["a"].engine.replica.clock < 2**63


def test_the_last_applied_version_never_falls():
    network = Network("a", "b", "c")
    network["b"].write(*[(f"k{i}", i) for i in range(9)])
    network["c"].write(("k", 1))
    network.join("b", "a")
    network.run()
    assert network["a"].state.last_applied_remote_version == 9

    network.join("c", "a")
    network.run()

    assert network["a"].state.last_applied_remote_version == 9


def test_what_comes_again_from_an_earlier_connection_supersedes_nothing_and_ends_this_one():
    """No carrier in use does so. What was told since says nothing of the state in such a batch."""
    network = Network("a", "b")
    network["a"].write(("k", "old"))
    link = network.join("a", "b")
    network.advance(40_000)
    network["a"].write(("other", 1))
    network.run()
    batch = [m for _, to, m in network.sent if isinstance(m, Batch) and to == "b"][-1]
    early = next(m for _, to, m in network.sent if isinstance(m, Batch) and to == "b")
    have = [m for _, to, m in network.sent if isinstance(m, Have) and to == "b"][-1]
    greeting = [m for _, to, m in network.sent if isinstance(m, Hello) and to == "b"][-1]
    network.close(link)
    link = network.join("a", "b")
    network["b"].write(("k", "new"))
    network.advance(2_000)

    network.send(network["a"], link, replace(early, told=batch.told))
    network.run()
    assert network["b"].get("k") == "new"

    for stale in (have, greeting):
        network.send(network["a"], link, stale)
        network.run()
        assert link not in network.links
        link = network.join("a", "b")
        network.run()
    assert network["b"].get("k") == network["a"].get("k") == "new"


def test_a_peer_that_numbers_batches_at_random_costs_a_bounded_memory():
    session = Session(1, dialled=True, up_ms=0, heard_ms=0, patience=Patience(1_000))
    fresh = [session.merges_again(2 * n) for n in range(1, 1_000)]

    assert not any(fresh)
    assert len(session.batches_merged.above) <= GAPS_MAX
    assert session.merges_again(2)
    assert not session.merges_again(3_000)

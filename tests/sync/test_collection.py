"""Removes: no resurrection, and no tombstones for ever."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise

import pytest

from softadastra.store.changes import OWN, Committed
from softadastra.store.policies import Policies, Policy
from softadastra.store.siblings import siblings_of
from softadastra.sync.batches import Limits
from softadastra.sync.messages import Batch, Message, SnapshotBegin, SnapshotCommit, SnapshotRange
from softadastra.sync.records import Forgotten
from softadastra.sync.session import Flight
from softadastra.sync.status import holders, tombstone_holds
from softadastra.sync.wire import encode
from softadastra.types import Peer, PeerSource, TombstoneHold
from tests.engines import OPTIONS, WALL_MS, Network, Node

SMALL = replace(OPTIONS, batch=Limits(3, 262_144), max_offline_ms=600_000)


def line(*names: str, options=OPTIONS) -> Network:
    network = Network(*names, options=options)
    for left, right in pairwise(names):
        network.join(left, right)
    network.run()
    return network


def tombstones(network: Network) -> list[int]:
    return [len(node.engine.replica.tombstones) for node in network.nodes.values()]


def rows(network: Network) -> list[int]:
    return [
        sum(1 for log in node.engine.replica.logs.values() for _ in log.rows())
        for node in network.nodes.values()
    ]


def holds_of(node: Node) -> list[TombstoneHold]:
    return tombstone_holds(node.engine.replica, holders(node.engine, node.now))


def agree(network: Network) -> None:
    first, *others = network.nodes.values()
    for other in others:
        assert other.items() == first.items()
        assert other.digest == first.digest
        assert other.engine.have() == first.engine.have()


@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_when_every_member_has_a_remove_its_tombstone_and_rows_go(names):
    network = line(*names)
    network["a"].write(*[(f"k{i}", i) for i in range(50)])
    network.run()
    for i in range(40):
        network["b"].remove(f"k{i}")

    network.advance(400_000, step=1_000)

    assert tombstones(network) == [0] * len(names)
    assert rows(network) == [0] * len(names)
    assert len(network["a"].items()) == 10
    agree(network)


def test_nothing_is_collected_without_members():
    network = Network("a")
    network["a"].write(("k", 1))
    network["a"].remove("k")

    network.advance(200_000, step=1_000)

    assert (tombstones(network), rows(network)) == ([1], [2])


def test_a_member_that_is_away_holds_back_collection():
    network = line("a", "b", "c")
    network.join("a", "c")
    network.run()
    network.cut(network["c"])
    network["a"].write(("k", 1))
    network["a"].remove("k")

    network.advance(300_000, step=1_000)

    assert tombstones(network)[:2] == [1, 1]


def test_in_a_line_the_far_end_holds_back_collection_though_it_was_never_met():
    network = line("a", "b", "c")
    network.advance(1_000, step=100)
    network.cut(network["c"])
    network["a"].write(("k", 1))
    network["a"].remove("k")

    network.advance(300_000, step=1_000)

    assert tombstones(network)[:2] == [1, 1]


def test_a_suspended_member_holds_back_nothing_and_comes_back_without_resurrecting():
    network = line("a", "b", "c", options=SMALL)
    network["a"].write(*[(f"k{i}", i) for i in range(10)])
    network.run()
    network.advance(100_000, step=1_000)
    network.cut(network["c"])
    for i in range(5):
        network["a"].remove(f"k{i}")
    network["c"].write(("offline", "kept"), ("k9", "changed offline"))

    network.advance(1_200_000, step=2_000)
    assert tombstones(network)[:2] == [0, 0]
    network.sent.clear()
    network.join("b", "c")
    network.advance(60_000, step=1_000)

    expected = {f"k{i}": i for i in range(5, 9)} | {"k9": "changed offline", "offline": "kept"}
    assert network["c"].items() == expected
    agree(network)
    assert network.messages(SnapshotBegin) == [("b", "c")]
    assert len(network.messages(SnapshotRange)) > 1
    assert network.messages(SnapshotCommit) == [("b", "c")]


def test_a_new_node_gets_a_snapshot_when_rows_are_collected():
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i}", i) for i in range(20)])
    network["b"].remove("k3")
    network.advance(400_000, step=1_000)
    assert rows(network) == [0, 0]
    network.nodes["c"] = type(network["a"])(network, "c", SMALL, network["a"].policies)

    network.join("c", "a")
    network.run()

    assert network["c"].items() == network["a"].items()
    agree(network)


def test_a_snapshot_goes_on_behind_its_last_key_when_the_connection_was_lost():
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i:02}", i) for i in range(30)])
    network.advance(400_000, step=1_000)
    network.nodes["c"] = type(network["a"])(network, "c", SMALL, network["a"].policies)
    link = network.join("c", "a")
    while len(network["c"].items()) < 12:
        for node in network.nodes.values():
            node.poll()
        network.deliver()
    network.close(link)
    network.sent.clear()

    network.join("a", "c")
    network.run()

    ranges = [m for _, to, m in network.sent if isinstance(m, SnapshotRange)]
    assert ranges[0].after is not None
    assert sum(len(m.batch.keys) for m in ranges) <= 20
    agree(network)


def test_a_second_greeting_in_a_snapshot_does_not_keep_it_from_ending():
    """Both sides dial: the second connection begins the snapshot anew on the first one."""
    network = line("a", "b", options=SMALL)
    network["a"].write(("k", 1))
    network.advance(400_000, step=1_000)
    network.nodes["c"] = type(network["a"])(network, "c", SMALL, network["a"].policies)
    network.join("a", "c")
    network.passes = lambda _from, _to, message: not isinstance(message, SnapshotRange)
    network.run()
    assert network["a"].engine.delivery.snapshots.serving.keys() == {"c"}

    network.join("c", "a")
    network.run()
    network.passes = lambda *_: True
    network.advance(30_000, step=1_000)

    assert network["c"].engine.have() == network["a"].engine.have()
    assert not network["a"].engine.delivery.snapshots.serving


def test_a_snapshot_that_began_on_a_connection_which_another_one_replaces_is_begun_anew():
    """A restarted peer greets while its silent former connection is still asked, and served."""
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i}", i) for i in range(10)])
    network.advance(400_000, step=1_000)
    network["b"].log.clear()
    network["b"].start()
    network.join("b", "a")
    network.run()

    network["a"].engine.delivery.snapshots.unequal.add("b")
    network.advance(20_000, step=500)

    assert network["b"].items() == network["a"].items()
    assert not network["a"].engine.delivery.snapshots.serving


def test_a_receiver_that_restarts_in_a_snapshot_begins_it_anew():
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i:02}", i) for i in range(30)])
    network.advance(400_000, step=1_000)
    network.nodes["c"] = type(network["a"])(network, "c", SMALL, network["a"].policies)
    network.join("c", "a")
    while len(network["c"].items()) < 12:
        for node in network.nodes.values():
            node.poll()
        network.deliver()

    network["c"].restart()
    network.join("c", "a")
    network.run()

    agree(network)


def cut_within_a_snapshot() -> Network:
    """Give node-a in the middle of a snapshot for "c", whose connection is lost, and a remove."""
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i:02}", i) for i in range(30)])
    network.advance(400_000, step=1_000)
    network.nodes["c"] = type(network["a"])(network, "c", SMALL, network["a"].policies)
    link = network.join("c", "a")
    while len(network["c"].items()) < 12:
        for node in network.nodes.values():
            node.poll()
        network.deliver()
    network.close(link)
    network["a"].remove("k20")
    return network


def test_while_a_node_serves_a_snapshot_it_collects_nothing():
    network = cut_within_a_snapshot()

    network.advance(300_000, step=1_000)

    assert len(network["a"].engine.replica.tombstones) == 1


def test_a_snapshot_for_a_member_that_is_forgotten_holds_back_nothing():
    network = cut_within_a_snapshot()
    for name in "ab":
        network[name].commit(Forgotten("c"))

    network.advance(100_000, step=1_000)

    assert not network["a"].engine.replica.tombstones


def test_state_and_collection_survive_a_restart():
    network = line("a", "b", "c", options=SMALL)
    network["a"].write(*[(f"k{i}", i) for i in range(20)])
    network["b"].remove("k1")
    network.advance(400_000, step=1_000)
    before = [(n.items(), n.digest, n.engine.have()) for n in network.nodes.values()]

    for node in network.nodes.values():
        node.restart()

    assert [(n.items(), n.digest, n.engine.have()) for n in network.nodes.values()] == before
    assert rows(network) == [0, 0, 0]


def test_a_forgotten_member_holds_back_nothing_though_others_still_speak_of_it():
    network = line("a", "b", "c")
    network.advance(100_000, step=1_000)
    network.cut(network["c"])
    network["a"].write(("k", 1))
    network["a"].remove("k")
    network.run()
    for name in "ab":
        network[name].commit(Forgotten("c"))

    network.advance(200_000, step=1_000)

    assert tombstones(network)[:2] == [0, 0]


def test_nodes_that_differ_with_an_equal_have_mend_it():
    """No history leads here; a fault of the code or of the memory may."""
    network = line("a", "b", options=SMALL)
    network["a"].write(("k", 1), ("l", 2))
    network.run()
    number = network["b"].engine.replica.origins.number(network["a"].engine.replica.origins[OWN])
    network["b"].commit(Committed({}, [("k", number, 1)]))

    network.advance(200_000, step=1_000)

    agree(network)


def test_a_tombstone_that_was_written_over_since_its_end_was_decided_stays():
    """Another thread's put may come between: dropping it would lose an accepted write."""
    network = line("a", "b")
    network["a"].write(("k", 1), ("other", 1))
    network["a"].remove("k")
    network["a"].remove("other")
    a = network["a"]
    a.engine.membership.collect_ms = 1 << 60
    network.advance(40_000, step=1_000)
    decided = [a.engine.membership.decide_collection(a.now) for _ in range(2)]
    record = decided[1]
    assert record is not None

    a.write(("k", 2))
    a.commit(record)

    assert a.items() == {"k": 2}
    assert list(a.engine.replica.tombstones) == []
    a.restart()
    assert a.items() == {"k": 2}


def test_a_snapshot_waits_for_writes_that_are_held():
    from softadastra.sync.records import Released

    options = replace(SMALL, auto_queue=False)
    network = line("a", "b", options=options)
    network["a"].write(("k", 1))
    network["a"].commit(Released(1))
    network.advance(400_000, step=1_000)
    network["a"].write(("k", "held"))
    network.nodes["c"] = type(network["a"])(network, "c", options, network["a"].policies)
    network.join("c", "a")
    network.run()
    assert network["c"].items() == {}

    network["a"].commit(Released(2))
    network.run()

    assert network["c"].items() == {"k": "held"}


def test_a_peer_whose_snapshot_is_abandoned_gets_another_one_on_the_same_connection():
    """What was on its way of the first one is waited for no more."""
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i}", i) for i in range(20)])
    network.advance(100_000, step=1_000)
    network.nodes["new"] = type(network["a"])(network, "new", SMALL, network["a"].policies)
    network.passes = lambda _from, to, message: (
        to.name != "new" or not isinstance(message, SnapshotRange)
    )
    network.join("new", "b")
    network.run()
    assert network["b"].engine.delivery.snapshots.serving.keys() == {"new"}

    network["b"].commit(Committed({}, []))
    network.passes = lambda *_: True
    network.advance(2_000)

    assert network["new"].items() == network["a"].items()


def test_holds_name_who_holds_back_how_many_tombstones_since_when():
    network = line("a", "b", "c", options=SMALL)
    network.advance(1_000, step=100)
    network.cut(network["c"])
    network["a"].write(("k", 1), ("l", 2))
    network.run()
    network.advance(59_000, step=1_000)
    network["b"].remove("k")
    network.advance(10_000, step=1_000)
    network["a"].remove("l")
    network.advance(100_000, step=1_000)
    a = network["a"]

    (hold,) = holds_of(a)

    assert (hold.peer, hold.count) == ("c", 2)
    assert hold.since_ms == WALL_MS + 60_000
    a.restart()
    assert {(h.peer, h.count) for h in holds_of(a)} == {("b", 1), ("c", 2)}
    network.advance(700_000, step=5_000)
    assert holds_of(a) == []


def test_a_peer_that_was_named_and_never_met_holds_back_tombstones_and_nothing_else():
    """What it wrote before it was ever reached is older than a remove, and must meet it."""
    network = line("a", "b")
    c = network.nodes["c"] = Node(network, "c", OPTIONS, network["a"].policies)
    for node in (network["a"], network["b"]):
        record = node.engine.register(Peer("c", "127.0.0.1", 4043), PeerSource.MANUAL, node.now)
        assert record is not None
        node.commit(record)
    c.write(("k", "of c"))
    network["a"].write(("k", "of a"))
    network.advance(1_000, step=100)
    network["b"].remove("k")
    network.advance(200_000, step=1_000)
    assert tombstones(network)[:2] == [1, 1]
    assert rows(network)[:2] == [0, 0]
    (hold,) = holds_of(network["a"])
    assert (hold.peer, hold.count) == ("c", 1)

    network.join("a", "c")
    network.join("b", "c")
    network.run()

    assert [node.items() for node in network.nodes.values()] == [{}, {}, {}]
    network.advance(200_000, step=1_000)
    assert tombstones(network) == [0, 0, 0]
    assert rows(network) == [0, 0, 0]


def test_a_peer_that_was_never_met_is_waited_for_no_longer_than_one_that_is_away():
    network = line("a", "b", options=SMALL)
    a = network["a"]
    record = a.engine.register(Peer("c", "127.0.0.1", 4043), PeerSource.MANUAL, a.now)
    assert record is not None
    a.commit(record)
    a.write(("k", 1))
    a.remove("k")
    network.advance(SMALL.max_offline_ms, step=1_000)
    (hold,) = holds_of(a)
    assert (hold.peer, hold.count) == ("c", 1)

    network.advance(60_000, step=1_000)

    assert holds_of(a) == []
    assert tombstones(network) == [0, 0]
    assert a.engine.members["c"].is_met is False


def test_a_key_that_is_written_while_removed_ones_are_counted_is_not_one_of_them():
    network = line("a", "b")
    a = network["a"]
    network.cut(a)
    a.write(("key", 1))
    # As it stands in the list that was taken a moment before.
    a.engine.replica.tombstones["key"] = None

    assert holds_of(a) == []


def test_an_acknowledgement_does_not_tell_all_that_a_peer_has():
    """It is of some origins: a write of another one may be on its way to meet the remove."""
    network = line("a", "b")
    network["a"].write(("k", 1))
    network.advance(40_000, step=1_000)
    a, b = network["a"], network["b"]
    told = a.engine.membership.collector.known["b"][OWN].base

    a.remove("k")
    network.run()

    (session,) = a.engine.connections.sessions.values()
    assert session.known[OWN].base == 2
    assert a.engine.membership.collector.known["b"][OWN].base == told == 1
    network.advance(400_000, step=1_000)
    assert "k" not in a.engine.replica.entries
    assert "k" not in b.engine.replica.entries


def test_a_second_connection_leaves_a_snapshot_alone_that_goes_over_the_first():
    """Both nodes dial. What greeted second ended the snapshot, whose range was sent for ever."""
    network = line("a", "b", options=replace(SMALL, window=1))
    network["a"].write(*[(f"k{i}", i) for i in range(10)])
    network["a"].remove("k0")
    network.advance(200_000, step=1_000)
    network.nodes["c"] = type(network["a"])(
        network, "c", replace(SMALL, window=1), network["a"].policies
    )
    first = network.join("a", "c")
    while not network["c"].engine.delivery.snapshots.incoming:
        for node in network.nodes.values():
            node.poll()
        network.deliver()

    network.join("c", "a")
    network.run()

    connections = network["a"].engine.connections
    assert connections.of_peer("c") is connections.sessions[first]
    assert network.messages(SnapshotBegin) == [("a", "c")]
    agree(network)


def test_a_second_node_of_the_name_leaves_a_snapshot_alone_that_the_first_one_sends():
    """It began one before it was refused; the first one's end was ignored ever after."""
    options = replace(SMALL, window=1)
    network = line("a", "b", options=options)
    network["a"].write(*[(f"k{i}", i) for i in range(10)])
    network.advance(400_000, step=1_000)
    node = type(network["a"])
    network.nodes["twin"] = node(network, "a", options, network["a"].policies)
    network["twin"].life = 100
    network["twin"].start()
    network.nodes["c"] = node(network, "c", options, network["a"].policies)
    network.join("c", "a")
    while not network["c"].engine.delivery.snapshots.incoming:
        for each in network.nodes.values():
            each.poll()
        network.deliver()
    (incoming,) = network["c"].engine.delivery.snapshots.incoming.values()

    network["twin"].engine.delivery.snapshots.unequal.add("c")
    network.join("twin", "c")
    while not any(begun.snapshot != incoming.id for begun in begins(network)):
        network["twin"].poll()
        network["c"].poll()
        network.deliver()
    network.run()

    assert {begun.snapshot for begun in begins(network)} > {incoming.id}
    assert network["c"].items() == network["a"].items()
    assert not network["a"].engine.delivery.snapshots.serving


def begins(network: Network) -> list[SnapshotBegin]:
    return [message for _, _, message in network.sent if isinstance(message, SnapshotBegin)]


def test_a_range_of_an_abandoned_snapshot_says_nothing_of_the_next_one():
    """Both come in one turn: the range is merged when the next snapshot has begun already."""
    network = Network("a", "b", policies=Policies(Policy.MANUAL, {}, "manual"))
    link = network.join("a", "b")
    network.run()
    network.passes = lambda _from, _to, _message: False
    a, b = network["a"], network["b"]
    session, snapshots = a.engine.connections.of_peer("b"), a.engine.delivery.snapshots
    assert session is not None

    def next_message() -> Message:
        have, limits = a.engine.have(), a.options.batch
        message = snapshots.next_message(a.engine.replica, session, have, limits, 0)
        assert message is not None
        session.launch(Flight(message, [], 0, 0, 0))
        return message

    a.write(("key", "of a"))
    b.write(("key", "of b"))
    snapshots.unequal.add("b")
    begin, range_of_one = next_message(), next_message()
    network.passes = lambda sender, _to, message: sender is b and isinstance(message, Batch)
    network.run()
    assert len(siblings_of(a.engine.replica.entries["key"])) == 2
    snapshots.serving.clear()
    snapshots.unequal.add("b")
    next_begin = next_message()

    messages = (begin, range_of_one, next_begin)
    decided = [b.engine.receive(link, m, encode(m), b.now) for m in messages]
    for record in decided:
        if record is not None:
            b.commit(record)
    range_of_both = next_message()
    b.receive(link, encode(range_of_both))
    session.flights.clear()
    b.receive(link, encode(next_message()))

    assert len(siblings_of(b.engine.replica.entries["key"])) == 2
    assert b.digest == a.digest


def test_parts_of_a_snapshot_that_were_lost_do_not_hold_up_each_one_behind_them():
    options = replace(SMALL, window=8)
    network = line("a", "b", options=options)
    network["a"].write(*[(f"k{i:02}", i) for i in range(60)])
    network.advance(100_000, step=1_000)
    network.nodes["new"] = type(network["a"])(network, "new", options, network["a"].policies)
    sent = count()

    def loses_some(_from: Node, _to: Node, message: Message) -> bool:
        return not isinstance(message, SnapshotRange) or next(sent) % 3 != 0

    network.passes = loses_some
    network.join("new", "b")
    network.advance(30_000, step=100)
    network.passes = lambda _from, _to, _message: True
    network.advance(25_000, step=100)

    assert network["new"].items() == network["a"].items()


@pytest.mark.parametrize("kind", [SnapshotBegin, SnapshotRange, SnapshotCommit])
def test_a_part_of_a_snapshot_that_a_full_connection_did_not_take_leaves_soon(kind):
    network = line("a", "b", options=SMALL)
    network["a"].write(*[(f"k{i:02}", i) for i in range(30)])
    network.advance(100_000, step=1_000)
    network.nodes["new"] = type(network["a"])(network, "new", SMALL, network["a"].policies)
    refused: list[Message] = []

    def refuses_one(sender: Node, _to: Node, message: Message) -> bool:
        if not refused and isinstance(message, kind):
            refused.append(message)
            sender.engine.unsent(link, message, sender.now)
            return False
        return True

    network.passes = refuses_one
    link = network.join("new", "b")
    network.advance(2_500, step=10)

    assert refused
    assert network["new"].items() == network["a"].items()
    assert network["b"].state.total_retries == 0

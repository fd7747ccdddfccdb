"""A node that lacks much gets it from one of its neighbours; when that one fails, from another."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from softadastra.sync.batches import Limits
from softadastra.sync.messages import Ack, Batch, SnapshotRange
from softadastra.sync.session import BEHIND_MIN
from softadastra.sync.settings import EngineOptions
from tests.engines import OPTIONS, Network, Node

NAMES = "abcdefgh"
CROSSING_MS = 150
"""So slow that a newcomer takes longer to get all than anybody waits."""
RING = [*zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)]
RANDOM = [*RING, ("a", "d"), ("b", "g"), ("c", "f"), ("e", "h")]
MESH = [*combinations(NAMES, 2)]


def settled(
    edges: list[tuple[str, str]], *, writers: str, each: int, options: EngineOptions = OPTIONS
) -> Network:
    """Give a network at rest, of which some nodes have written."""
    network = Network(*NAMES, options=options)
    for name in writers:
        network[name].write(*[(f"{name}-{i}", i) for i in range(each)])
    for one, other in edges:
        network.join(one, other)
    network.advance(5_000)
    assert len({network[name].digest for name in NAMES}) == 1
    network.nodes["new"] = Node(network, "new", options, network["a"].policies)
    network.sent.clear()
    return network


def let_collect(network: Network) -> None:
    """Let time pass until all index rows are collected."""
    network.advance(240_000, step=1_000)
    for name in NAMES:
        assert not any(len(log) for _, log in network[name].engine.replica.haves())
    network.sent.clear()


def pass_slowly(network: Network, duration_ms: int) -> None:
    """Let time pass, in which all that is sent takes a while to arrive."""
    end = network.now_ms + duration_ms
    while network.now_ms < end:
        for node in network.nodes.values():
            node.poll()
        network.now_ms += CROSSING_MS
        network.deliver()


def copies_sent_to(network: Network, name: str) -> Counter[tuple[str, int]]:
    """Count how often each write was sent to a node."""
    copies: Counter[tuple[str, int]] = Counter()
    for _, to, message in network.sent:
        if isinstance(message, Batch) and to == name:
            for origin, first, runs in message.claims:
                writer = message.origins[origin].node_id
                written = sum(run[0] for run in runs)
                copies.update((writer, n) for n in range(first, first + written))
    return copies


@pytest.mark.parametrize(("writers", "each"), [("c", 4_000), (NAMES, 500)])
@pytest.mark.parametrize(("edges", "neighbours"), [(RING, "ah"), (RANDOM, "bdgh"), (MESH, NAMES)])
def test_a_newcomer_gets_each_write_once_however_many_neighbours_have_it(
    edges, neighbours, writers, each
):
    network = settled(edges, writers=writers, each=each)

    for name in neighbours:
        network.join("new", name)
    pass_slowly(network, 15_000)

    copies = copies_sent_to(network, "new")
    assert network["new"].digest == network["a"].digest
    assert len(copies) == 4_000
    assert copies.total() <= 1.02 * 4_000


def test_who_comes_back_gets_each_write_once():
    network = settled(MESH, writers=NAMES, each=10)
    network.cut(network["h"])
    for name in "abcdefg":
        network[name].write(*[(f"later-{name}-{i}", i) for i in range(500)])
    network.advance(5_000)
    network.sent.clear()

    for name in "abcdefg":
        network.join("h", name)
    pass_slowly(network, 10_000)

    assert len({network[name].digest for name in NAMES}) == 1
    assert copies_sent_to(network, "h").total() <= 1.02 * 7 * 500


CUTS = replace(OPTIONS, batch=Limits(256, 262_144), window=2)


@pytest.mark.parametrize("after_batches", range(1, 15))
def test_when_the_chosen_neighbour_dies_another_one_goes_on_as_soon_as_that_is_told(after_batches):
    """The writer is lost for good, and one after the other of those who have its writes."""
    network = settled(MESH, writers="c", each=4_000, options=CUTS)
    network.cut(network["c"])
    links = {name: network.join("new", name) for name in "abdefgh"}
    while network.messages(Batch).count(("a", "new")) < after_batches:
        pass_slowly(network, CROSSING_MS)

    network.close(links["a"])
    told_ms = network.now_ms + 250 + 2 * CROSSING_MS
    while not network.messages(Batch).count(("b", "new")):
        pass_slowly(network, CROSSING_MS)
    went_on_ms = network.now_ms
    pass_slowly(network, 10_000)

    assert went_on_ms <= told_ms + CROSSING_MS
    assert network["new"].digest == network["b"].digest
    assert {sender for sender, to in network.messages(Batch) if to == "new"} <= {"a", "b"}
    under_way = CUTS.window * CUTS.batch.entries
    assert copies_sent_to(network, "new").total() <= 4_000 + under_way


def test_what_the_chosen_neighbour_may_not_send_yet_comes_from_another_one():
    """It has written over it, and holds its own writes back."""
    network = settled(MESH, writers="c", each=4_000)
    network["a"].options = replace(OPTIONS, auto_queue=False)
    network["a"].restart()
    network["a"].write(*[(f"c-{i}", "held") for i in range(2_000)])
    network.cut(network["c"])
    for name in "abd":
        network.join("new", name)

    pass_slowly(network, 9_000)

    assert network["new"].digest == network["b"].digest
    assert network["new"].get("c-0") == 0
    assert copies_sent_to(network, "new").total() <= 1.5 * 4_000


def test_who_has_not_got_it_either_is_not_waited_for():
    """In a line, where the next node but one has the smaller name."""
    network = Network(*NAMES)
    for near, far in zip(NAMES[1:], NAMES, strict=False):
        network.join(near, far)
    network.advance(1_000, step=50)

    network["h"].write(*[(f"k{i}", i) for i in range(3 * BEHIND_MIN)])
    network.run()

    assert network["a"].digest == network["h"].digest


def test_who_offers_what_has_come_is_told_soon_that_it_has_and_nobody_else():
    network = Network("a", "b", "c", "new")
    network["a"].write(*[(f"k{i}", i) for i in range(2 * BEHIND_MIN)])
    network.join("a", "b")
    network.advance(1_000)
    for name in "abc":
        network.join("new", name)
    network.sent.clear()

    network.advance(600, step=50)

    assert network["c"].digest == network["a"].digest
    assert {sender for sender, to in network.messages(Batch) if to == "new"} == {"a"}
    assert ("new", "b") in network.messages(Ack)
    assert ("new", "c") not in network.messages(Ack)


def test_what_was_here_before_is_told_to_nobody_but_who_sent_it_again():
    network = Network("a", "b", "c")
    links = [network.join(one, other) for one, other in combinations("abc", 2)]
    network.advance(1_000)
    network["a"].write(("k", 1))
    network.advance(1_000)
    batch = next(message for _, to, message in network.sent if isinstance(message, Batch))
    network.sent.clear()

    network.send(network["a"], links[0], batch)
    network.advance(1_000)

    assert network.messages(Ack) == [("b", "a")]


def ranges_sent_to_the_newcomer(network: Network) -> Counter[str]:
    """Count the ranges of snapshots, by who sent them."""
    return Counter(a for a, to in network.messages(SnapshotRange) if to == "new")


@pytest.mark.parametrize(("edges", "neighbours"), [(RING, "ah"), (RANDOM, "bdgh"), (MESH, NAMES)])
def test_where_all_is_collected_a_newcomer_gets_one_snapshot(edges, neighbours):
    network = settled(edges, writers=NAMES, each=500)
    let_collect(network)

    for name in neighbours:
        network.join("new", name)
    pass_slowly(network, 10_000)

    assert network["new"].digest == network["a"].digest
    assert network["new"].engine.have() == network["a"].engine.have()
    assert ranges_sent_to_the_newcomer(network) == {neighbours[0]: 63}
    assert copies_sent_to(network, "new").total() == 0


def test_while_a_newcomer_gets_its_snapshot_from_another_it_is_not_forgotten():
    """What is written meanwhile comes too: at the latest when the snapshot is there."""
    network = settled(MESH, writers=NAMES, each=500)
    let_collect(network)
    for name in NAMES:
        network.join("new", name)

    for i in range(20):
        for name in NAMES:
            network[name].write((f"meanwhile-{name}-{i}", i))
        pass_slowly(network, 300)
    pass_slowly(network, 4_000)

    assert len({node.digest for node in network.nodes.values()}) == 1
    assert ranges_sent_to_the_newcomer(network).keys() == {"a"}


@pytest.mark.parametrize("after_ranges", range(1, 15))
def test_when_the_sender_of_a_snapshot_dies_another_one_sends_one_at_once(after_ranges):
    network = settled(MESH, writers=NAMES, each=500, options=CUTS)
    let_collect(network)
    links = {name: network.join("new", name) for name in NAMES}
    while ranges_sent_to_the_newcomer(network)["a"] < after_ranges:
        pass_slowly(network, CROSSING_MS)

    network.close(links["a"])
    told_ms = network.now_ms + 250 + 2 * CROSSING_MS
    while not ranges_sent_to_the_newcomer(network)["b"]:
        pass_slowly(network, CROSSING_MS)
    went_on_ms = network.now_ms
    pass_slowly(network, 10_000)

    # Its beginning is acknowledged before its first range leaves.
    assert went_on_ms <= told_ms + 3 * CROSSING_MS
    assert network["new"].digest == network["b"].digest
    assert network["new"].engine.have() == network["b"].engine.have()
    assert ranges_sent_to_the_newcomer(network).keys() == {"a", "b"}


def newcomer_to_writes() -> Network:
    network = settled(MESH, writers="c", each=4_000)
    network.cut(network["c"])
    return network


def newcomer_to_a_snapshot() -> Network:
    network = settled(MESH, writers=NAMES, each=500)
    let_collect(network)
    return network


@pytest.mark.parametrize(
    ("begin", "bringing"), [(newcomer_to_writes, Batch), (newcomer_to_a_snapshot, SnapshotRange)]
)
def test_when_the_chosen_neighbour_brings_nothing_the_others_do_after_a_second(begin, bringing):
    network = begin()
    network.passes = lambda sender, _, message: (
        sender.name != "a" or not isinstance(message, bringing)
    )
    for name in "abd":
        network.join("new", name)

    network.advance(1_000, step=50)
    assert network["new"].items() == {}
    network.advance(400, step=50)

    assert network["new"].digest == network["b"].digest


def test_a_neighbour_that_may_send_no_snapshot_is_not_waited_for_while_others_go_on_writing():
    network = settled(MESH, writers=NAMES, each=500)
    let_collect(network)
    network["a"].options = replace(OPTIONS, auto_queue=False)
    network["a"].restart()
    network["a"].write(("held", 1))
    for name in NAMES[1:]:
        network.join("a", name)
    network.join("new", "a")
    network.join("new", "b")

    for i in range(20):
        network["b"].write((f"meanwhile-{i}", i))
        pass_slowly(network, 300)

    assert network["new"].get("h-0") == 0
    assert ranges_sent_to_the_newcomer(network).keys() == {"b"}


def test_a_small_snapshot_waits_for_nobody():
    network = settled(MESH, writers="c", each=BEHIND_MIN)
    let_collect(network)
    for name in "ab":
        network.join("new", name)

    network.run()

    assert network["new"].digest == network["a"].digest

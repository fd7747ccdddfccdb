"""Who brings a peer what another node wrote, and when: few, and none too late."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from softadastra.sync.messages import Ack, Batch, Have
from tests.engines import Network

NAMES = "abcdefgh"
STEP_MS = 50


def mesh(*, is_settled: bool = True) -> Network:
    """Give nodes that are all connected."""
    network = Network(*NAMES)
    for one, other in combinations(NAMES, 2):
        network.join(one, other)
    network.run()
    if is_settled:
        network.advance(5_000)
    network.sent.clear()
    return network


def cut_data(network: Network, writer: str, receiver: str) -> None:
    """Let what one writes never come to another one, who is connected to it."""
    network.passes = lambda sender, to, message: (
        not isinstance(message, Batch) or (sender.name, to.name) != (writer, receiver)
    )


def relays_to(network: Network, receiver: str, writer: str) -> list[str]:
    """Give who has sent a node a batch, but for the writer."""
    batches = network.messages(Batch)
    return [name for name, to in batches if to == receiver and name != writer]


def test_who_writes_right_after_all_have_met_sends_it_once_to_each():
    """All at one moment: nobody was told by a timer who is connected to whom."""
    network = mesh(is_settled=False)

    for name in NAMES:
        network[name].write((name, 1))
        network.run()
    network.advance(5_000, step=STEP_MS)

    assert len({node.digest for node in network.nodes.values()}) == 1
    assert set(Counter(network.messages(Batch)).values()) == {1}


def test_new_neighbours_are_told_before_what_this_node_writes():
    network = Network(*"abc")
    network.join("a", "b")
    network.advance(1_000)
    network.join("a", "c")
    network.run()
    network.sent.clear()

    network["a"].write(("k", 1))
    network["a"].poll()

    told = [message for a, b, message in network.sent if (a, b) == ("a", "b")]
    assert [type(message) for message in told] == [Have, Batch]
    assert isinstance(told[0], Have)
    assert told[0].neighbours == frozenset("bc")


def test_a_have_is_told_early_only_when_there_are_new_neighbours():
    network = mesh()

    network["a"].write(("k", 1))
    network.run()

    assert network.messages(Have) == []


def test_when_the_writer_does_not_get_through_one_after_a_second_then_two_then_four():
    """`h` is connected to the writer and gets nothing from it, nor from those who relay."""
    network = mesh()
    network.passes = lambda _, to, message: to.name != "h" or not isinstance(message, Batch)
    network["a"].write(("k", 1))
    network.run()

    relays = []
    for _ in range(4):
        network.advance(500, step=STEP_MS)
        relays.append(len(relays_to(network, "h", "a")))
        network.advance(500, step=STEP_MS)

    assert relays == [0, 1, 3, 6]


def test_what_one_of_the_neighbours_relays_the_others_do_not():
    network = mesh()
    cut_data(network, "a", "h")

    network["a"].write(("k", 1))
    network.advance(20_000, step=STEP_MS)

    assert network["h"].get("k") == 1
    assert len(relays_to(network, "h", "a")) == 1


def test_who_relays_differs_from_writer_to_writer():
    first = set()
    for writer in "abcdefg":
        network = mesh()
        cut_data(network, writer, "h")
        network[writer].write(("k", 1))
        network.advance(3_000, step=STEP_MS)
        first.update(relays_to(network, "h", writer))

    assert len(first) > 2


@pytest.mark.parametrize(("writers", "relays"), [("a", 3), (NAMES[:-1], 0)])
def test_nothing_is_relayed_to_who_owes_an_answer_from_before(writers, relays):
    """Of a peer that is silent nobody knows what it has; what it did not answer comes no sooner."""
    network = mesh()
    network.passes = lambda sender, _, __: sender.name != "h"

    for name in writers:
        network[name].write((name, 1))
    network.advance(2_500, step=STEP_MS)

    assert len(relays_to(network, "h", "a")) - (len(writers) - 1) == relays


def test_who_lost_the_writer_is_served_at_once_though_the_writer_has_not_noticed():
    network = Network(*"abc")
    network.join("a", "b")
    network.join("b", "c")
    lost = network.join("a", "c")
    network.advance(1_000)
    c = network["c"]
    c.engine.connections.down(lost, "lost", c.now)
    network.advance(300, step=STEP_MS)
    assert "c" in network["a"].engine.connections.active

    network["a"].write(("k", 1))
    network.run()

    assert c.get("k") == 1


def test_who_is_told_by_the_writer_alone_of_a_new_neighbour_leaves_it_to_the_writer():
    """The neighbour may tell late: here it tells nothing of it."""
    network = Network(*"abc")
    network.join("a", "b")
    network.join("b", "c")
    network.advance(1_000)
    network.passes = lambda sender, to, message: (
        (sender.name, to.name) != ("c", "b") or isinstance(message, Ack)
    )
    network.join("a", "c")
    network.run()
    network.sent.clear()

    network["a"].write(("k", 1))
    network.advance(5_000, step=STEP_MS)

    assert sorted(network.messages(Batch)) == [("a", "b"), ("a", "c")]


def test_how_long_a_batch_takes_to_be_acknowledged_is_how_long_others_are_given():
    network = mesh()
    a = network["a"]
    link = a.engine.connections.active["h"]
    patience = a.engine.connections.sessions[link].patience
    before_ms = patience.length_ms

    a.write(("k", 1))
    for node in (a, network["h"]):
        node.poll()
        network.now_ms += 1_500
        network.deliver()

    assert before_ms == 1_000
    assert patience.length_ms > 3_000

"""Logs that are copied, restored and wiped: nobody loses a write, and nobody is harmed."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from itertools import combinations, permutations

import pytest

from softadastra.store.changes import OWN
from softadastra.store.dots import DotSet
from softadastra.store.policies import LAST_WRITE_WINS, Policies, Policy
from softadastra.sync.batches import Limits
from softadastra.sync.messages import (
    Batch,
    Message,
    Pong,
    Reject,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.notices import each
from softadastra.sync.snapshots import LAST_KEY
from softadastra.sync.status import conflicts
from softadastra.sync.wire import encode
from tests.described import described
from tests.engines import OPTIONS, Network, Node

MANUAL = Policies(Policy.MANUAL, {}, "manual")
EMPTY = Batch(id=0, told=0, origins=[], lives=[], claims=[], keys=[], columns=([],) * 6, states=[])


def meet(network: Network, left: str, right: str) -> None:
    """Let two nodes meet, as often as they end their connection, and part."""
    for _ in range(12):
        network.join(left, right)
        network.advance(2_000, step=100)
        if network.links:
            break
    network.cut(network[left])


def meet_all(network: Network) -> None:
    for _ in range(3):
        for left, right in combinations(network.nodes, 2):
            meet(network, left, right)


def agree(network: Network) -> dict[str, object]:
    first, *others = network.nodes.values()
    for other in others:
        assert other.items() == first.items()
        assert other.digest == first.digest
        assert other.engine.have() == first.engine.have()
    return dict(first.items())


def restored(*names: str, writes: int = 3, policies: Policies = LAST_WRITE_WINS) -> Network:
    """A network of which `a` lost its last three writes, that all others have, and wrote on."""
    network = Network(*names, policies=policies)
    network["a"].write(("common", 0))
    meet_all(network)
    copy = list(network["a"].log)
    for i in range(3):
        network["a"].write((f"lost{i}", i))
    meet(network, "a", "b")
    restore(network["a"], copy)
    for i in range(writes):
        network["a"].write((f"new{i}", i))
    return network


def restore(node: Node, copy: list[tuple[int, bytes]]) -> None:
    node.log = list(copy)
    node.restart()


def told(node: Node, event: str) -> list[dict[str, object]]:
    return [n.fields for n in each(node.engine.notices.waiting) if n.event == event]


@pytest.mark.parametrize("writes", [0, 1, 3, 5])
def test_a_restored_node_keeps_what_it_wrote_since_and_gets_back_what_it_lost(writes):
    network = restored("a", "b", writes=writes)
    before = network["a"].engine.replica.origins[OWN]

    meet(network, "a", "b")

    items = agree(network)
    assert items.keys() == {"common", *(f"lost{i}" for i in range(3))} | {
        f"new{i}" for i in range(writes)
    }
    assert network["a"].engine.replica.origins[OWN] != before
    (facts,) = told(network["a"], "identity.renewed")
    assert (facts["moved"], facts["lost"]) == (writes, 3)
    assert network["a"].state.last_submitted_version == writes
    assert network["a"].state.acknowledged_count == writes


def test_what_was_split_off_survives_a_restart_and_numbers_go_on():
    network = restored("a", "b")
    meet(network, "a", "b")
    before = (network["a"].digest, network["a"].engine.have())

    network["a"].restart()

    assert (network["a"].digest, network["a"].engine.have()) == before
    network["a"].write(("more", 1))
    meet(network, "a", "b")
    assert agree(network)["more"] == 1
    assert network["a"].engine.replica.top == 4


def test_a_life_whose_first_write_was_lost_with_the_power_never_was():
    """Its record may be durable without the write behind it; the next life has the same number."""
    network = Network("a", "b")
    network["a"].write(("k", 0))
    network["a"].restart()
    network["a"].write(("lost with the power", 1))
    network["a"].log.pop()
    network["a"].restart()
    network["a"].write(("k", 2))

    meet(network, "a", "b")

    assert agree(network) == {"k": 2}
    for node in network.nodes.values():
        origin = node.engine.replica.origins.number(network["a"].engine.replica.origins[OWN])
        assert [life.first for life in node.engine.replica.history(origin)] == [0, 1, 2]


@pytest.mark.parametrize("order", list(permutations(["ab", "bc", "ac"])))
@pytest.mark.parametrize("writes", [1, 3, 5])
def test_whoever_meets_first_after_a_restore_all_keep_all(order, writes):
    """Another node may take the new writes under the old numbers before anybody notices."""
    network = restored("a", "b", "c", writes=writes)

    for left, right in order:
        meet(network, left, right)
    meet_all(network)

    assert len(agree(network)) == 4 + writes


def wipe(node: Node) -> None:
    node.log = []
    node.incarnation += 1
    node.restart()


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("relays", [False, True])
@pytest.mark.parametrize("policies", [LAST_WRITE_WINS, MANUAL])
def test_a_number_that_only_a_context_names_is_not_given_to_another_write(writes, relays, policies):
    """Who has the write that overwrote it knows nothing else of it, and all who had it lost it."""
    options = replace(OPTIONS, batch=Limits(1, 262_144), window=1)
    network = Network("a", "b", "c", "d", options=options, policies=policies)
    network["a"].write(("common", 0))
    meet_all(network)
    copy = list(network["a"].log)
    network["a"].write(("k", "lost"))
    meet(network, "a", "b")
    network["b"].write(("k", "over it"))
    network.passes = lambda _from, _to, message: not isinstance(message, Batch) or message.id == 1
    meet(network, "b", "c")
    network.passes = lambda *_: True
    (before,) = [o for o in network["c"].engine.have() if o.node_id == "a"]
    assert (network["c"].get("k"), network["c"].engine.have()[before]) == ("over it", DotSet(1))
    wipe(network["b"])
    restore(network["a"], copy)
    for i in range(writes):
        network["a"].write(("k", f"new {i}"))

    if relays:
        meet(network, "a", "d")
        meet(network, "d", "c")
    meet(network, "a", "c")
    network["a"].write(("k2", "and on"))
    meet_all(network)

    items = agree(network)
    assert (items["common"], items["k2"]) == (0, "and on")
    assert items["k"] == (f"new {writes - 1}" if writes else "over it")
    listed = {
        value.value
        for node in network.nodes.values()
        for conflict in conflicts(node.engine.replica)
        for value in conflict.values
    }
    assert listed == ({items["k"], "over it"} if writes else set())


@pytest.mark.parametrize("first", ["bc", "cd"])
def test_both_branches_are_kept_when_their_writer_never_comes_back(first):
    network = restored("a", "b", "c", "d")
    meet(network, "a", "c")
    del network.nodes["a"]

    meet(network, *first)
    meet_all(network)

    assert len(agree(network)) == 7


def test_a_key_that_both_branches_wrote_is_a_conflict():
    network = Network("a", "b", policies=MANUAL)
    network["a"].write(("k", "common"))
    meet(network, "a", "b")
    copy = list(network["a"].log)
    network["a"].write(("k", "lost"))
    meet(network, "a", "b")
    restore(network["a"], copy)
    network.now_ms += 1
    network["a"].write(("k", "new"))

    meet(network, "a", "b")

    agree(network)
    (conflict,) = conflicts(network["b"].engine.replica)
    assert [value.value for value in conflict.values] == ["new", "lost"]


def test_an_overwrite_in_a_branch_still_supersedes_what_was_common():
    network = Network("a", "b", "c")
    network["a"].write(("k", "common"))
    meet_all(network)
    copy = list(network["a"].log)
    network["a"].write(("lost", 1))
    meet(network, "a", "b")
    restore(network["a"], copy)
    network["a"].write(("k", "overwritten"))

    meet_all(network)

    assert agree(network) == {"k": "overwritten", "lost": 1}


def test_copies_of_a_copy_that_all_write_on_lose_nothing():
    network = Network("a", "b", "c")
    network["a"].write(("common", 0))
    copy = list(network["a"].log)
    for i in range(4):
        restore(network["a"], copy)
        network["a"].write((f"of copy {i}", i), ("all", i))
        meet(network, "a", "bc"[i % 2])
        if i == 1:
            copy = list(network["a"].log)

    meet_all(network)

    assert agree(network).keys() == {"common", "all", *(f"of copy {i}" for i in range(4))}


@pytest.mark.parametrize("when", ["it began", "it was complete"])
def test_a_snapshot_does_not_join_histories_that_parted_since_the_greeting(when):
    """What its sender had is another history than what came here from elsewhere meanwhile."""
    network = restored("a", "b", "c", "d", writes=1)
    meet(network, "a", "d")
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    link = network.join("b", "c")
    network.run()
    network.passes = lambda _from, to, _message: to is not network["b"]
    b = network["b"]
    said: list[Message] = [
        SnapshotBegin(7, 101, b.engine.have(), {}),
        SnapshotRange(7, None, LAST_KEY, True, replace(EMPTY, id=102)),
        SnapshotCommit(7, 103),
    ]
    for message in said:
        if isinstance(message, SnapshotBegin if when == "it began" else SnapshotCommit):
            other = network.join("d", "c")
            network.run()
            network.close(other)
        network.send(b, link, message)
        network.deliver()

    here = [dots for o, dots in network["c"].engine.have().items() if o.node_id == "a"]
    assert here == [DotSet(1), DotSet(1)]
    assert told(network["c"], "history.renamed") == [{"origin": "a", "moved": 1}]
    network.passes = lambda *_: True
    meet_all(network)
    assert len(agree(network)) == 5


def test_a_wiped_node_gets_everything_back_and_its_peer_says_so():
    network = Network("a", "b")
    network["a"].write(("k", 1))
    meet(network, "a", "b")
    wipe(network["a"])
    network["a"].write(("new", 2))

    meet(network, "a", "b")

    assert agree(network) == {"k": 1, "new": 2}
    assert told(network["b"], "peer.renewed") == [{"peer": "a"}]


def test_a_peer_that_lies_about_our_writes_does_not_renew_us_for_ever():
    network = Network("a", "b")
    network["a"].write(("k", 1))
    for _ in range(20):
        me = network["a"].engine.replica.origins[OWN]
        log = network["b"].engine.replica.logs[network["b"].engine.replica.origins.number(me)]
        log.collect(1, 10**6)
        meet(network, "a", "b")

    assert len(network["a"].engine.replica.origins) < 15


def with_twins(*names: str) -> tuple[Network, int]:
    """Give two nodes that are connected, others that are called as the first one, and the link."""
    network = Network("a", "b")
    for number, name in enumerate(names, 1):
        network.nodes[name] = Node(network, "a", OPTIONS, network["a"].policies)
        network[name].incarnation += number
        network[name].life = 100 * number
        network[name].start()
    link = network.join("a", "b")
    network.run()
    return network, link


def test_of_two_live_nodes_of_one_name_the_second_is_refused():
    network, _ = with_twins("twin")

    network.join("twin", "b")
    network.run()

    ((reject, _),) = [
        (message, to) for _, to, message in network.sent if isinstance(message, Reject)
    ]
    assert reject.reason.name == "DUPLICATE_IDENTITY"
    assert "another node that is alive is called 'a'" in reject.words
    assert network["a"].engine.connections.active.keys() == {"b"}


def test_who_comes_again_in_the_same_millisecond_is_refused_again():
    """The question was answered in it already, and nobody asked anew: the live one was dropped."""
    network, link = with_twins("twin")

    for _ in range(3):
        network.join("twin", "b")
        network.run()

    assert len(network.messages(Reject)) == 3
    network.advance(5_000, step=100)
    assert link in network["b"].engine.connections.sessions


def test_a_live_node_is_not_dropped_because_others_of_its_name_come_faster_than_it_answers():
    """Each is refused by an answer to what was asked when it came."""
    twins = ["one", "two", "three", "four"]
    network, link = with_twins(*twins)
    late: deque[tuple[int, Message]] = deque()

    def pass_later(sender: Node, _to: Node, message: Message) -> bool:
        if isinstance(message, Pong) and sender is network["a"]:
            late.append((network.now_ms + 20, message))
            return False
        return True

    network.passes = pass_later
    for turn in range(300):
        network.join(twins[turn % 4], "b")
        network.advance(10, step=10)
        while late and late[0][0] <= network.now_ms:
            network["b"].receive(link, encode(late.popleft()[1]))

    assert link in network["b"].engine.connections.sessions
    assert len(network.messages(Reject)) > 290


def test_a_node_that_was_restarted_takes_the_place_of_its_silent_former_life():
    network = Network("a", "b")
    network.join("a", "b")
    network.run()
    network.passes = lambda sender, _, message: sender.name != "a"
    network["a"].life = 50
    network["a"].start()
    network["a"].write(("k", 1))
    network.passes = lambda *_: True
    network.links = {}
    network["a"].engine.connections.sessions.clear()

    network.join("a", "b")
    network.advance(2_500, step=100)

    assert network["b"].get("k") == 1


def set_back(node: Node, copy: list[tuple[int, bytes]]) -> None:
    """Set a machine back together with its memory: its process is not opened again."""
    node.life -= 1
    restore(node, copy)


@pytest.mark.parametrize("policies", [LAST_WRITE_WINS, MANUAL])
@pytest.mark.parametrize("writes", [1, 2, 3])
@pytest.mark.parametrize("same_key", [True, False])
def test_numbers_that_stand_for_two_writes_are_found_and_both_are_kept(policies, writes, same_key):
    network = Network("a", "b", "c", policies=policies)
    network["a"].write(("common", 0))
    meet_all(network)
    copy = list(network["a"].log)
    for i in range(2):
        network["a"].write((f"k{i}", f"lost {i}"))
    meet(network, "a", "b")
    set_back(network["a"], copy)
    network.now_ms += 1
    for i in range(writes):
        network["a"].write((f"k{i}" if same_key else f"l{i}", f"new {i}"))

    for _ in range(3):
        for left, right in ("ac", "bc", "ab"):
            network.join(left, right)
        network.advance(200_000, step=500)
        network.cut(network["a"])
        network.cut(network["b"])

    agree(network)
    shown = {
        value.value
        for node in network.nodes.values()
        for conflict in conflicts(node.engine.replica)
        for value in conflict.values
    } | set(network["a"].items().values())
    assert shown == {0, "lost 0", "lost 1", *(f"new {i}" for i in range(writes))}
    assert any(told(node, "write.doubled") for node in network.nodes.values())
    before = network["b"].digest
    network["b"].restart()
    assert network["b"].digest == before


def image(node: Node) -> tuple[int, list[tuple[int, bytes]]]:
    """A copy of a log: the incarnation in its header, and its records."""
    return node.incarnation, list(node.log)


def held(network: Network) -> set[str]:
    return {key for node in network.nodes.values() for key in node.items()}


def play(seed: int) -> None:
    """Copies are made and restored at any time; what one node has, everybody has at the end."""
    rng = random.Random(seed)
    policies = rng.choice([LAST_WRITE_WINS, MANUAL])
    network = Network(*"abcd"[: rng.choice([2, 3, 4])], policies=policies)
    copies = {name: [image(node)] for name, node in network.nodes.items()}
    for step in range(rng.choice([20, 40])):
        before = held(network)
        name = rng.choice(list(network.nodes))
        node = network[name]
        chance = rng.random()
        if chance < 0.4:
            node.write((f"{step}{name}", step), ("shared", f"{step}{name}"))
        elif chance < 0.7:
            left, right = rng.sample(list(network.nodes), 2)
            both = network[left].items().keys() | network[right].items().keys()
            meet(network, left, right)
            assert network[left].items().keys() == network[right].items().keys() == both
        elif chance < 0.8:
            copies[name].append(image(node))
        elif chance < 0.95:
            node.incarnation, copy = rng.choice(copies[name])
            restore(node, copy)
            before &= held(network)
        elif chance < 0.98:
            known = described(node.engine)
            node.compact()
            assert described(node.engine) == known
        else:
            node.restart()
        assert held(network) >= before
    before = held(network)
    meet_all(network)
    assert agree(network).keys() == before


@pytest.mark.parametrize("block", range(5))
def test_random_restores_lose_nothing(block):
    for seed in range(block * 30, block * 30 + 30):
        try:
            play(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed} fails") from error

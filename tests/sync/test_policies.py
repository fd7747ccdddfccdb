"""Conflicts: two writes that did not know of each other."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest

from softadastra.packing import pack_value
from softadastra.store.policies import Policies, Policy
from softadastra.store.siblings import RESOLUTION
from softadastra.sync.messages import Batch, Hello
from softadastra.sync.notices import each
from softadastra.sync.status import conflicts
from tests.engines import Network


def alone(policy: Policy) -> Policies:
    return Policies(policy, {}, policy.value)


def written_apart(policy: Policy, *names: str) -> Network:
    """Nodes that each wrote the same key with its own name, and have never met."""
    network = Network(*names, policies=alone(policy))
    for name in names:
        network.now_ms += 1
        network[name].write(("k", name))
    return network


def settle(network: Network) -> None:
    """Run until nothing moves and nobody has anything to settle."""
    for _ in range(20):
        network.run()
        if not sum(node.settle() for node in network.nodes.values()):
            return
    raise AssertionError("the nodes settle for ever")


def shown(network: Network, name: str) -> list[tuple[str, bool, list[object]]]:
    return [
        (c.key, c.is_open, [v.value for v in c.values])
        for c in conflicts(network[name].engine.replica)
    ]


def test_under_last_write_wins_the_loser_is_listed_where_it_lost():
    """Elsewhere it never was: what goes on from there is the winner, and that it supersedes."""
    network = written_apart(Policy.LAST_WRITE_WINS, "a", "b")
    network.join("a", "b")
    network.run()

    assert network["a"].get("k") == network["b"].get("k") == "b"
    assert shown(network, "a") + shown(network, "b") == [("k", False, ["b", "a"])]


def test_an_overwrite_is_no_conflict():
    network = Network("a", "b")
    network.join("a", "b")
    for name in "abab":
        network[name].write(("k", name + str(network.now_ms)))
        network.advance(100)

    assert shown(network, "a") == shown(network, "b") == []


def test_lost_writes_are_remembered_over_a_restart_and_bounded():
    network = written_apart(Policy.LAST_WRITE_WINS, "a", "b")
    network.join("a", "b")
    network.run()

    network["a"].restart()

    assert shown(network, "a") == [("k", False, ["b", "a"])]
    assert network["a"].engine.replica.lost.maxlen == 1_000


def test_a_resolution_strikes_the_conflict_off_where_it_was_made():
    network = written_apart(Policy.LAST_WRITE_WINS, "a", "b")
    network.join("a", "b")
    network.run()

    network["a"]._write([("k", pack_value("both", max_bytes=99), RESOLUTION)])
    network.run()

    assert shown(network, "a") == []
    assert network["b"].get("k") == "both"


@pytest.mark.parametrize("order", list(permutations(["ab", "bc", "ca"])))
def test_manual_keeps_all_and_shows_the_same_one_everywhere(order):
    network = written_apart(Policy.MANUAL, "a", "b", "c")
    for left, right in order:
        network.join(left, right)
        network.run()

    assert {node.get("k") for node in network.nodes.values()} == {"c"}
    for name in "abc":
        assert shown(network, name) == [("k", True, ["c", "b", "a"])]
    assert len({node.digest for node in network.nodes.values()}) == 1
    assert all(len(node.engine.replica) == 1 for node in network.nodes.values())


def test_a_write_over_a_manual_conflict_supersedes_all_that_its_writer_saw():
    network = written_apart(Policy.MANUAL, "a", "b")
    network.join("a", "b")
    network.run()

    network["a"].write(("k", "decided"))
    network.run()

    assert network["a"].get("k") == network["b"].get("k") == "decided"
    assert shown(network, "a") == shown(network, "b") == []


def test_a_resolution_leaves_a_write_that_it_did_not_see():
    network = written_apart(Policy.MANUAL, "a", "b", "c")
    network.join("a", "b")
    network.run()
    network["a"].write(("k", "of a and b"))

    network.join("b", "c")
    network.run()

    assert {str(v) for _, _, values in shown(network, "c") for v in values} == {"c", "of a and b"}


def test_where_siblings_are_kept_a_put_shows_before_a_concurrent_remove():
    network = Network("a", "b", policies=alone(Policy.MANUAL))
    link = network.join("a", "b")
    network["a"].write(("k", "old"))
    network.run()
    network.close(link)
    network["a"].write(("k", "new"))
    network.now_ms += 1_000
    network["b"].remove("k")
    network.join("a", "b")
    network.run()

    assert network["a"].get("k") == network["b"].get("k") == "new"
    assert shown(network, "b") == [("k", True, ["new", None])]


def test_under_last_write_wins_a_later_remove_beats_a_concurrent_put():
    network = Network("a", "b")
    link = network.join("a", "b")
    network["a"].write(("k", "old"))
    network.run()
    network.close(link)
    network["a"].write(("k", "new"))
    network.now_ms += 1_000
    network["b"].remove("k")
    network.join("a", "b")
    network.run()

    assert network["a"].items() == network["b"].items() == {}


@pytest.mark.parametrize("policy", [Policy.KEEP_LOCAL, Policy.KEEP_REMOTE])
@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_keep_local_and_keep_remote_converge_and_do_not_echo(policy, names):
    network = written_apart(policy, *names)
    for left, right in pairwise(names):
        network.join(left, right)
    settle(network)
    tops = [node.engine.replica.top for node in network.nodes.values()]

    settle(network)

    assert len({node.get("k") for node in network.nodes.values()}) == 1
    assert all(not node.engine.replica.conflicted for node in network.nodes.values())
    assert len({node.digest for node in network.nodes.values()}) == 1
    assert [node.engine.replica.top for node in network.nodes.values()] == tops
    assert max(tops) <= 4


def test_keep_local_keeps_what_the_node_wrote_when_it_alone_settles():
    network = written_apart(Policy.KEEP_LOCAL, "a", "b")
    network.join("a", "b")
    network.run()

    network["a"].settle()
    network.run()

    assert network["b"].get("k") == "a"


def test_a_node_settles_only_what_it_wrote_a_part_of():
    network = written_apart(Policy.KEEP_LOCAL, "a", "b")
    network.nodes["c"] = type(network["a"])(
        network, "c", network["a"].options, alone(Policy.KEEP_LOCAL)
    )
    network.join("a", "c")
    network.join("b", "c")
    network.run()

    assert network["c"].settle() == 0


def test_the_longest_prefix_decides():
    policies = Policies(
        Policy.LAST_WRITE_WINS, {"a/": Policy.MANUAL, "a/b/": Policy.KEEP_LOCAL}, ""
    )

    assert policies.of("a") is Policy.LAST_WRITE_WINS
    assert policies.of("a/x") is Policy.MANUAL
    assert policies.of("a/b/x") is Policy.KEEP_LOCAL


def test_nodes_of_different_policies_refuse_each_other_by_name():
    network = Network("a", "b")
    network["b"].policies = alone(Policy.MANUAL)
    network["b"].start()
    network.join("a", "b")

    network.run()

    assert network.links == {}
    (words,) = [
        str(n.fields["reason"])
        for n in each(network["a"].engine.notices.waiting)
        if n.event == "peer.rejected"
    ]
    assert "policy_mismatch" in words
    assert "'manual'" in words
    assert "'last_write_wins'" in words
    assert ("a", "b") in network.messages(Hello)


@pytest.mark.parametrize("order", list(permutations("cde")))
def test_what_concurrent_resolutions_leave_does_not_depend_on_their_order(order):
    """Of two resolutions only one counts; the other stays, for who overwrites only the first.

    It is listed where they met: what somebody had decided does not vanish without a word.
    """
    network = written_apart(Policy.MANUAL, "a", "b")
    for name in "cde":
        network.nodes[name] = type(network["a"])(
            network, name, network["a"].options, alone(Policy.MANUAL)
        )
    network.join("a", "b")
    network.run()
    for source in "cd":
        network.join("a", source)
    network.run()
    network.cut(network["a"])
    for name in "cd":
        network.now_ms += 1
        network[name]._write([("k", pack_value(name, max_bytes=99), RESOLUTION)])
    network["e"].write(("k", "e"))

    for left, right in pairwise(order):
        network.join(left, right)
        network.run()
    network.join(order[0], order[2])
    network.run()

    for name in "cde":
        assert shown(network, name) == [("k", True, ["e", "d"]), ("k", False, ["d", "c"])]
    assert len({network[name].digest for name in "cde"}) == 1
    network["e"].write(("k", "settled"))
    network.run()
    assert shown(network, "c") == [("k", False, ["d", "c"])]


@pytest.mark.parametrize("policy", [Policy.MANUAL, Policy.KEEP_LOCAL, Policy.LAST_WRITE_WINS])
@pytest.mark.parametrize("relay", [False, True])
def test_a_write_over_a_collected_tombstone_is_no_conflict_where_the_tombstone_is_still_held(
    policy, relay
):
    """keep_local once took the remove again, everywhere: the write no longer named it."""
    network = Network(*"abc" if relay else "ab", policies=alone(policy))
    links = [network.join(left, right) for left, right in pairwise(network.nodes)]
    network["a"].write(("k", "old"))
    network.run()
    network["a"].remove("k")
    network.run()
    last = network[list(network.nodes)[-1]]
    network["a"].engine.membership.collect_ms = 10**9
    network.advance(200_000, step=1_000)
    assert len(network["a"].engine.replica.tombstones) == 1
    assert not last.engine.replica.entries

    last.write(("k", "new"))
    network.close(links.pop())
    network.join(last.name, list(network.nodes)[-2])
    network.run()
    settle(network)

    assert {node.get("k") for node in network.nodes.values()} == {"new"}
    assert shown(network, "a") == []
    network["a"].restart()
    assert network["a"].get("k") == "new"
    assert len({node.digest for node in network.nodes.values()}) == 1


def test_a_batch_of_before_is_no_news_of_what_its_sender_had_later():
    """It is sent again and comes late: what it does not hold was not there when it was made."""
    network = Network("a", "b", policies=alone(Policy.MANUAL))
    link = network.join("a", "b")
    network.run()
    network.passes = lambda sender, _, message: sender.name != "b" or not isinstance(message, Batch)
    network["b"].write(("k", "of b"))
    network.run()
    late = network.sent[-1][2]
    network.now_ms += 1
    network["a"].write(("k", "of a"))
    network.advance(45_000)

    network.wire.append((link, network["a"], late))
    network.passes = lambda *_: True
    network.run()

    assert isinstance(late, Batch)
    assert shown(network, "a") == [("k", True, ["of a", "of b"])]
    assert network["a"].digest == network["b"].digest


def test_a_remove_settles_a_conflict_of_two_values():
    network = written_apart(Policy.MANUAL, "a", "b")
    network.join("a", "b")
    network.run()

    network["a"].remove("k")
    network.run()

    assert network["a"].items() == network["b"].items() == {}
    assert shown(network, "a") == shown(network, "b") == []


def test_concurrent_removes_are_no_conflict_and_are_collected():
    network = Network("a", "b", policies=alone(Policy.MANUAL))
    link = network.join("a", "b")
    network["a"].write(("k", 1))
    network.run()
    network.close(link)
    for name in "ab":
        network[name].remove("k")

    network.join("a", "b")
    network.advance(200_000, step=1_000)

    assert shown(network, "a") == shown(network, "b") == []
    assert [node.engine.replica.entries for node in network.nodes.values()] == [{}, {}]

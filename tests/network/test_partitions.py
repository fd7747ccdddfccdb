"""Three hosts whose switch does not carry what some of them send. As root, on Linux."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from softadastra.testing import wait_until
from tests.network.namespaces import Network
from tests.network.trio import NOTICED_SECONDS, Trio, connected, has_dialled_in_vain, in_step

pytestmark = pytest.mark.namespaces


@pytest.fixture
def trio(network: Network, tmp_path: Path) -> Trio:
    trio = Trio(network, tmp_path)
    trio.start_connected()
    return trio


def test_both_sides_of_a_partition_write_on_and_are_equal_after_it(
    network: Network, trio: Trio
) -> None:
    a, b, c = trio.nodes
    network.partition(trio.hosts[:2], trio.hosts[2:])
    with trio.writing("partition"):
        assert wait_until(lambda: connected(c) == set(), NOTICED_SECONDS)
        assert wait_until(lambda: connected(a) == {"node-b"}, NOTICED_SECONDS)
        # So that it is not a dial under way which finds the network whole.
        assert wait_until(lambda: all(map(has_dialled_in_vain, trio.nodes)), 20)
    assert wait_until(lambda: in_step([a, b]), 10)
    assert c.digest() != a.digest()
    lag = {peer.node_id: peer.lag for peer in a.peers()}
    assert lag["node-c"] > 0

    network.heal()
    trio.settle()


def test_a_short_partition_ends_no_connection(network: Network, trio: Trio, tmp_path: Path) -> None:
    """It is over before anybody is given up; TCP sends again what was lost."""
    network.partition(trio.hosts[:2], trio.hosts[2:])
    with trio.writing("short"):
        time.sleep(2.0)  # less than the 6 s after which a silent peer is lost

    network.heal()
    trio.settle()
    for node in trio.nodes:
        assert '"peer.lost"' not in (tmp_path / f"{node.node_id}.log").read_text()


@pytest.mark.parametrize("lost", ["what it sends", "what it is sent"])
def test_a_node_that_is_cut_off_one_way_takes_nothing_for_delivered(
    network: Network, trio: Trio, lost: str
) -> None:
    """A peer may have written down what it was sent: without its word that counts for nothing."""
    *others, host = trio.hosts
    *reachable, node = trio.nodes
    for other in others:
        if lost == "what it sends":
            network.drop(host, other)
        else:
            network.drop(other, host)

    with trio.writing("one way"):
        assert wait_until(lambda: connected(node) == set(), NOTICED_SECONDS)
        assert wait_until(lambda: all(len(connected(r)) == 1 for r in reachable), NOTICED_SECONDS)
    for each in trio.nodes:
        state = each.sync_state()
        assert (state.outbox_size > 100, state.acknowledged_count) == (True, 0)
        assert not each.wait_synced(0.1)

    network.heal()
    trio.settle()


def test_while_two_cannot_reach_each_other_the_third_relays(network: Network, trio: Trio) -> None:
    """Before the two have given each other up, after 6 s."""
    a, b, _ = trio.hosts
    for source, target in ((a, b), (b, a)):
        network.drop(source, target)
        with trio.writing(f"{source.name} is not heard"):
            time.sleep(1.0)  # fifty writes each
        assert wait_until(lambda: in_step(trio.nodes), 2), trio.told()
    network.heal()
    trio.settle()


def test_a_network_that_comes_and_goes_loses_nothing(network: Network, trio: Trio) -> None:
    """Ten times, for as long and between whom chance has it."""
    chance = random.Random("flapping")
    with trio.writing("flapping"):
        for _ in range(10):
            one, other, third = chance.sample(trio.hosts, 3)
            match chance.choice(["one way", "a pair", "a host"]):
                case "one way":
                    network.drop(one, other)
                case "a pair":
                    network.partition([one], [other])
                case _:
                    network.partition([one], [other, third])
            time.sleep(chance.uniform(0.1, 0.8))
            network.heal()
            time.sleep(chance.uniform(0.05, 0.2))

    trio.settle()


def test_connections_that_are_reset_are_made_anew_at_once(trio: Trio) -> None:
    """Nobody waits for silence or for `retry_interval`: the peer was there a moment ago."""
    a, b, c = trio.nodes
    with trio.writing("resets"):
        for _ in range(2):
            time.sleep(1.5)  # a connection that ends within a second is dialled more rarely
            with trio.hosts[2].resetting():
                assert wait_until(lambda: connected(c) == set(), 2)
                assert wait_until(lambda: connected(a) == {"node-b"}, 2)
                assert wait_until(lambda: connected(b) == {"node-a"}, 2)
            assert wait_until(lambda: len(connected(c)) == 2, 2), trio.told()
    trio.settle()

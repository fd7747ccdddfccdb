"""Nodes that named each other, and whose addresses and cables come and go. As root, on Linux.

What discovery makes of such a change is in `test_lan.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from softadastra.testing import wait_until
from softadastra.types import PeerSource
from tests.network.namespaces import ETHERNET, Network
from tests.network.trio import (
    HEALED_SECONDS,
    NOTICED_SECONDS,
    Trio,
    connected,
    in_step,
)

pytestmark = pytest.mark.namespaces


def test_who_moves_to_another_address_dials_those_who_stayed(
    network: Network, tmp_path: Path
) -> None:
    """They dial the address that people named, in vain, and let in who comes from another."""
    trio = Trio(network, tmp_path)
    trio.start_connected()
    a, b, c = trio.nodes
    with trio.writing("moving"):
        trio.hosts[2].readdress("10.77.0.99/24")
        c.put("k", "moved")
        assert wait_until(lambda: a.get("k") == b.get("k") == "moved", NOTICED_SECONDS), trio.told()

    trio.settle()
    for node in (a, b):
        (peer,) = [peer for peer in node.peers() if peer.node_id == "node-c"]
        assert (peer.host, peer.source) == ("10.77.0.3", PeerSource.MANUAL)


def test_a_named_address_is_dialled_until_its_peer_is_back_there(
    network: Network, tmp_path: Path
) -> None:
    """Only one side knows where the other is; that one is somewhere else for a while."""
    a, b = network.host("a", "10.77.0.1/24"), network.host("b", "10.77.0.2/24")
    stays, moves = network.node(a, "node-a", tmp_path), network.node(b, "node-b", tmp_path)
    stays.connect(moves)
    b.readdress("10.77.0.99/24")
    assert wait_until(lambda: connected(stays) == set(), NOTICED_SECONDS)
    stays.put("k", "written meanwhile")
    moves.put("other", "too")
    assert not stays.wait_synced(0.1)

    b.readdress("10.77.0.2/24")
    assert wait_until(lambda: in_step([stays, moves]), HEALED_SECONDS)
    assert moves.get("k") == "written meanwhile"
    assert stays.wait_synced(10)


def test_a_named_peer_that_moved_is_found_at_its_new_address(
    network: Network, tmp_path: Path
) -> None:
    """Discovery is tried beside the address that people named, which it does not displace."""
    hosts = [network.host(name, f"10.77.0.{n}/24") for n, name in enumerate("ab", 1)]
    hosts[0].close_door(4041)
    stays, moves = (
        network.node(host, f"node-{host.name}", tmp_path, port=port, enable_discovery=True)
        for host, port in zip(hosts, (4041, 0), strict=True)
    )
    stays.connect(moves)
    (peer,) = stays.peers()
    assert (peer.host, peer.source) == ("10.77.0.2", PeerSource.MANUAL)

    hosts[1].readdress("10.77.0.99/24")
    moves.put("k", "moved")
    assert wait_until(lambda: stays.get("k") == "moved", NOTICED_SECONDS + HEALED_SECONDS)
    assert moves.wait_synced(10)


def test_nodes_are_in_step_again_when_interfaces_and_cables_are_back(
    network: Network, tmp_path: Path
) -> None:
    """One is switched off at its host, another one's cable is pulled: nobody reaches anybody."""
    trio = Trio(network, tmp_path)
    trio.start_connected()
    _, b, c = trio.hosts
    with trio.writing("away"):
        b.unplug()
        c.ip("link", "set", ETHERNET, "down")
        assert wait_until(lambda: not any(map(connected, trio.nodes)), NOTICED_SECONDS)
    b.plug()
    c.ip("link", "set", ETHERNET, "up")

    trio.settle()

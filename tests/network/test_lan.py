"""Nodes on a network of their own: three hosts on a bridge. As root, on Linux: `make network`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softadastra.errors import DiscoveryError
from softadastra.testing import wait_until
from softadastra.testing.local_node import LocalNode
from softadastra.types import PeerSource, PeerStatus
from tests.network.avahi import avahi
from tests.network.namespaces import ETHERNET, Host, Network, lan, requirements
from tests.network.trio import connected, in_step

pytestmark = pytest.mark.namespaces

DEADLINE_SECONDS = 60.0
TYPE = "_softadastra._tcp"
FOUND: dict[str, Any] = {"enable_discovery": True}


def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    assert wait_until(condition, seconds), "the deadline passed"


def events(node_id: str, directory: Path, name: str) -> list[dict[str, Any]]:
    lines = (directory / f"{node_id}.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in told if event["event"] == name]


def announced_at(node_id: str, directory: Path) -> list[list[str]]:
    """Give the addresses that a node has announced, one announcement after the other."""
    return [event["addresses"] for event in events(node_id, directory, "discovery.announced")]


def peers_of(node: LocalNode) -> dict[str, PeerStatus]:
    return {peer.node_id: peer for peer in node.peers()}


def test_three_hosts_find_each_other_and_converge(network: Network, tmp_path: Path) -> None:
    nodes = []
    for n, name in enumerate("abc", 1):
        host = network.host(name, f"10.77.0.{n}/24")
        nodes.append(network.node(host, f"node-{name}", tmp_path, **FOUND))
        nodes[-1].put(f"from-{name}", n)

    eventually(lambda: all(len(connected(node)) == 2 for node in nodes))
    eventually(lambda: in_step(nodes))
    for node in nodes:
        assert len(node.items()) == 3
    # Who was dialled before he had found the other finds him all the same.
    everywhere = {"10.77.0.1", "10.77.0.2", "10.77.0.3"}
    eventually(lambda: all(p.host in everywhere for node in nodes for p in node.peers()))
    assert {p.source for node in nodes for p in node.peers()} == {PeerSource.MDNS}


def softadastra(host: Host, directory: Path, *arguments: str) -> str:
    wal = str(directory / f"{host.name}.wal")
    tool = (sys.executable, "-m", "softadastra", "--node-id", host.name, "--wal", wal)
    return host.run(*tool, *arguments)


def test_two_people_start_a_node_each_and_are_in_step(network: Network, tmp_path: Path) -> None:
    """`node run --discover`, and nothing else: no address, no port, no host."""
    a, b = network.host("ada", "10.77.0.1/24"), network.host("grace", "10.77.0.2/24")
    running: dict[str, subprocess.Popen[bytes]] = {}
    for host in (a, b):
        softadastra(host, tmp_path, "store", "put", f"from/{host.name}", "hello")
        running[host.name] = network.start(
            host,
            *(sys.executable, "-m", "softadastra", "--node-id", host.name),
            *("--wal", str(tmp_path / f"{host.name}.wal"), "node", "run"),
            *("--discover", "--insecure", "--log-format", "json", "--log-level", "debug"),
            log=tmp_path / f"{host.name}.log",
        )
    eventually(lambda: all(events(h.name, tmp_path, "batch.merged") for h in (a, b)))
    for process in running.values():
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    for host, other in ((a, b), (b, a)):
        held = json.loads(softadastra(host, tmp_path, "--json", "store", "list"))
        assert {f"from/{h.name}" for h in (host, other)} == {e["key"] for e in held["entries"]}
        shown = json.loads(softadastra(host, tmp_path, "peers", "--json"))
        (peer,) = shown["peers"]
        assert peer["node_id"] == other.name
        assert "node running. Node" in (tmp_path / f"{host.name}.log").read_text()
        assert f"{host.name} on 0.0.0.0:" in (tmp_path / f"{host.name}.log").read_text()
    sources = {
        json.loads(softadastra(host, tmp_path, "peers", "--json"))["peers"][0]["source"]
        for host in (a, b)
    }
    assert "mdns" in sources


def test_avahi_sees_name_port_address_and_text_of_ours(network: Network, tmp_path: Path) -> None:
    a, c = network.host("a", "10.77.0.1/24"), network.host("c", "10.77.0.3/24")
    node = network.node(a, "node-a", tmp_path, cluster="my shop", port=4041, **FOUND)
    with avahi(network, c, tmp_path) as other:
        eventually(lambda: bool(other.browse(TYPE)))
        (service,) = other.browse(TYPE)
        assert (service.name, service.port, service.address) == ("node-a", 4041, "10.77.0.1")
        assert service.host.endswith(".local")
        assert service.text == {"node_id=node-a", "cluster=my shop", "protocol=1", "port=4041"}

        node.close()
        eventually(lambda: other.browse(TYPE) == set())


def test_a_service_that_avahi_announces_is_found(network: Network, tmp_path: Path) -> None:
    a, c = network.host("a", "10.77.0.1/24"), network.host("c", "10.77.0.3/24")
    silent = network.node(c, "node-c", tmp_path, port=4050)
    silent.put("k", "v")
    node = network.node(a, "node-a", tmp_path, **FOUND)
    with avahi(network, c, tmp_path) as other:
        other.publish(
            *("A name for people", TYPE, 4050),
            *("node_id=node-c", "cluster=default", "protocol=1", "port=4050"),
        )

        eventually(lambda: node.get("k") == "v")
        peer = peers_of(node)["node-c"]
        assert (peer.host, peer.port, peer.source) == ("10.77.0.3", 4050, PeerSource.MDNS)


def test_an_address_that_changes_is_followed(network: Network, tmp_path: Path) -> None:
    """The one that stays has to dial: the one that moves cannot."""
    a, b = network.host("a", "10.77.0.1/24"), network.host("b", "10.77.0.2/24")
    a.close_door(4041)
    stays = network.node(a, "node-a", tmp_path, port=4041, **FOUND)
    moves = network.node(b, "node-b", tmp_path, **FOUND)
    eventually(lambda: connected(stays) == {"node-b"})
    assert peers_of(stays)["node-b"].host == "10.77.0.2"

    b.readdress("10.77.0.99/24")
    moves.put("k", "moved")

    eventually(lambda: stays.get("k") == "moved")
    assert peers_of(stays)["node-b"].host == "10.77.0.99"
    assert announced_at("node-b", tmp_path)[-1] == ["10.77.0.99"]


def test_a_peer_is_found_when_its_interface_gets_an_address_later(
    network: Network, tmp_path: Path
) -> None:
    a, b = network.host("a", "10.77.0.1/24"), network.host("b")
    node, late = (network.node(h, f"node-{h.name}", tmp_path, **FOUND) for h in (a, b))
    eventually(lambda: announced_at("node-b", tmp_path) == [["127.0.0.1"]])

    b.readdress("10.77.0.2/24")

    eventually(lambda: connected(node) == {"node-b"} and connected(late) == {"node-a"})


def test_a_peer_is_found_when_its_cable_is_plugged_in(network: Network, tmp_path: Path) -> None:
    """It is announced then, not into a dead cable before: nobody would have heard it."""
    a, b = network.host("a", "10.77.0.1/24"), network.host("b", "10.77.0.2/24")
    b.unplug()
    late, node = (network.node(h, f"node-{h.name}", tmp_path, **FOUND) for h in (b, a))
    eventually(lambda: announced_at("node-a", tmp_path) == [["10.77.0.1"]])
    assert ["10.77.0.2"] not in announced_at("node-b", tmp_path)

    b.plug()

    eventually(lambda: connected(node) == {"node-b"} and connected(late) == {"node-a"})
    eventually(lambda: announced_at("node-b", tmp_path)[-1] == ["10.77.0.2"])


def test_a_network_that_is_left_and_another_one_that_is_joined(
    network: Network, tmp_path: Path
) -> None:
    """As a laptop does. It has to hear the others in both, because nobody can dial it."""
    a, b, c = (network.host(name) for name in "abc")
    a.readdress("10.77.0.1/24")
    b.readdress("10.77.0.2/24")
    c.readdress("192.168.5.3/24")
    b.close_door(4041)
    stays, other = (network.node(h, f"node-{h.name}", tmp_path, **FOUND) for h in (a, c))
    laptop = network.node(b, "node-b", tmp_path, port=4041, **FOUND)
    eventually(lambda: connected(laptop) == {"node-a"})

    b.ip("link", "set", ETHERNET, "down")
    eventually(lambda: connected(laptop) == set())
    b.readdress("192.168.5.2/24")
    b.ip("link", "set", ETHERNET, "up")
    laptop.put("k", "v")

    eventually(lambda: connected(laptop) == {"node-c"})
    eventually(lambda: other.get("k") == "v")
    assert stays.get("k") is None


def test_a_node_whose_address_changed_still_hears_the_others(
    network: Network, tmp_path: Path
) -> None:
    """The group is joined anew, though the interface was never away."""
    b = network.host("b", "10.77.0.2/24")
    b.close_door(4041)
    node = network.node(b, "node-b", tmp_path, port=4041, **FOUND)
    eventually(lambda: announced_at("node-b", tmp_path) == [["10.77.0.2"]])
    b.readdress("10.77.0.99/24")
    eventually(lambda: announced_at("node-b", tmp_path)[-1] == ["10.77.0.99"])

    network.node(network.host("c", "10.77.0.3/24"), "node-c", tmp_path, **FOUND)

    eventually(lambda: connected(node) == {"node-c"})


@pytest.mark.parametrize("family", ["IPv6 alone", "both"])
def test_nodes_find_each_other_over_ipv6(network: Network, tmp_path: Path, family: str) -> None:
    """Link-local addresses alone, as on a cable between two machines; or beside IPv4."""
    addresses = [["10.77.0.1/24"], ["10.77.0.2/24"]] if family == "both" else [[], []]
    hosts = [network.host(name, *own) for name, own in zip("ab", addresses, strict=True)]
    requirements.need(
        bool(hosts[0].ip("-6", "address", "show", "dev", ETHERNET)), "this kernel has no IPv6"
    )
    a, b = (
        network.node(host, f"node-{host.name}", tmp_path, listen_on="::", **FOUND) for host in hosts
    )
    a.put("k", 1)

    eventually(lambda: b.get("k") == 1)
    found = peers_of(a)["node-b"].host or peers_of(b)["node-a"].host
    assert found.startswith("fe80:" if family == "IPv6 alone" else "10.77.0.")
    assert announced_at("node-a", tmp_path)[-1][-1].startswith("fe80:")


def test_a_peer_is_found_over_ipv6_when_its_interface_comes_up(
    network: Network, tmp_path: Path
) -> None:
    """Its address cannot be used at first: for some seconds others are asked for it."""
    a, b = network.host("a"), network.host("b")
    b.ip("link", "set", ETHERNET, "down")
    b.run("sh", "-c", f"echo 6 > /proc/sys/net/ipv6/conf/{ETHERNET}/dad_transmits")
    late, node = (
        network.node(h, f"node-{h.name}", tmp_path, listen_on="::", **FOUND) for h in (b, a)
    )
    b.ip("link", "set", ETHERNET, "up")

    eventually(lambda: connected(node) == {"node-b"} and connected(late) == {"node-a"})


TAKE_PORT = """
import socket
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("", 5353))
print("taken", flush=True)
input()
"""


def test_discovery_that_cannot_start_is_a_warning_and_no_more(
    network: Network, tmp_path: Path
) -> None:
    """Another program has the port of multicast DNS, and does not share it."""
    a = network.host("a", "10.77.0.1/24")
    taker = subprocess.Popen(
        [*a.launcher, sys.executable, "-c", TAKE_PORT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert taker.stdout is not None
        assert taker.stdout.readline() == b"taken\n"
        with pytest.raises(DiscoveryError, match=r"already in use.*UDP port 5353"):
            network.node(a, "node-a", tmp_path, **FOUND)

        running = network.start(
            a,
            *(sys.executable, "-m", "softadastra", "--node-id", "node-b"),
            *("--wal", str(tmp_path / "node-b.wal"), "node", "run", "--discover", "--insecure"),
            *("--log-format", "json"),
            log=tmp_path / "node-b.log",
        )
        eventually(lambda: "Softadastra node running" in (tmp_path / "node-b.log").read_text())
        (warning,) = events("node-b", tmp_path, "discovery.failed")
        assert warning["level"] == "warning"
        assert "5353" in warning["error"]
        assert running.poll() is None
    finally:
        taker.communicate(b"\n")


def test_a_flood_from_another_host_delays_and_displaces_nobody(
    network: Network, tmp_path: Path
) -> None:
    a, b, c = (network.host(name, f"10.77.0.{n}/24") for n, name in enumerate("abc", 1))
    nodes = [network.node(host, f"node-{host.name}", tmp_path, **FOUND) for host in (a, b)]
    eventually(lambda: connected(nodes[0]) == {"node-b"})
    flood = (
        "from tests.network.forger import forged, forger\n"
        "with forger('10.77.0.3') as forging:\n"
        "    forging.announce(\n"
        "        forged(f'forged-{n}', cluster='default', address='10.77.0.3', port=4041)\n"
        "        for n in range(5_000)\n"
        "    )\n"
    )
    root = Path(__file__).parents[2]
    flooding = network.start(
        c, "env", f"PYTHONPATH={root}", sys.executable, "-c", flood, log=tmp_path / "flood.log"
    )
    written = 0
    while flooding.poll() is None:
        nodes[0].put(f"k/{written}", written)
        written += 1
        assert nodes[0].wait_synced(DEADLINE_SECONDS)
    assert flooding.returncode == 0, (tmp_path / "flood.log").read_text()

    assert written > 10
    for node in nodes:
        assert len(connected(node)) == 1
        assert events(node.node_id, tmp_path, "peer.lost") == []
        assert len(node.peers()) <= 257


def test_a_network_is_removed_with_all_that_ran_on_it(tmp_path: Path) -> None:
    with lan() as one, lan() as two:
        hosts = [one.host("a", "10.77.0.1/24"), two.host("a", "10.77.0.1/24")]
        processes = [
            network.start(host, "sleep", "600", log=tmp_path / f"{host.namespace}.log")
            for network, host in zip((one, two), hosts, strict=True)
        ]
        assert len({host.namespace for host in hosts}) == 2
        assert all(Path("/run/netns", host.namespace).exists() for host in hosts)

    assert all(process.poll() is not None for process in processes)
    assert not any(Path("/run/netns", host.namespace).exists() for host in hosts)

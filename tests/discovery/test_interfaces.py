"""Where a listener can be reached, and whom a node may try."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from softadastra.discovery.interfaces import (
    Place,
    announced,
    listening_at,
    multicast_at,
    reachable,
    read_places,
    resolved,
)


def place(interface: int, address: str) -> Place:
    attached = ipaddress.ip_interface(address)
    return Place(interface=interface, address=attached.ip, network=attached.network)


LOOPBACK = [place(1, "127.0.0.1/8"), place(1, "::1/128")]
LAN = [
    place(2, "192.168.7.5/24"),
    place(2, "2001:db8::5/64"),
    place(2, "fe80::5/64"),
    place(3, "172.17.0.1/16"),
    place(3, "fe80::77/64"),
]
EVERYWHERE = ipaddress.ip_address("0.0.0.0")
BOTH_KINDS = ipaddress.ip_address("::")


def at(host: str) -> list[str]:
    listener = resolved(host)
    assert listener is not None
    return announced(listening_at([*LOOPBACK, *LAN], listener))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        ("[::1]", ["::1"]),
        ("192.168.7.5", ["192.168.7.5"]),
        ("fe80::5%lo", ["fe80::5"]),
        ("0.0.0.0", ["172.17.0.1", "192.168.7.5"]),
        ("::", ["172.17.0.1", "192.168.7.5", "2001:db8::5", "fe80::5", "fe80::77"]),
        ("10.9.9.9", []),
    ],
)
def test_what_can_be_reached_is_announced_and_nothing_else(host: str, expected: list[str]) -> None:
    assert at(host) == expected


@pytest.mark.parametrize("host", ["", "no host\0", "[::1"])
def test_what_is_no_host_has_no_address(host: str) -> None:
    assert resolved(host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_machine_without_a_network_is_on_loopback_until_it_has_one(host: str) -> None:
    listener = ipaddress.ip_address(host)

    alone = listening_at(LOOPBACK, listener)

    assert announced(alone)[0] == "127.0.0.1"
    assert reachable(["127.0.0.1", "192.168.7.9"], alone) == ("127.0.0.1",)
    assert "127.0.0.1" not in announced(listening_at([*LOOPBACK, *LAN], listener))


def test_there_is_one_voice_for_each_interface_and_kind_of_address() -> None:
    everywhere = listening_at(LAN, BOTH_KINDS)

    assert multicast_at(everywhere) == ["172.17.0.1", "192.168.7.5", "fe80::5", "fe80::77"]
    assert multicast_at(listening_at(LAN, EVERYWHERE)) == ["172.17.0.1", "192.168.7.5"]
    assert multicast_at([]) == []


def test_loopback_speaks_ipv4_also_of_ipv6() -> None:
    assert multicast_at(listening_at(LOOPBACK, ipaddress.ip_address("::1"))) == ["127.0.0.1"]


def tried(*addresses: str, listener: str = "::") -> tuple[str, ...]:
    places = listening_at([*LOOPBACK, *LAN], ipaddress.ip_address(listener))
    return reachable(addresses, places)


def test_addresses_on_the_networks_of_this_machine_are_tried() -> None:
    assert tried("fe80::9%2", "2001:db8::9", "192.168.7.9") == (
        "192.168.7.9",
        "2001:db8::9",
        "fe80::9%2",
    )


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "192.168.8.9",
        "2001:db8:1::9",
        "192.168.7.255",
        "224.0.0.251",
        "ff02::fb",
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "::1",
        "fe80::9%9",
        "no address",
        "",
    ],
)
def test_a_forged_address_sends_this_node_nowhere_else(address: str) -> None:
    assert tried(address) == ()


def test_a_link_local_address_without_its_interface_is_tried_on_each() -> None:
    assert tried("fe80::9") == ("fe80::9%2", "fe80::9%3")


def test_an_address_that_every_machine_has_is_not_taken_for_the_peers() -> None:
    """172.17.0.1 is the bridge of the containers on each of them: dialled, it is this machine."""
    assert tried("172.17.0.1", "192.168.7.9") == ("192.168.7.9",)


def test_two_nodes_of_one_machine_reach_each_other() -> None:
    assert tried("192.168.7.5", "172.17.0.1") == ("192.168.7.5", "172.17.0.1")


def test_a_node_on_loopback_tries_loopback_alone() -> None:
    assert tried("192.168.7.9", "127.0.0.1", listener="127.0.0.1") == ("127.0.0.1",)
    assert tried("::1", "fe80::9%2", listener="::1") == ("::1",)


def test_a_node_that_listens_on_one_interface_tries_nobody_on_another() -> None:
    assert tried("172.17.0.9", "192.168.7.9", listener="192.168.7.5") == ("192.168.7.9",)


def test_no_more_than_four_addresses_are_tried_and_the_best_first() -> None:
    many = [f"2001:db8::{n:x}" for n in range(16, 32)]

    assert tried(*many, "192.168.7.9") == ("192.168.7.9", *many[:3])


def test_the_interfaces_of_this_machine_are_read() -> None:
    found = read_places()

    assert ipaddress.ip_address("127.0.0.1") in {each.address for each in found}
    assert all(each.address in each.network for each in found)


def test_an_interface_without_a_link_has_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/sys/class/net/lo").exists():
        pytest.skip("only Linux tells the state of a link in a file")
    monkeypatch.setattr(Path, "read_text", lambda _path: "lowerlayerdown\n")

    assert read_places() == frozenset()

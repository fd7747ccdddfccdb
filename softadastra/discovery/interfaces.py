"""The interfaces of this machine: where the listener can be reached, and whom it can reach.

Discovery goes as far as the listener does. A node that listens on loopback says nothing to the
network, and hears nothing of it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

__all__ = [
    "Place",
    "announced",
    "listening_at",
    "multicast_at",
    "reachable",
    "read_places",
    "resolved",
]

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

ANNOUNCED_MAX: Final = 8
"""Addresses that a node says it has. More are of no use to anybody, and fill the message."""
REACHABLE_MAX: Final = 4
"""Addresses of a found peer that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One address of this machine, on an interface that is up."""

    interface: int
    """The system's number of the interface."""
    address: IPAddress
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    """What can be reached there without a router."""


def read_places() -> frozenset[Place]:
    """Read the addresses of the interfaces that are up."""
    # Imported here, as zeroconf, which brings it, is in `multicast`.
    import ifaddr

    places = set()
    for adapter in ifaddr.get_adapters():
        if adapter.index is None or not _is_up(adapter.name):
            continue
        for found in adapter.ips:
            text = found.ip[0] if isinstance(found.ip, tuple) else found.ip
            attached = ipaddress.ip_interface(f"{text.partition('%')[0]}/{found.network_prefix}")
            places.add(
                Place(interface=adapter.index, address=attached.ip, network=attached.network)
            )
    return frozenset(places)


def _is_up(interface: str) -> bool:
    """Whether an interface has a link, as Linux tells; elsewhere one without has no addresses.

    So a cable that is plugged in again makes new places, where nobody has heard of this node.
    """
    try:
        state = Path("/sys/class/net", interface, "operstate").read_text().strip()
    except OSError:
        return True
    return state in ("up", "unknown")


def resolved(host: str) -> IPAddress | None:
    """Give the address of a listener on this host: of a name with both kinds, the IPv4 one.

    That is what the transport takes, too. None: there is no such host. May block for a name.
    """
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError):
        return None
    addresses = [
        ipaddress.ip_address(str(place[0]).partition("%")[0]) for _, _, _, _, place in found
    ]
    return min(addresses, key=lambda address: address.version, default=None)


def listening_at(places: Iterable[Place], listener: IPAddress) -> list[Place]:
    """Give where a listener can be reached, best first: IPv4, then IPv6 of wider scope.

    One that listens on all addresses is on loopback only while this machine has no other.
    """
    found = []
    for place in places:
        # "::" takes IPv4, too.
        is_of_kind = listener.version == 6 or place.address.version == 4
        if place.address == listener or (listener.is_unspecified and is_of_kind):
            found.append(place)
    beyond = [place for place in found if not place.address.is_loopback]
    return sorted(beyond or found, key=_preference)


def _preference(place: Place) -> tuple[int, bool, int, int]:
    address = place.address
    return address.version, address.is_link_local, int(address), place.interface


def announced(places: Sequence[Place]) -> list[str]:
    """Give the addresses to announce."""
    return list(dict.fromkeys(str(place.address) for place in places))[:ANNOUNCED_MAX]


def multicast_at(places: Sequence[Place]) -> list[str]:
    """Give where to speak and listen: one address for each interface and kind of address.

    Of IPv6 the link-local one, which there always is. Loopback has no IPv6 multicast, but what is
    announced there over IPv4 may be an IPv6 address.
    """
    chosen: dict[tuple[int, int], IPAddress] = {}
    for place in places:
        if place.address.is_loopback:
            return ["127.0.0.1"]
        kind = (place.interface, place.address.version)
        if kind not in chosen or place.address.is_link_local:
            chosen[kind] = place.address
    return [str(address) for address in chosen.values()]


def reachable(addresses: Iterable[str], places: Collection[Place]) -> tuple[str, ...]:
    """Choose of the addresses of a found peer those that this node may try, best first.

    Only what is on a network of this machine: a forged record shall not send this node anywhere
    else. Addresses of this machine itself count when there are no others: every machine with
    containers may have the same one for them.

    Args:
        addresses: what is said; an IPv6 one may end in its interface.
        places: where this node is, as `listening_at` gives them.
    """
    own = {place.address for place in places}
    near: list[str] = []
    here: list[str] = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        for found in _attached(address, places):
            (here if _without_scope(address) in own else near).append(found)
    best = sorted(near or here, key=lambda text: (":" in text, text.startswith("fe80")))
    return tuple(dict.fromkeys(best))[:REACHABLE_MAX]


def _attached(address: IPAddress, places: Iterable[Place]) -> list[str]:
    """Give how an address can be dialled: a link-local one needs its interface."""
    bare = _without_scope(address)
    at = {
        place.interface
        for place in places
        if bare in place.network and not _is_broadcast(bare, place)
    }
    if not (address.version == 6 and address.is_link_local):
        return [str(bare)] if at else []
    scope = getattr(address, "scope_id", None)
    return [f"{bare}%{index}" for index in sorted(at) if scope is None or scope == str(index)]


def _without_scope(address: IPAddress) -> IPAddress:
    return ipaddress.ip_address(str(address).partition("%")[0])


def _is_broadcast(address: IPAddress, place: Place) -> bool:
    network = place.network
    return network.version == 4 and network.prefixlen < 31 and address == network.broadcast_address

"""Somebody on the network who announces whatever he likes, as often as he likes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from zeroconf import (  # type: ignore[attr-defined]  # there, though not in __all__
    DNSOutgoing,
    DNSPointer,
    ServiceInfo,
)

from softadastra.discovery.announcement import SERVICE_TYPE, Announcement
from softadastra.discovery.multicast import CLASS_IN, TYPE_PTR

__all__ = ["Forger", "forged", "forger"]

GROUP: Final = "224.0.0.251"
PORT: Final = 5353
RESPONSE: Final = 0x8400
"""An authoritative answer (RFC 1035, section 4.1.1), which is what an announcement is."""
PACKET_INTERVAL_SECONDS: Final = 0.004
"""Faster, and the kernel drops what the receiver has no room for, so that less is tested."""


class Forger:
    """Sends multicast DNS on one interface, and listens to nothing.

    Args:
        interface: the address of the interface.
    """

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = socket.inet_aton(interface)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)

    def announce(self, services: Iterable[ServiceInfo], *, ttl: int | None = None) -> None:
        """Say that there are these services, a few in a packet; with a ttl of 0, that they go."""
        out = DNSOutgoing(RESPONSE)
        count = 0
        for service in services:
            out.add_answer_at_time(service.dns_pointer(ttl), 0)
            out.add_answer_at_time(service.dns_service(ttl), 0)
            out.add_answer_at_time(service.dns_text(ttl), 0)
            for address in service.dns_addresses(ttl):
                out.add_answer_at_time(address, 0)
            count += 1
            if count % 4 == 0:
                self._send(out)
                out = DNSOutgoing(RESPONSE)
                time.sleep(PACKET_INTERVAL_SECONDS)
        if count % 4:
            self._send(out)

    def point(self, names: Iterable[str]) -> None:
        """Say that there are services of these full names, and nothing more of them."""
        for name in names:
            out = DNSOutgoing(RESPONSE)
            out.add_answer_at_time(DNSPointer(SERVICE_TYPE, TYPE_PTR, CLASS_IN, 4500, name), 0)
            self._send(out)

    def _send(self, out: DNSOutgoing) -> None:
        for packet in out.packets():
            self._socket.sendto(packet, (GROUP, PORT))

    def close(self) -> None:
        """Send no more."""
        self._socket.close()


@contextmanager
def forger(interface: str) -> Iterator[Forger]:
    """Give somebody who forges, and take him away at the end."""
    made = Forger(interface)
    try:
        yield made
    finally:
        made.close()


def forged(
    label: str,
    *,
    cluster: str,
    address: str,
    port: int,
    node_id: str | None = None,
    host: str | None = None,
) -> ServiceInfo:
    """Make what a node of this name would announce."""
    own = Announcement(
        node_id=label if node_id is None else node_id, cluster=cluster, protocol=1, port=port
    )
    return ServiceInfo(
        SERVICE_TYPE,
        f"{label}.{SERVICE_TYPE}",
        port=port,
        properties=own.text,
        server=f"{host or label}.local.",
        parsed_addresses=[address],
    )

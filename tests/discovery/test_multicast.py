"""The interfaces are followed for as long as discovery runs, whatever goes wrong with them."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from softadastra.discovery import multicast
from softadastra.discovery.announcement import Announcement
from softadastra.discovery.changes import Change
from softadastra.discovery.interfaces import Place
from softadastra.discovery.multicast import Multicast

LISTENER = ipaddress.ip_address("0.0.0.0")
PLACES = frozenset(
    [
        Place(
            interface=2,
            address=ipaddress.ip_address("192.0.2.7"),
            network=ipaddress.ip_network("192.0.2.0/24"),
        )
    ]
)


class Told:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.announcements: list[Sequence[str]] = []

    def changed(self, change: Change) -> None:
        raise AssertionError(f"nobody is there: {change}")

    def announced(self, _name: str, addresses: Sequence[str]) -> None:
        self.announcements.append(addresses)

    def failed(self, error: str) -> None:
        self.failures.append(error)

    def is_met(self, _node_id: str) -> bool:
        return False


class NoNetwork:
    """Takes what zeroconf is asked for, and does nothing."""

    async def async_update_interfaces(self, _addresses: list[str]) -> None:
        return

    async def async_register_service(self, _service: AsyncServiceInfo, **_how: Any) -> None:
        return


class Looked(Exception):  # noqa: N818  no error: the interfaces were looked at often enough
    """All looks were taken."""


def follow(monkeypatch: pytest.MonkeyPatch, *looks: frozenset[Place] | Exception) -> Told:
    """Let the interfaces be as these looks say, one after the other; give what was told."""
    told = Told()
    left: Iterator[frozenset[Place] | Exception] = iter(looks)

    def read_places() -> frozenset[Place]:
        look = next(left)
        if isinstance(look, Exception):
            raise look
        return look

    real_sleep = asyncio.sleep
    taken = 0

    async def sleep(_seconds: float) -> None:
        nonlocal taken
        taken += 1
        if taken == len(looks):
            raise Looked
        await real_sleep(0)

    monkeypatch.setattr(multicast, "read_places", read_places)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    own = Announcement(node_id="a", cluster="default", protocol=1, port=4041)

    async def run() -> None:
        made = Multicast(own, LISTENER, told)
        with pytest.raises(Looked):
            await made._follow_network(cast(AsyncZeroconf, NoNetwork()))

    asyncio.run(run())
    return told


def test_what_went_wrong_is_told_once_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    down = OSError(100, "Network is down")
    told = follow(monkeypatch, PLACES, down, down, down)

    assert told.failures == ["cannot use an interface for multicast: Network is down"]
    assert told.announcements == [["192.0.2.7"]]


def test_what_went_wrong_and_was_mended_is_told_when_it_goes_wrong_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = OSError(100, "Network is down")
    told = follow(monkeypatch, down, PLACES, down)

    assert told.failures == ["cannot use an interface for multicast: Network is down"] * 2


def test_whatever_reading_the_interfaces_raises_does_not_end_discovery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ifaddr does for an IPv4 address without a netmask, which some VPNs have."""
    told = follow(monkeypatch, AssertionError("sockaddr_to_ip(...) returned None"), PLACES)

    assert told.announcements == [["192.0.2.7"]]
    assert told.failures == [
        "cannot use an interface for multicast: sockaddr_to_ip(...) returned None"
    ]

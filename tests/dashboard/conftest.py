"""What the tests of the dashboard share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.dashboard import Dashboard
from tests.eventually import eventually

from .browsing import Asker


@pytest.fixture
def node() -> Iterator[Client]:
    with Client(ClientOptions.memory_only("node-a")) as node:
        yield node


@pytest.fixture
def dashboard(node: Client) -> Iterator[Dashboard]:
    with Dashboard(node, port=0) as dashboard:
        yield dashboard


@pytest.fixture
def asker(dashboard: Dashboard) -> Asker:
    return Asker(dashboard)


@pytest.fixture
def conflicting() -> Iterator[Client]:
    """A node on which cart/1 waits for a choice between two values, cart/2 between one and none."""
    policies = {"cart/": "manual"}
    with (
        Client(_options("node-a", policies)) as a,
        Client(_options("node-b", policies)) as b,
    ):
        a.put("cart/2", "old")
        a.start_transport()
        b.start_transport()
        assert b.transport_port is not None
        a.connect(Peer.local("node-b", b.transport_port))
        assert a.wait_synced(20)
        a.stop_transport()
        a.put("cart/1", "tea")
        b.put("cart/1", {"scones": 2})
        a.remove("cart/2")
        b.put("cart/2", "new")
        a.put("price", 1)
        b.put("price", 2)
        a.start_transport()
        eventually(lambda: len(a.conflicts()) == 3)
        yield a


def _options(name: str, policies: dict[str, str]) -> ClientOptions:
    return ClientOptions.memory_only(name, conflict_policies=policies).with_local_transport()

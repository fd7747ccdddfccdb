"""Three hosts with a node each, and programs that write to them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from softadastra.security.key_file import KeyFile
from softadastra.security.keys import KeyPair
from softadastra.security.trust_file import TrustFile
from softadastra.testing import wait_until
from softadastra.testing.history import judge
from softadastra.testing.local_node import LocalNode
from softadastra.transport.curve import new_key_pair
from softadastra.types import PeerState
from tests.network.namespaces import Host, Network

__all__ = [
    "HEALED_SECONDS",
    "NOTICED_SECONDS",
    "Trio",
    "connected",
    "has_dialled_in_vain",
    "in_step",
]

HEALED_SECONDS: Final = 15.0
"""Within what nodes are in step again when the network is whole: a dial that is under way ends
after 5 s, the next one follows within `retry_interval`, which is 5 s, and both ends dial. The rest
is for a machine that has much else to do."""

NOTICED_SECONDS: Final = 8.0
"""Within what a node has lost a peer that has fallen silent: 6 s, and the same for the rest."""

WRITE_PAUSE_SECONDS: Final = 0.02
SHARED_KEYS: Final = 10
"""Keys that all three write, without having seen each other's writes."""


def connected(node: LocalNode) -> set[str]:
    """Name those to whom a node is connected."""
    return {peer.node_id for peer in node.peers() if peer.state is PeerState.CONNECTED}


def in_step(nodes: Iterable[LocalNode]) -> bool:
    """Whether nodes hold the same."""
    return len({node.digest() for node in nodes}) == 1


def has_dialled_in_vain(node: LocalNode) -> bool:
    """Whether a dial to each peer that is not connected has failed, since it was lost."""
    return all(
        peer.state is PeerState.CONNECTED or peer.last_error not in ("", "silent")
        for peer in node.peers()
    )


class Trio:
    """The hosts and their nodes: node-a, node-b, node-c.

    Args:
        network: where; without other hosts.
        directory: of what the nodes keep and tell.
    """

    def __init__(self, network: Network, directory: Path) -> None:
        self.hosts = [network.host(name, f"10.77.0.{n}/24") for n, name in enumerate("abc", 1)]
        self.nodes: list[LocalNode] = []
        """Empty before `start()`."""
        self._network = network
        self._directory = directory

    def start(self, **options: Any) -> None:
        """Start the nodes, with these fields of `ClientOptions`."""

        def start_at(host: Host) -> LocalNode:
            return self._network.node(host, f"node-{host.name}", self._directory, **options)

        with ThreadPoolExecutor() as executor:
            self.nodes += executor.map(start_at, self.hosts)

    def make_keys(self) -> list[KeyPair]:
        """Make a key pair for each node, and let each trust the others, for `security="curve"`."""
        pairs = {f"node-{host.name}": new_key_pair() for host in self.hosts}
        for name, own in pairs.items():
            KeyFile(self._directory / f"{name}.wal.key").make(own)
            for other, pair in pairs.items():
                if other != name:
                    TrustFile(self._directory / f"{name}.wal.trusted").trust(other, pair.public)
        return list(pairs.values())

    def start_connected(self) -> None:
        """Start the nodes, let each two name each other, and wait until all are connected."""
        self.start()
        a, b, c = self.nodes
        for one, other in ((a, b), (a, c), (b, c)):
            one.connect(other)
            other.connect(one)
        assert wait_until(lambda: all(len(connected(node)) == 2 for node in self.nodes), 30)

    @contextmanager
    def writing(self, seed: str) -> Iterator[None]:
        """Write to each node, some fifty times a second, until the end of the block.

        Each has keys of its own, and some that all write. One write in five is a remove.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(len(self.nodes)) as executor:
            writing = [executor.submit(_write, node, seed, stop) for node in self.nodes]
            try:
                yield
            finally:
                stop.set()
        for each in writing:
            assert each.result() > 0

    def settle(self, seconds: float = HEALED_SECONDS) -> None:
        """See that the nodes are equal in time, and nothing is lost, invented or unsent."""
        assert wait_until(lambda: in_step(self.nodes), seconds), self.told()
        for node in self.nodes:
            assert node.wait_synced(seconds), node.sync_state()
            state = node.sync_state()
            assert state.outbox_size == state.acknowledged_count > 0
            assert (state.held_count, state.queued_count, state.in_flight_count) == (0, 0, 0)
            assert state.failed_count == 0
        held = {node.node_id: node.packed_items() for node in self.nodes}
        assert self._network.history.unknown_count == 0
        assert judge(self._network.history, held).violations == ()

    def told(self) -> str:
        """Give what each node says of its peers, for a test that fails."""
        return "\n".join(f"{node.node_id}: {node.size()} {node.peers()}" for node in self.nodes)


def _write(node: LocalNode, seed: str, stop: threading.Event) -> int:
    chance = random.Random(f"{seed} {node.node_id}")
    written = 0
    while not stop.wait(WRITE_PAUSE_SECONDS):
        written += 1
        prefix = "shared" if chance.random() < 0.4 else node.node_id
        key = f"{prefix}/{chance.randrange(SHARED_KEYS if prefix == 'shared' else written)}"
        if chance.random() < 0.2:
            node.remove(key)
        else:
            node.put(key, f"{seed} {node.node_id} {written}")
    return written

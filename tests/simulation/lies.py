"""A cluster with a liar in it, and the lies that it may tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from softadastra.store.changes import Claim
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState, Sibling
from softadastra.sync.messages import Batch
from softadastra.testing import SimCluster, SimLiar, SimNode

LIAR = Origin("mallory", 1)
U64_MAX = 2**64 - 1
ONE = b"\x01"
"""The value 1, packed."""


class World:
    """Honest nodes that are connected, and a liar that has met the first of them."""

    def __init__(self, cluster: SimCluster, lines: list[str]) -> None:
        self.cluster = cluster
        self.nodes = cluster.nodes
        self.liar: SimLiar = cluster.add_liar(LIAR.node_id)
        self._lines = lines

    def told(self, event: str) -> list[str]:
        """The lines of the trace in which this stands."""
        return [line for line in self._lines if event in line]

    def goes_on(self) -> bool:
        """Whether each honest node still takes a write, and the others get it in a minute."""
        for node in self.nodes:
            node.put(f"honest/{node.node_id}", self.cluster.seconds)
        if not self.cluster.wait_converged(timeout=60):
            return False
        expected = {f"honest/{node.node_id}" for node in self.nodes}
        return all(expected <= node.items().keys() for node in self.nodes)


@contextmanager
def world(nodes_count: int = 2, *, topology: str = "mesh", **options: Any) -> Iterator[World]:
    """A cluster of honest nodes, and a liar that is connected to node-a."""
    lines: list[str] = []
    with SimCluster(
        nodes_count, seed=1, topology=topology, trace=lines.append, **options
    ) as cluster:
        made = World(cluster, lines)
        cluster.run(1)
        made.liar.meet(made.nodes[0])
        cluster.run(1)
        assert made.liar.is_connected(made.nodes[0])
        yield made


def origin_of(node: SimNode) -> Origin:
    """The origin of a node's own writes."""
    replica = node.running().engine.replica
    return replica.origins[replica.me]


def batch(
    batch_id: int = 1,
    *,
    origins: Sequence[Origin] = (LIAR,),
    claims: Sequence[Claim] = (),
    keys: Sequence[str] = ("lie",),
    siblings: Sequence[Sibling] = (),
    states: Sequence[KeyState] = (),
) -> Batch:
    """A batch; by default, of one write of the liar."""
    rows = siblings if siblings or states or not keys else [(0, batch_id, 10, 1, ONE, 0)]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 6
    numbers, ns, stamps, versions, values, flags = columns
    return Batch(
        id=batch_id,
        told=0,
        origins=list(origins),
        lives=[],
        claims=list(claims),
        keys=list(keys),
        columns=(numbers, ns, stamps, versions, values, flags),
        states=list(states),
    )

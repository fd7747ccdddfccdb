"""Who is connected to whom, and how far apart they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from enum import StrEnum
from itertools import combinations, pairwise
from random import Random
from typing import NamedTuple, assert_never

__all__ = ["Graph", "Topology", "graph_of", "neighbours_of_newcomer"]

Edges = list[tuple[int, int]]


class Topology(StrEnum):
    """The shapes of the clusters."""

    RING = "ring"
    RANDOM = "random, 4 each"
    """Each node has 4 neighbours: two cycles through all nodes, each in an order by chance."""
    STAR = "star"
    """Node 0 in the middle."""
    MESH = "full mesh"


class Graph(NamedTuple):
    """A topology for so many nodes."""

    edges: Edges
    degree_max: int
    diameter: int
    """The most links between two nodes, by the shortest way."""


def graph_of(topology: Topology, count: int, chance: Random) -> Graph:
    """Connect nodes 0 to count - 1."""
    edges = edges_of(topology, count, chance)
    near: list[list[int]] = [[] for _ in range(count)]
    for one, other in edges:
        near[one].append(other)
        near[other].append(one)
    # From any node of these symmetric shapes, and of a star from a node at its rim.
    starts = range(count) if topology is Topology.RANDOM else [count - 1]
    diameter = max(eccentricity(near, start) for start in starts)
    return Graph(edges, max(map(len, near)), diameter)


def edges_of(topology: Topology, count: int, chance: Random) -> Edges:
    match topology:
        case Topology.RING:
            return cycle(range(count))
        case Topology.RANDOM:
            while True:
                orders = [chance.sample(range(count), count) for _ in range(2)]
                edges = {(min(e), max(e)) for order in orders for e in cycle(order)}
                if len(edges) == 2 * count:
                    return sorted(edges)
        case Topology.STAR:
            return [(node, 0) for node in range(1, count)]
        case Topology.MESH:
            return list(combinations(range(count), 2))
        case _ as unreachable:
            assert_never(unreachable)


def cycle(order: Collection[int]) -> Edges:
    nodes = list(order)
    return [*pairwise(nodes), (nodes[-1], nodes[0])]


def neighbours_of_newcomer(topology: Topology, count: int, chance: Random) -> list[int]:
    """Give whom one more node dials."""
    match topology:
        case Topology.RING:
            return [0, count - 1]
        case Topology.RANDOM:
            return chance.sample(range(count), 4)
        case Topology.STAR:
            return [0]
        case Topology.MESH:
            return list(range(count))
        case _ as unreachable:
            assert_never(unreachable)


def eccentricity(near: list[list[int]], start: int) -> int:
    """Give how many links the farthest node is away."""
    distance = {start: 0}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for other in near[node]:
            if other not in distance:
                distance[other] = distance[node] + 1
                queue.append(other)
    return max(distance.values())

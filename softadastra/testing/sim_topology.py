"""Who dials whom in a simulated cluster."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations, pairwise
from random import Random
from typing import assert_never

__all__ = ["SimTopology", "links"]


class SimTopology(StrEnum):
    """The connections that a cluster begins with."""

    MESH = "mesh"
    """Every two nodes."""
    LINE = "line"
    """Each node the next one."""
    RING = "ring"
    """A line, and the last node the first one."""
    STAR = "star"
    """Every node the first one."""
    RANDOM = "random"
    """A random tree and some more; both sides of a pair may dial."""
    APART = "apart"
    """Nobody."""


def links(topology: SimTopology, node_ids: Sequence[str], rng: Random) -> list[tuple[str, str]]:
    """Give the pairs of dialler and dialled."""
    match topology:
        case SimTopology.MESH:
            return list(combinations(node_ids, 2))
        case SimTopology.LINE:
            return list(pairwise(node_ids))
        case SimTopology.RING:
            closing = [(node_ids[-1], node_ids[0])] if len(node_ids) > 2 else []
            return [*pairwise(node_ids), *closing]
        case SimTopology.STAR:
            return [(node_id, node_ids[0]) for node_id in node_ids[1:]]
        case SimTopology.RANDOM:
            tree = [(node_id, rng.choice(node_ids[:i])) for i, node_id in enumerate(node_ids) if i]
            more = [tuple(rng.sample(node_ids, 2)) for _ in node_ids[2:]]
            return list(dict.fromkeys([*tree, *((one, other) for one, other in more)]))
        case SimTopology.APART:
            return []
        case _ as unreachable:
            assert_never(unreachable)

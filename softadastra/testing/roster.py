"""What clusters of every kind are made of: their nodes by name, who dials whom, and the options."""

from __future__ import annotations

import string
from collections.abc import Mapping, Set
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from softadastra.errors import InvalidArgumentError
from softadastra.options import ClientOptions

__all__ = ["node_names", "node_options", "refuse_own", "topology_of"]

Named = TypeVar("Named", bound=StrEnum)

NODES_MAX = len(string.ascii_lowercase)
"""Nodes are named node-a to node-z; more are no easier to think about, and cost a process each."""


def node_names(kind: str, count: int) -> list[str]:
    """Give the names of so many nodes.

    Raises:
        InvalidArgumentError: a cluster of this kind does not have so many.
    """
    if not 1 <= count <= NODES_MAX:
        raise InvalidArgumentError(f"a {kind} cluster has 1 to {NODES_MAX} nodes, got {count}")
    return [f"node-{letter}" for letter in string.ascii_lowercase[:count]]


def topology_of(topologies: type[Named], name: Named | str) -> Named:
    """Give the topology of a name.

    Raises:
        InvalidArgumentError: there is none.
    """
    if name not in tuple(topologies):
        raise InvalidArgumentError(
            f"unknown topology {name!r}: expected one of {', '.join(topologies)}"
        )
    return topologies(name)


def refuse_own(options: Set[str], own: Set[str]) -> None:
    """Refuse options for all nodes that a cluster sets itself.

    Args:
        options: the fields of `ClientOptions` that are to be set for all nodes.
        own: those that differ between the nodes.

    Raises:
        InvalidArgumentError: there are such.
    """
    if taken := own & options:
        raise InvalidArgumentError(
            f"the cluster itself sets {', '.join(sorted(taken))} for each node; leave it out"
        )


def node_options(node_id: str, options: Mapping[str, object]) -> ClientOptions:
    """Give the options of one node, valid ones.

    Raises:
        InvalidArgumentError: a name is no option; the message has the nearest. Or values are wrong;
            the message lists every problem.
    """
    made = ClientOptions.persistent(node_id, Path(f"{node_id}.wal"), **options)
    made.validate()
    return made

"""What an engine takes: the sizes of all its objects, each counted once."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import NamedTuple

from softadastra.sync.engine import Engine

__all__ = ["Memory", "memory_of"]

SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""Code, and what hangs on it, belongs to the process."""


class Memory(NamedTuple):
    """Bytes of one node."""

    replica: int
    """The data: entries, index, origins."""
    connections: int
    """The sessions, and what each peer has."""
    members: int
    """The members, and what each of them has."""


def memory_of(engine: Engine) -> Memory:
    """Count an engine's memory. What two parts share counts for the first of them."""
    counted: set[int] = {id(engine.options)}
    return Memory(
        size_of(engine.replica, counted),
        size_of([engine.connections.sessions, engine.connections.active], counted),
        size_of([engine.members, engine.membership], counted),
    )


def size_of(root: object, counted: set[int]) -> int:
    """Count what can be reached and was not counted before."""
    total = 0
    stack = [root]
    while stack:
        item = stack.pop()
        if id(item) in counted or isinstance(item, SHARED):
            continue
        counted.add(id(item))
        total += sys.getsizeof(item)
        stack += gc.get_referents(item)
    return total

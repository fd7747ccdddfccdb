"""A node's state from its log: the records of its former lives, evolved in order."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from softadastra.sync.engine import Engine
from softadastra.sync.records import decode_record

__all__ = ["replay"]


def replay(engine: Engine, frames: Iterable[tuple[int, bytes]]) -> int:
    """Evolve a new engine by what its log holds.

    Returns:
        How many records there were.
    """
    origins = engine.replica.origins
    records = 0
    # Nothing that replay makes is garbage, and looking for some in a million new tuples over
    # and over takes a third of the time (research/performance.md, 1e).
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for kind, payload in frames:
            engine.evolve(decode_record(kind, payload, origins))
            records += 1
    finally:
        if was_enabled:
            gc.enable()
    return records

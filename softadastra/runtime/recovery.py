"""A node's state from its log: the records of its former lives, evolved in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import NamedTuple

from softadastra.errors import StoreError
from softadastra.store.policies import Policies
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from softadastra.sync.records import decode_record
from softadastra.sync.settings import EngineOptions

__all__ = ["Recovered", "recover"]


class Recovered(NamedTuple):
    """A node's state, and how many records of its log made it."""

    engine: Engine
    records: int


def recover(
    frames: Iterable[tuple[int, bytes]],
    *,
    node_id: str,
    incarnation: int,
    policies: Policies,
    options: EngineOptions,
    nonce: int,
    jitter: Callable[[], float],
) -> Recovered:
    """Make a node's engine, and evolve it by what its log holds.

    Args:
        frames: kind and payload of each record; none for a node without a past.
        node_id: the node.
        incarnation: of its log.
        policies: what happens to concurrent writes.
        options: the engine's settings.
        nonce: drawn anew for each life.
        jitter: gives a number from 0 to 1, uniformly.

    Raises:
        StoreError: a record is intact and cannot be read, as one of a newer version.
    """
    replica = Replica(node_id, incarnation, policies)
    engine = Engine(replica, options, nonce=nonce, jitter=jitter)
    records = 0
    # Nothing that replay makes is garbage, and looking for some in a million new tuples over
    # and over takes a third of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for kind, payload in frames:
            try:
                engine.evolve(decode_record(kind, payload, replica.origins))
            except StoreError:
                raise
            except Exception as error:  # its checksum is right, so nothing is expected of it
                raise StoreError(
                    f"record {records + 1} of the log (kind {kind}, {len(payload)} bytes) is "
                    f"intact and cannot be read: {error!r}; nothing was changed: open it with the "
                    "version that wrote it, or move it away and let the peers fill a new one",
                    kind=kind,
                    record=records + 1,
                ) from error
            records += 1
    finally:
        if was_enabled:
            gc.enable()
    return Recovered(engine, records)

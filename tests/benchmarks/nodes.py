"""Nodes of the product as the measurements make them: the default options on loopback."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from softadastra import Client, ClientOptions
from softadastra.types import Storable

from .workload import BATCH_WRITES, DEADLINE_SECONDS

__all__ = ["fill", "options_of", "wait_acknowledged"]


def options_of(directory: Path, node_id: str, **settings: Any) -> ClientOptions:
    """Make the options of a node that listens on a free port when its transport is started."""
    path = directory / f"{node_id}.wal"
    return ClientOptions.persistent(node_id, path, **settings).with_local_transport(0)


def fill(
    client: Client, pairs: Iterable[tuple[str, Storable]], batch_writes: int = BATCH_WRITES
) -> None:
    """Write keys and values, many at a time."""
    remaining = iter(pairs)
    while some := list(islice(remaining, batch_writes)):
        with client.batch() as batch:
            for key, value in some:
                batch.put(key, value)


def wait_acknowledged(client: Client, count: int) -> None:
    """Wait until a number of the node's own writes is durable at all peers."""
    client.wait_synced(DEADLINE_SECONDS)
    state = client.sync_state()
    if state.acknowledged_count != count:
        raise RuntimeError(f"{state.acknowledged_count} of {count} writes are acknowledged")

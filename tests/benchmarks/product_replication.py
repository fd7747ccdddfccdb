"""The product's replication one way, between two processes, with its default options.

Node B acknowledges what its log holds durably. The clock stops when node A's outbox shows every
write as acknowledged; afterwards both digests are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from softadastra import Client, ClientOptions, Peer
from softadastra.networking import own_keys
from softadastra.security.trust_file import TrustFile

from .processes import Channel, Child
from .workload import DEADLINE_SECONDS, writes

__all__ = ["replicate_backlog", "replicate_encrypted", "replicate_live"]

BATCH_WRITES = 256
"""How many writes node A puts into a `batch()`."""


def replicate_backlog(directory: Path, count: int) -> float:
    """Connect a node that holds `count` writes to an empty one; writes per second."""
    return _replicate(_send_backlog, directory, count)


def replicate_live(directory: Path, count: int) -> float:
    """Write `count` times while connected; writes per second, until all are acknowledged."""
    return _replicate(_send_live, directory, count)


def replicate_encrypted(directory: Path, count: int) -> float:
    """As `replicate_backlog`, with CURVE."""
    options = [_options(directory, node_id, "curve") for node_id in ("node-a", "node-b")]
    keys = [own_keys(each).public for each in options]
    for each, other, key in zip(options, reversed(options), reversed(keys), strict=True):
        TrustFile(each.resolved_trust_path()).trust(other.node_id, key)
    return _replicate(_send_backlog, directory, count, "curve")


def _replicate(
    sender_role: Callable[..., None], directory: Path, count: int, security: str | None = None
) -> float:
    with (
        Child(_receiver, directory, security) as receiver,
        Child(sender_role, directory, count, security) as sender,
    ):
        port = receiver.receive()
        sender.receive()
        sender.send(port)
        seconds, sent = sender.receive()
        receiver.send("stop")
        received = receiver.receive()
    if sent != received:
        raise RuntimeError(f"node A holds {sent}, node B holds {received}")
    return count / float(seconds)


def _receiver(channel: Channel[Any, Any], directory: Path, security: str | None) -> None:
    with Client(_options(directory, "node-b", security)) as client:
        client.start_transport()
        channel.send(client.transport_port)
        channel.recv()
        channel.send((client.size(), client.digest()))


def _send_backlog(
    channel: Channel[Any, Any], directory: Path, count: int, security: str | None
) -> None:
    with Client(_options(directory, "node-a", security)) as client:
        client.start_transport()
        _put_batches(client, writes(count))
        channel.send("ready")
        peer = Peer.local("node-b", channel.recv())
        start = time.perf_counter()
        client.connect(peer)
        _wait_acknowledged(client, count)
        channel.send((time.perf_counter() - start, (client.size(), client.digest())))


def _send_live(
    channel: Channel[Any, Any], directory: Path, count: int, security: str | None
) -> None:
    pairs = writes(count)
    with Client(_options(directory, "node-a", security)) as client:
        client.start_transport()
        channel.send("ready")
        client.connect(Peer.local("node-b", channel.recv()))
        client.put("connected", True)
        _wait_acknowledged(client, 1)
        start = time.perf_counter()
        _put_batches(client, pairs)
        _wait_acknowledged(client, count + 1)
        channel.send((time.perf_counter() - start, (client.size(), client.digest())))


def _options(directory: Path, node_id: str, security: str | None) -> ClientOptions:
    path = directory / f"{node_id}.wal"
    return ClientOptions.persistent(node_id, path, security=security).with_local_transport(0)


def _put_batches(client: Client, pairs: list[tuple[str, str]]) -> None:
    for first in range(0, len(pairs), BATCH_WRITES):
        with client.batch() as batch:
            for key, value in pairs[first : first + BATCH_WRITES]:
                batch.put(key, value)


def _wait_acknowledged(client: Client, count: int) -> None:
    client.wait_synced(DEADLINE_SECONDS)
    state = client.sync_state()
    if state.acknowledged_count != count:
        raise RuntimeError(f"{state.acknowledged_count} of {count} writes are acknowledged")

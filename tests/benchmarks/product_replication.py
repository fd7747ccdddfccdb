"""The product's replication one way, between two processes, with its default options.

Node B acknowledges what its log holds durably. The clock stops when node A's outbox shows every
write as acknowledged; afterwards both digests are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from softadastra import Client, Peer
from softadastra.networking import own_keys
from softadastra.security.trust_file import TrustFile

from .nodes import fill, options_of, wait_acknowledged
from .processes import Channel, Child
from .workload import writes

__all__ = ["replicate_backlog", "replicate_encrypted", "replicate_in_memory", "replicate_live"]


def replicate_backlog(directory: Path, count: int) -> float:
    """Connect a node that holds `count` writes to an empty one; writes per second."""
    return _replicate(_send_backlog, directory, count)


def replicate_live(directory: Path, count: int) -> float:
    """Write `count` times while connected; writes per second, until all are acknowledged."""
    return _replicate(_send_live, directory, count)


def replicate_in_memory(directory: Path, count: int) -> float:
    """As `replicate_backlog`, between nodes without a log."""
    return _replicate(_send_backlog, directory, count, enable_wal=False)


def replicate_encrypted(directory: Path, count: int) -> float:
    """As `replicate_backlog`, with CURVE."""
    options = [options_of(directory, node_id, security="curve") for node_id in ("node-a", "node-b")]
    keys = [own_keys(each).public for each in options]
    for each, other, key in zip(options, reversed(options), reversed(keys), strict=True):
        TrustFile(each.resolved_trust_path()).trust(other.node_id, key)
    return _replicate(_send_backlog, directory, count, security="curve")


def _replicate(
    sender_role: Callable[..., None], directory: Path, count: int, **settings: Any
) -> float:
    with (
        Child(_receiver, directory, settings) as receiver,
        Child(sender_role, directory, count, settings) as sender,
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


def _receiver(channel: Channel[Any, Any], directory: Path, settings: dict[str, Any]) -> None:
    with Client(options_of(directory, "node-b", **settings)) as client:
        client.start_transport()
        channel.send(client.transport_port)
        channel.recv()
        channel.send((client.size(), client.digest()))


def _send_backlog(
    channel: Channel[Any, Any], directory: Path, count: int, settings: dict[str, Any]
) -> None:
    with Client(options_of(directory, "node-a", **settings)) as client:
        client.start_transport()
        fill(client, writes(count))
        channel.send("ready")
        peer = Peer.local("node-b", channel.recv())
        start = time.perf_counter()
        client.connect(peer)
        wait_acknowledged(client, count)
        channel.send((time.perf_counter() - start, (client.size(), client.digest())))


def _send_live(
    channel: Channel[Any, Any], directory: Path, count: int, settings: dict[str, Any]
) -> None:
    pairs = writes(count)
    with Client(options_of(directory, "node-a", **settings)) as client:
        client.start_transport()
        channel.send("ready")
        client.connect(Peer.local("node-b", channel.recv()))
        client.put("connected", True)
        wait_acknowledged(client, 1)
        start = time.perf_counter()
        fill(client, pairs)
        wait_acknowledged(client, count + 1)
        channel.send((time.perf_counter() - start, (client.size(), client.digest())))

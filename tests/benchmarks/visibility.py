"""How long a write takes from `put` on one node until `watch()` on another one gives it.

Both are processes of one machine, whose monotonic clock they share: the value of each write is the
time at which its `put` was called.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import zmq

from softadastra import Client, ClientOptions, Peer

from .nodes import options_of
from .percentiles import of_seconds
from .processes import Channel, Child
from .workload import DEADLINE_SECONDS

__all__ = ["durable", "echo", "in_memory", "without_sync"]

PACE_SECONDS = 0.002
"""Between two writes, so that none waits for the one before: longer than a round trip takes."""

ECHO_BYTES = 120
"""As long as a message with one write of the workload."""


def in_memory(directory: Path, count: int) -> dict[str, float]:
    """Put on nodes without a log."""
    return _measure("memory", directory, count)


def without_sync(directory: Path, count: int) -> dict[str, float]:
    """Put with `auto_flush=False` on nodes with a log."""
    return _measure("unsynced", directory, count)


def durable(directory: Path, count: int) -> dict[str, float]:
    """Put with the default options: durable on both sides before it is seen."""
    return _measure("durable", directory, count)


def echo(directory: Path, count: int) -> dict[str, float]:
    """Send a message over ZeroMQ and wait for it to come back, as often."""
    with Child(_echo) as echoing, Child(_ask, count) as asking:
        asking.send(echoing.receive())
        return of_seconds(asking.receive())


def _measure(kind: str, directory: Path, count: int) -> dict[str, float]:
    with Child(_watch, kind, directory, count) as watching, Child(_put, kind, directory) as putting:
        putting.send((watching.receive(), count))
        return of_seconds(watching.receive())


def _options(kind: str, directory: Path, node_id: str) -> ClientOptions:
    if kind == "memory":
        return ClientOptions.memory_only(node_id).with_local_transport(0)
    return options_of(directory, node_id, auto_flush=kind == "durable")


def _watch(channel: Channel[Any, Any], kind: str, directory: Path, count: int) -> None:
    with Client(_options(kind, directory, "node-b")) as client, client.watch() as changes:
        client.start_transport()
        channel.send(client.transport_port)
        waits: list[float] = []
        for _ in range(count):
            change = changes.get(DEADLINE_SECONDS)
            seen = time.monotonic_ns()
            if change is None:
                raise RuntimeError(f"{len(waits)} of {count} writes were seen")
            assert isinstance(change.value, int)
            waits.append((seen - change.value) / 1e9)
        channel.send(waits)


def _put(channel: Channel[Any, Any], kind: str, directory: Path) -> None:
    with Client(_options(kind, directory, "node-a")) as client:
        client.start_transport()
        port, count = channel.recv()
        client.connect(Peer.local("node-b", port))
        for number in range(count):
            time.sleep(PACE_SECONDS)
            client.put(f"bench/{number:017d}", time.monotonic_ns())
        client.wait_synced(DEADLINE_SECONDS)


def _echo(channel: Channel[Any, Any]) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        channel.send(socket.bind_to_random_port("tcp://127.0.0.1"))
        while True:
            socket.send_multipart(socket.recv_multipart())


def _ask(channel: Channel[Any, Any], count: int) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, int(DEADLINE_SECONDS * 1000))
        socket.connect(f"tcp://127.0.0.1:{channel.recv()}")
        waits = []
        for _ in range(count):
            time.sleep(PACE_SECONDS)
            start = time.perf_counter()
            socket.send(bytes(ECHO_BYTES))
            socket.recv()
            waits.append(time.perf_counter() - start)
        channel.send(waits)

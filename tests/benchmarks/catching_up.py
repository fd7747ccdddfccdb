"""What it takes to bring a peer up to date that was away while a little changed.

Both nodes hold the same keys, the connection ends, node A writes, and dials again. The clock runs
from when the two have greeted each other until node A knows that all of it is durable at node B.
Bytes are those of TCP payload both ways: those of a reconnect after the writes, less those of one
that had nothing to say.
"""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import zmq

from softadastra import Client, Event, Peer

from .bare import RECORD_BYTES
from .counting_relay import CountingRelay
from .nodes import fill, options_of, wait_acknowledged
from .processes import Channel, Child
from .visibility import echo
from .workload import DEADLINE_SECONDS, FILL_WRITES, each_write

__all__ = ["CHANGES", "catch_up", "greet", "ideal", "reconnect"]

CHANGES = 100
ROUNDS = 5
"""Times that node A goes away and comes back in one measurement; the median counts."""
ECHOES = 400
HELLO_BYTES = 61
"""What two nodes have to tell each other at the least: names, and what each has."""
QUIET_SECONDS = 0.2
"""Without a byte for so long, a connection has nothing more to say."""


def catch_up(directory: Path, count: int) -> dict[str, float]:
    """Catch up with 100 changes in `count` keys: microseconds, and bytes."""
    with Child(_peer, directory) as peer, Child(_comes_back, directory, count) as node:
        node.send(peer.receive())
        waits, quiet_bytes, changed_bytes = node.receive()
    return {"time": statistics.median(waits) * 1e6, "bytes": changed_bytes - quiet_bytes}


def ideal(directory: Path, count: int) -> dict[str, float]:
    """Give a bare ZeroMQ round trip in microseconds, and the bytes of the bare writes."""
    return {"time": echo(directory, ECHOES)["p50"], "bytes": float(CHANGES * RECORD_BYTES)}


def reconnect(directory: Path, count: int) -> float:
    """Give the bytes of a reconnect with nothing to say."""
    with Child(_peer, directory) as peer, Child(_comes_back, directory, count) as node:
        node.send(peer.receive())
        _, quiet_bytes, _ = node.receive()
    return float(quiet_bytes)


def greet(directory: Path, count: int) -> float:
    """Give the bytes of a bare connection over which each side says one short hello."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        with CountingRelay(port) as relay, context.socket(zmq.DEALER) as dealer:
            dealer.set(zmq.LINGER, 0)
            dealer.connect(f"tcp://127.0.0.1:{relay.port}")
            dealer.send(bytes(HELLO_BYTES))
            router.send_multipart(router.recv_multipart())
            dealer.recv()
            return float(_settled(relay))


def _peer(channel: Channel[Any, Any], directory: Path) -> None:
    with Client(options_of(directory, "node-b")) as client:
        client.start_transport()
        channel.send(client.transport_port)
        channel.recv()


def _comes_back(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        client.start_transport()
        fill(client, each_write(count), FILL_WRITES)
        port = channel.recv()
        direct = Peer.local("node-b", port)
        client.connect(direct)
        wait_acknowledged(client, count)
        waits = [_seconds_of_return(client, direct, each, count) for each in range(ROUNDS)]
        client.disconnect(direct)
        with CountingRelay(port) as relay:
            relayed = Peer.local("node-b", relay.port)
            quiet_bytes = _bytes_of_return(client, relayed, relay)
            client.disconnect(relayed)
            _change(client, ROUNDS, count)
            changed_bytes = _bytes_of_return(client, relayed, relay)
        channel.send((waits, quiet_bytes, changed_bytes))


def _seconds_of_return(client: Client, peer: Peer, number: int, count: int) -> float:
    client.disconnect(peer)
    _change(client, number, count)
    greeted: list[float] = []
    is_greeted = threading.Event()

    def note(_: Event) -> None:
        greeted.append(time.perf_counter())
        is_greeted.set()

    with client.on("peer.connected", note):
        client.connect(peer)
        client.wait_synced(DEADLINE_SECONDS)
        done = time.perf_counter()
        if not is_greeted.wait(DEADLINE_SECONDS):
            raise RuntimeError("node A was not told that it is connected")
    state = client.sync_state()
    if state.acknowledged_count != count + (number + 1) * CHANGES:
        raise RuntimeError(f"after the return {state.acknowledged_count} writes are acknowledged")
    return done - greeted[0]


def _bytes_of_return(client: Client, peer: Peer, relay: CountingRelay) -> int:
    before = relay.passed_bytes
    client.connect(peer)
    client.wait_synced(DEADLINE_SECONDS)
    return _settled(relay) - before


def _settled(relay: CountingRelay) -> int:
    """Wait until nothing more is said, and give all that was."""
    found, since = relay.passed_bytes, time.monotonic()
    while time.monotonic() < since + QUIET_SECONDS:
        time.sleep(QUIET_SECONDS / 20)
        if relay.passed_bytes != found:
            found, since = relay.passed_bytes, time.monotonic()
    return found


def _change(client: Client, number: int, count: int) -> None:
    """Write as many changes, of keys that are there."""
    step = count // CHANGES
    with client.batch() as batch:
        for each in range(CHANGES):
            batch.put(f"bench/{each * step:017d}", f"{number:028d}{each:028d}")

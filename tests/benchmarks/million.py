"""What a large store costs: its first sync, its rewriting, and what must not depend on its size."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from softadastra import Client, Peer

from .counting_relay import CountingRelay
from .memory import peak_mb
from .nodes import fill, options_of, wait_acknowledged
from .processes import Channel, Child, in_process
from .workload import DEADLINE_SECONDS, each_write

__all__ = ["first_scanned", "first_sync", "hot_key", "looked_at", "rewritten"]

SCANNED = 100
LOOKS = 200
"""Times that something quick is done; the median counts."""
PUT_INTERVAL_SECONDS = 0.001


def first_sync(directory: Path, count: int) -> dict[str, float]:
    """Bring `count` keys to a new node: keys per second, and the peak of both processes in MB."""
    with Child(_receives, directory) as receiver, Child(_sends, directory, count) as sender:
        sender.send(receiver.receive())
        seconds, sent, sender_mb = sender.receive()
        receiver.send("stop")
        received, receiver_mb = receiver.receive()
    if sent != received:
        raise RuntimeError(f"node A holds {sent}, node B holds {received}")
    return {"rate": count / seconds, "sender": sender_mb, "receiver": receiver_mb}


def looked_at(directory: Path, count: int) -> dict[str, float]:
    """Ask a store of `count` keys for its digest, and for 100 keys with a prefix: microseconds."""
    found: dict[str, float] = in_process(_look, directory, count)
    return found


def first_scanned(directory: Path, count: int) -> dict[str, float]:
    """Scan a store of `count` keys for the first time: milliseconds, and how long a put waited."""
    found: dict[str, float] = in_process(_scan_first, directory, count)
    return found


def rewritten(directory: Path, count: int) -> float:
    """Rewrite the log of `count` keys; keys per second."""
    return float(in_process(_rewrite, directory, count))


def hot_key(directory: Path, count: int) -> dict[str, float]:
    """Write one key `count` times for a peer that is away: what it is sent when it returns."""
    with Child(_receives, directory) as receiver, Child(_overwrites, directory, count) as sender:
        sender.send(receiver.receive())
        found: dict[str, Any] = sender.receive()
        receiver.send("stop")
        received, _ = receiver.receive()
    if (sent := found.pop("sent")) != received:
        raise RuntimeError(f"node A holds {sent}, node B holds {received}")
    return found


def _receives(channel: Channel[Any, Any], directory: Path) -> None:
    with Client(options_of(directory, "node-b")) as client:
        client.start_transport()
        channel.send(client.transport_port)
        channel.recv()
        channel.send((_held(client), peak_mb()))


def _sends(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        client.start_transport()
        fill(client, each_write(count))
        peer = Peer.local("node-b", channel.recv())
        start = time.perf_counter()
        client.connect(peer)
        wait_acknowledged(client, count)
        channel.send((time.perf_counter() - start, _held(client), peak_mb()))


def _look(directory: Path, count: int) -> dict[str, float]:
    with Client(options_of(directory, "bench", auto_flush=False)) as client:
        fill(client, each_write(count))
        scan = partial(_scan, client, count)
        return {"digest": _typical(client.digest), "scan": _typical(scan)}


def _scan_first(directory: Path, count: int) -> dict[str, float]:
    """Scan while another thread puts, every millisecond, another key."""
    with Client(options_of(directory, "bench", auto_flush=False)) as client:
        fill(client, each_write(count))
        is_over, has_begun = threading.Event(), threading.Event()
        waits: list[float] = []

        def put() -> None:
            while not is_over.wait(PUT_INTERVAL_SECONDS):
                start = time.perf_counter()
                client.put(f"meanwhile/{len(waits)}", len(waits))
                waits.append(time.perf_counter() - start)
                has_begun.set()

        writer = threading.Thread(target=put)
        writer.start()
        try:
            has_begun.wait(DEADLINE_SECONDS)
            waits.clear()
            start = time.perf_counter()
            _scan(client, count)
            seconds = time.perf_counter() - start
        finally:
            is_over.set()
            writer.join()
        return {"time": seconds * 1e3, "put": max(waits, default=seconds) * 1e3}


def _scan(client: Client, count: int) -> None:
    # In the middle of all keys, behind which there are as many as are looked for.
    prefix = f"bench/{count // 2 // 1_000:014d}"
    found = list(islice(client.items(prefix), SCANNED))
    if len(found) != SCANNED:
        raise RuntimeError(f"{len(found)} of {SCANNED} keys have the prefix {prefix}")


def _rewrite(directory: Path, count: int) -> float:
    with Client(options_of(directory, "bench", auto_flush=False)) as client:
        fill(client, each_write(count))
        start = time.perf_counter()
        client.compact()
        return count / (time.perf_counter() - start)


def _overwrites(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a", auto_flush=False)) as client:
        client.start_transport()
        port = channel.recv()
        met = Peer.local("node-b", port)
        client.put("hot", -1)
        client.connect(met)
        wait_acknowledged(client, 1)
        client.disconnect(met)
        fill(client, (("hot", number) for number in range(count)), batch_writes=1)
        with CountingRelay(port) as relay:
            batches = client.vitals().traffic.batches_out
            start = time.perf_counter()
            client.connect(Peer.local("node-b", relay.port))
            wait_acknowledged(client, count + 1)
            seconds = time.perf_counter() - start
            batches = client.vitals().traffic.batches_out - batches
            found = {"batches": batches, "bytes": relay.passed_bytes, "time": seconds * 1e3}
            channel.send({**found, "sent": _held(client)})


def _typical(work: Callable[[], object]) -> float:
    """Give the median microseconds of doing it."""
    waits = []
    for _ in range(LOOKS):
        start = time.perf_counter()
        work()
        waits.append(time.perf_counter() - start)
    return statistics.median(waits) * 1e6


def _held(client: Client) -> tuple[int, str]:
    """Give what two nodes that hold the same give alike."""
    return client.size(), client.digest()

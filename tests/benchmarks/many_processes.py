"""Many nodes on one machine, each a process, each connected to all others."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from softadastra import Client, Peer

from .nodes import fill, options_of
from .processes import Channel, Child
from .workload import DEADLINE_SECONDS, each_write

__all__ = ["PROCESSES", "converge"]

PROCESSES = 32
BATCH_WRITES = 10
"""Small, as programs write: so many batches are committed, and told to all others."""
IDLE_SECONDS = 10.0
POLL_SECONDS = 0.02
QUIET_SECONDS = 3.0
"""Without a batch for so long a node is idle: a write is relayed a second after it came."""


def converge(
    directory: Path, count: int, *, processes: int = PROCESSES, idle_s: float = IDLE_SECONDS
) -> dict[str, float]:
    """Let nodes write `count` keys together, and wait until all hold the same.

    Gives the seconds from the first write, how often each write was sent in all, batches for each
    write, and the most milliseconds of processor that one node takes in a second of nothing to do.
    """
    with ExitStack() as running:
        nodes = [
            running.enter_context(Child(_node, directory, number, processes, count))
            for number in range(processes)
        ]
        ports = [node.receive() for node in nodes]
        for node in nodes:
            node.send(ports)
        for node in nodes:
            node.receive()
        start = time.perf_counter()
        for node in nodes:
            node.send("write")
        digests = {node.receive() for node in nodes}
        seconds = time.perf_counter() - start
        if len(digests) != 1:
            raise RuntimeError(f"the nodes hold {len(digests)} different states")
        for node in nodes:
            node.send(idle_s)
        used, sent, batches = zip(*(node.receive() for node in nodes), strict=True)
    return {
        "time": seconds,
        "copies": sum(sent) / count,
        "batches": sum(batches) / count,
        "idle": max(used),
    }


def _node(
    channel: Channel[Any, Any], directory: Path, number: int, processes: int, count: int
) -> None:
    with Client(options_of(directory, f"node-{number:02d}")) as client:
        client.start_transport()
        channel.send(client.transport_port)
        ports = channel.recv()
        for other, port in enumerate(ports[:number]):
            client.connect(Peer.local(f"node-{other:02d}", port), timeout=DEADLINE_SECONDS)
        _wait(lambda: len(client.peers()) == processes - 1)
        channel.send("connected")
        channel.recv()
        share = [
            pair for index, pair in enumerate(each_write(count)) if index % processes == number
        ]
        fill(client, share, batch_writes=BATCH_WRITES)
        _wait(lambda: client.size() == count)
        channel.send(client.digest())
        idle_s = channel.recv()
        client.wait_synced(DEADLINE_SECONDS)
        _wait_quiet(client)
        traffic = client.vitals().traffic
        before = time.process_time()
        time.sleep(idle_s)
        idle_ms = (time.process_time() - before) * 1e3 / idle_s
        channel.send((idle_ms, traffic.writes_out, traffic.batches_out))


def _wait_quiet(client: Client) -> None:
    seen, since = -1, 0.0

    def is_quiet() -> bool:
        nonlocal seen, since
        traffic = client.vitals().traffic
        batches = traffic.batches_in + traffic.batches_out
        if batches != seen:
            seen, since = batches, time.monotonic()
        return time.monotonic() - since >= QUIET_SECONDS

    _wait(is_quiet)


def _wait(is_so: Any) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"a node waited for {DEADLINE_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)

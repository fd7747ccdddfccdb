"""How long a durable put takes while the node does something large beside it, and otherwise.

The two sides differ in what goes on beside the puts alone. The store has been filled before; puts
are of new keys, one after the other, from one thread. A new peer is a process of the lowest
priority without a log: elsewhere it has a processor and a disk of its own.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path
from typing import Any

from softadastra import Client, ClientOptions, Peer

from .nodes import fill, options_of
from .percentiles import of_seconds
from .processes import Channel, Child
from .workload import FILL_WRITES, each_write

__all__ = ["alone", "while_compacting", "while_syncing"]

PUTS = 10_000
"""At least so many are measured, of a small store one for each eight keys: the longest decide."""

LOOK_EVERY = 100
"""After so many puts it is looked whether a new peer has all."""

PRIORITY_LEAST = 19


def alone(directory: Path, count: int) -> dict[str, float]:
    """Put into a store of `count` keys, with nothing beside it."""
    with Child(_puts_alone, directory, count) as node:
        return of_seconds(node.receive())


def while_compacting(directory: Path, count: int) -> dict[str, float]:
    """Put while the log is being rewritten, again and again until enough puts are measured."""
    with Child(_puts_while_compacting, directory, count) as node:
        return of_seconds(node.receive())


def while_syncing(directory: Path, count: int) -> dict[str, float]:
    """Put while new peers get the whole store, one after the other until enough are measured."""
    waits: list[float] = []
    with Child(_puts_while_syncing, directory, count) as node:
        for number in itertools.count():
            with Child(_new_peer, f"peer-{number}") as peer:
                node.send(peer.receive())
                waits += node.receive()
                if len(waits) >= _puts(count):
                    return of_seconds(waits)
                node.send("next")
    raise AssertionError("the loop ends by returning")


class _Puts:
    """Puts into a filled node, with the time that each took."""

    def __init__(self, client: Client, count: int) -> None:
        fill(client, each_write(count), FILL_WRITES)
        self._client = client
        self._next = count

    def one(self) -> float:
        """Put a new key; give the seconds."""
        key, value = f"bench/{self._next:017d}", f"{self._next:056d}"
        self._next += 1
        start = time.perf_counter()
        self._client.put(key, value)
        return time.perf_counter() - start


def _puts_alone(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        puts = _Puts(client, count)
        channel.send([puts.one() for _ in range(_puts(count))])


def _puts_while_compacting(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        puts = _Puts(client, count)
        waits: list[float] = []
        while len(waits) < _puts(count):
            compaction = threading.Thread(target=client.compact)
            compaction.start()
            while compaction.is_alive():
                waits.append(puts.one())
            compaction.join()
        channel.send(waits)


def _puts_while_syncing(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        client.start_transport()
        puts = _Puts(client, count)
        n = client.sync_state().last_submitted_version
        while True:
            name, port = channel.recv()
            client.connect(Peer.local(name, port))
            waits: list[float] = []
            # No thread waits for it: it would ask for the interpreter at each acknowledgement.
            while not client.wait_synced(0, [name], up_to=n):
                waits += (puts.one() for _ in range(LOOK_EVERY))
            channel.send(waits)
            channel.recv()
            client.forget(name)


def _new_peer(channel: Channel[Any, Any], name: str) -> None:
    os.nice(PRIORITY_LEAST)
    with Client(ClientOptions.memory_only(name).with_local_transport(0)) as client:
        client.start_transport()
        channel.send((name, client.transport_port))
        channel.recv()


def _puts(count: int) -> int:
    return min(PUTS, count // 8)

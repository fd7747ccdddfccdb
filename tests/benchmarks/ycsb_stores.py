"""The stores that do YCSB's operations: a node, a node with two peers, and SQLite.

All of them make each write durable before they go on. The operations come from one thread. A node
scans by prefix only, so a scan is here, on all of them, of the keys that begin as its key does.
"""

from __future__ import annotations

import random
import sqlite3
import time
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, assert_never

from softadastra import Client, Peer

from . import sqlite_store
from .nodes import fill, options_of
from .processes import Channel, Child, in_process
from .workload import DEADLINE_SECONDS
from .ycsb import RECORDS, Kind, Operation, Workload, operations, record

__all__ = ["NodeStore", "SqliteStore", "by_node", "by_sqlite", "by_three_nodes", "done"]

PREFIX = len("user00")
"""A tenth of the records, about 100, begin with the same so many characters."""

PEERS = ("node-b", "node-c")


class Store(Protocol):
    """What can be done with a store."""

    def read(self, key: str) -> bytes:
        """Give the value of a key that is there."""

    def write(self, key: str, value: bytes) -> None:
        """Store a value durably."""

    def scan(self, key: str, keys_max: int) -> list[tuple[str, bytes]]:
        """Give so many keys and values in order, of those that begin as a key does."""


def by_node(workload: Workload, directory: Path, count: int) -> float:
    """Do a workload on one node; operations per second."""
    return float(in_process(_on_one_node, workload, directory, count))


def by_sqlite(workload: Workload, directory: Path, count: int) -> float:
    """Do a workload on SQLite; operations per second."""
    return float(in_process(_on_sqlite, workload, directory, count))


def by_three_nodes(workload: Workload, directory: Path, count: int) -> float:
    """Do a workload on a node that two others follow; the clock stops when they have it all."""
    with (
        Child(_follow, directory, PEERS[0]) as first,
        Child(_follow, directory, PEERS[1]) as second,
        Child(_lead, workload, directory, count) as leader,
    ):
        leader.send([first.receive(), second.receive()])
        rate, digest = leader.receive()
        for peer in (first, second):
            peer.send("stop")
            if peer.receive() != digest:
                raise RuntimeError("a peer holds another state")
    return float(rate)


class NodeStore:
    """A node, through its public calls."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(self, key: str) -> bytes:
        value = self._client[key]
        assert isinstance(value, bytes)
        return value

    def write(self, key: str, value: bytes) -> None:
        self._client.put(key, value)

    def scan(self, key: str, keys_max: int) -> list[tuple[str, bytes]]:
        return list(islice(self._client.items(key[:PREFIX]), keys_max))  # type: ignore[arg-type]  # all values are bytes


class SqliteStore:
    """A table of SQLite; each write is a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def read(self, key: str) -> bytes:
        (value,) = self._execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return bytes(value)

    def write(self, key: str, value: bytes) -> None:
        self._execute(sqlite_store.PUT, (key, value))

    def scan(self, key: str, keys_max: int) -> list[tuple[str, bytes]]:
        question = "SELECT key, value FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        prefix = key[:PREFIX]
        return self._execute(question, (prefix, f"{prefix}~", keys_max)).fetchall()


def _records() -> list[tuple[str, bytes]]:
    source = random.Random(RECORDS)
    return [record(number, source) for number in range(RECORDS)]


def _on_one_node(workload: Workload, directory: Path, count: int) -> float:
    with Client(options_of(directory, "node-a")) as client:
        fill(client, _records())
        return count / _seconds(NodeStore(client), list(operations(workload, count)))


def _on_sqlite(workload: Workload, directory: Path, count: int) -> float:
    connection = sqlite_store.opened(directory, "FULL")
    connection.execute("BEGIN")
    connection.executemany(sqlite_store.PUT, _records())
    connection.execute("COMMIT")
    seconds = _seconds(SqliteStore(connection), list(operations(workload, count)))
    connection.close()
    return count / seconds


def _lead(channel: Channel[Any, Any], workload: Workload, directory: Path, count: int) -> None:
    with Client(options_of(directory, "node-a")) as client:
        client.start_transport()
        fill(client, _records())
        for name, port in zip(PEERS, channel.recv(), strict=True):
            client.connect(Peer.local(name, port))
        client.wait_synced(DEADLINE_SECONDS, PEERS)
        prepared = list(operations(workload, count))
        start = time.perf_counter()
        _seconds(NodeStore(client), prepared)
        if not client.wait_synced(DEADLINE_SECONDS, PEERS):
            raise RuntimeError("the peers have not confirmed all writes")
        channel.send((count / (time.perf_counter() - start), client.digest()))


def _follow(channel: Channel[Any, Any], directory: Path, name: str) -> None:
    with Client(options_of(directory, name)) as client:
        client.start_transport()
        channel.send(client.transport_port)
        channel.recv()
        channel.send(client.digest())


def _seconds(store: Store, prepared: list[Operation]) -> float:
    start = time.perf_counter()
    for operation in prepared:
        done(store, operation)
    return time.perf_counter() - start


def done(store: Store, operation: Operation) -> object:
    """Do one thing, and give what was read."""
    match operation.kind:
        case Kind.READ:
            return store.read(operation.key)
        case Kind.UPDATE | Kind.INSERT:
            store.write(operation.key, operation.value)
            return None
        case Kind.SCAN:
            return store.scan(operation.key, operation.keys_max)
        case Kind.MODIFY:
            read = store.read(operation.key)
            store.write(operation.key, operation.value)
            return read
        case _ as unreachable:
            assert_never(unreachable)

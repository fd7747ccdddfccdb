"""What `softadastra bench` measures: how long things take on this disk and this machine, and why.

Every measurement goes on for a share of the time that was given, in a directory of its own, with
the options that a node has by default unless its title says otherwise. Keys and values are new and
as long each time: 22 and 56 characters.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Final

from softadastra.cli.bench_words import (
    batch_words,
    confirmation_words,
    memory_words,
    put_words,
    replication_words,
    sync_words,
    threads_words,
    unsynced_words,
)
from softadastra.client import Client
from softadastra.options import ClientOptions
from softadastra.testing import LocalCluster
from softadastra.wal.disk import OpenMode, OsDisk

__all__ = ["BATCH_WRITES", "SHARES", "THREADS", "Latency", "Measured", "measure_all"]

THREADS: Final = 8
BATCH_WRITES: Final = 256

FRAME_BYTES: Final = 160
"""About what one such write takes in the log."""

ALLOCATED_BYTES: Final = 1 << 20
"""A log has space allocated ahead, which is synced faster; the file is written in circles."""

SHARES: Final = 8
"""Measurements that share the time."""

FILL_PART: Final = 0.25
"""Of the time for replication, how much makes the writes that are replicated then."""

REPLICATION_SECONDS: Final = 10.0
"""How much longer than its share replication may take: it is measured as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What the waits were, in milliseconds."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    """Of fewer than 1,000, the longest."""

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency:
        """Make it of all waits, of which there is one or more."""
        ordered = sorted(seconds)

        def at(part: float) -> float:
            milliseconds = ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e3
            return round(milliseconds, 5)

        return cls(p50_ms=at(0.5), p99_ms=at(0.99), p999_ms=at(0.999))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement."""

    name: str
    title: str
    """For people."""
    count: int
    """How often it was done."""
    per_second: float
    latency: Latency | None
    """How long each took; None where several are done together."""
    limit: str
    """A sentence: what limits it here."""


def measure_all(directory: Path, seconds: float) -> Iterator[Measured]:
    """Measure everything, one after the other.

    Args:
        directory: an empty one; its files stay.
        seconds: how long all of it goes on, but for starting a second process.

    Raises:
        StorageError: the disk refused.
        SoftadastraError: the second process could not start, or its node not be reached.
    """
    share_s = seconds / SHARES
    syncing = _sync(directory, share_s)
    yield syncing
    assert syncing.latency is not None
    sync_ms = syncing.latency.p50_ms
    yield _durable_put(directory, share_s)
    yield _threads(directory, share_s)
    yield _batch(directory, share_s)
    yield _unsynced_put(directory, share_s)
    yield _memory_put(share_s)
    yield from _replicated(directory, share_s, sync_ms)


def _sync(directory: Path, seconds: float) -> Measured:
    file = OsDisk().open(directory / "sync", OpenMode.NEW)
    frame = bytes(FRAME_BYTES)
    places = (at * FRAME_BYTES % (ALLOCATED_BYTES - FRAME_BYTES) for at in count_from())
    try:
        file.allocate(0, ALLOCATED_BYTES)
        file.sync()

        def write_and_sync() -> None:
            file.pwrite(frame, next(places))
            file.sync()

        waits = _waits(write_and_sync, seconds)
    finally:
        file.close()
    latency = Latency.of(waits)
    return Measured(
        name="fdatasync",
        title="write + fdatasync",
        count=len(waits),
        per_second=len(waits) / sum(waits),
        latency=latency,
        limit=sync_words(latency.p50_ms, latency.p99_ms),
    )


def _durable_put(directory: Path, seconds: float) -> Measured:
    with Client(ClientOptions.persistent("bench", directory / "put.wal")) as client:
        waits = _puts(client, seconds)
        log = client.vitals().log
    latency = Latency.of(waits)
    sync_ms = log.sync_p50_ms if log is not None else None
    return Measured(
        name="durable_put",
        title="durable put",
        count=len(waits),
        per_second=len(waits) / sum(waits),
        latency=latency,
        limit=put_words(latency.p50_ms, sync_ms or 0.0),
    )


def _threads(directory: Path, seconds: float) -> Measured:
    is_over = threading.Event()
    with (
        Client(ClientOptions.persistent("bench", directory / "threads.wal")) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        before = client.vitals().log
        start = time.perf_counter()
        try:
            putting = [
                pool.submit(_puts, client, seconds, f"{each}/", is_over) for each in range(THREADS)
            ]
            waits = [wait for each in putting for wait in each.result()]
        finally:
            is_over.set()  # on Ctrl-C the pool would wait for the end of their time
        elapsed_s = time.perf_counter() - start
        after = client.vitals().log
    syncs = 0 if before is None or after is None else after.syncs - before.syncs
    return Measured(
        name="durable_put_threads",
        title=f"durable put, {THREADS} threads",
        count=len(waits),
        per_second=len(waits) / elapsed_s,
        latency=Latency.of(waits),
        limit=threads_words(len(waits), syncs, THREADS),
    )


def _batch(directory: Path, seconds: float) -> Measured:
    with Client(ClientOptions.persistent("bench", directory / "batch.wal")) as client:
        pairs = _pairs()
        waits = _waits(lambda: _put_batch(client, pairs), seconds)
    count = len(waits) * BATCH_WRITES
    rate = count / sum(waits)
    return Measured(
        name="durable_batch",
        title=f"durable batch() of {BATCH_WRITES}",
        count=count,
        per_second=rate,
        latency=None,
        limit=batch_words(Latency.of(waits).p50_ms, BATCH_WRITES),
    )


def _unsynced_put(directory: Path, seconds: float) -> Measured:
    options = ClientOptions.persistent("bench", directory / "unsynced.wal", auto_flush=False)
    with Client(options) as client:
        waits = _puts(client, seconds)
    return Measured(
        name="put",
        title="put, auto_flush=False",
        count=len(waits),
        per_second=len(waits) / sum(waits),
        latency=Latency.of(waits),
        limit=unsynced_words(options.flush_interval),
    )


def _memory_put(seconds: float) -> Measured:
    with Client(ClientOptions.memory_only("bench")) as client:
        waits = _puts(client, seconds)
    return Measured(
        name="memory_put",
        title="put, memory only",
        count=len(waits),
        per_second=len(waits) / sum(waits),
        latency=Latency.of(waits),
        limit=memory_words(),
    )


def _replicated(directory: Path, seconds: float, sync_ms: float) -> Iterator[Measured]:
    """Send a backlog to a node in another process, then single writes."""
    options = ClientOptions.persistent("bench", directory / "replicated.wal")
    with (
        LocalCluster(1, directory=directory / "peer") as cluster,
        Client(options.with_local_transport(0)) as client,
    ):
        (peer,) = cluster.nodes
        client.start_transport()
        pairs = _pairs()
        fill_s = seconds * FILL_PART
        backlog = BATCH_WRITES * len(_waits(lambda: _put_batch(client, pairs), fill_s))
        processor_s, start = time.process_time(), time.perf_counter()
        client.connect(peer.address)
        client.wait_synced(seconds + REPLICATION_SECONDS)
        elapsed_s = time.perf_counter() - start
        processor_s = time.process_time() - processor_s
        count = client.sync_state().acknowledged_count
        yield Measured(
            name="replication",
            title="replication, loopback",
            count=count,
            per_second=count / elapsed_s,
            latency=None,
            limit=replication_words(
                count, backlog, elapsed_s, processor_s, os.cpu_count() or 1, options
            ),
        )
        client.wait_synced(seconds)

        def put_confirmed() -> None:
            result = client.put(*next(pairs))
            client.wait_synced(seconds, up_to=result.n)

        waits = _waits(put_confirmed, seconds)
        latency = Latency.of(waits)
        yield Measured(
            name="confirmed_put",
            title="put until a peer has it",
            count=len(waits),
            per_second=len(waits) / sum(waits),
            latency=latency,
            limit=confirmation_words(latency.p50_ms, sync_ms),
        )


def _puts(
    client: Client, seconds: float, prefix: str = "", is_over: threading.Event | None = None
) -> list[float]:
    pairs = _pairs(prefix)
    return _waits(lambda: client.put(*next(pairs)), seconds, is_over)


def _put_batch(client: Client, pairs: Iterator[tuple[str, str]]) -> None:
    with client.batch() as batch:
        for _ in range(BATCH_WRITES):
            batch.put(*next(pairs))


def _pairs(prefix: str = "") -> Iterator[tuple[str, str]]:
    """Make keys that were not there, and values that do not compress to nothing."""
    for number in count_from():
        yield f"bench/{prefix}{number:016d}", f"{number * 0x9E3779B97F4A7C15 % (1 << 64):056d}"


def _waits(
    work: Callable[[], object], seconds: float, is_over: threading.Event | None = None
) -> list[float]:
    """Do something again and again, once at the least; give how long each time took.

    Args:
        work: what is done.
        seconds: how long it goes on.
        is_over: ends it before, when it is set.
    """
    waits = []
    began = time.perf_counter()
    deadline = began + seconds
    while True:
        work()
        ended = time.perf_counter()
        waits.append(ended - began)
        if ended >= deadline or (is_over is not None and is_over.is_set()):
            return waits
        began = ended

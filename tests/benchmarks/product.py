"""The product on one node, through its public calls. Each function returns writes per second."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from softadastra import Client, ClientOptions, configure_logging

from .threads import rate_together
from .workload import writes

__all__ = [
    "batch_put",
    "durable_put",
    "durable_put_logged",
    "durable_put_threads",
    "put",
    "put_in_memory",
    "put_logged",
]


def durable_put(directory: Path, count: int) -> float:
    """Put one write at a time, each durable when `put` returns: the default options."""
    return _put_all(_options(directory), count)


def put(directory: Path, count: int) -> float:
    """Put one write at a time without a sync."""
    return _put_all(_options(directory, auto_flush=False), count)


def put_in_memory(_: Path, count: int) -> float:
    """Put one write at a time into a node without a log."""
    return _put_all(ClientOptions.memory_only("bench"), count)


def durable_put_logged(directory: Path, count: int) -> float:
    """Put durably with every event in a file, as `softadastra trace` needs it."""
    configure_logging("debug", "json", file=directory / "bench.log")
    return durable_put(directory, count)


def put_logged(directory: Path, count: int) -> float:
    """Put without a sync with every event in a file."""
    configure_logging("debug", "json", file=directory / "bench.log")
    return put(directory, count)


def durable_put_threads(directory: Path, count: int, threads: int) -> float:
    """Put durably from several threads, each with its own share of the keys."""
    with Client(_options(directory)) as client:
        rate = rate_together(count, threads, lambda: nullcontext(client.put))
        _check_size(client, count)
    return rate


def batch_put(directory: Path, count: int, batch_writes: int) -> float:
    """Put in `batch()`es, without a sync."""
    pairs = writes(count)
    with Client(_options(directory, auto_flush=False)) as client:
        start = time.perf_counter()
        for first in range(0, count, batch_writes):
            with client.batch() as batch:
                for key, value in pairs[first : first + batch_writes]:
                    batch.put(key, value)
        seconds = time.perf_counter() - start
        _check_size(client, count)
    return count / seconds


def _put_all(options: ClientOptions, count: int) -> float:
    pairs = writes(count)
    with Client(options) as client:
        start = time.perf_counter()
        for key, value in pairs:
            client.put(key, value)
        seconds = time.perf_counter() - start
        _check_size(client, count)
    return count / seconds


def _options(directory: Path, *, auto_flush: bool = True) -> ClientOptions:
    return ClientOptions.persistent("bench", directory / "bench.wal", auto_flush=auto_flush)


def _check_size(client: Client, count: int) -> None:
    """Refuse a rate of writes that are not there."""
    if client.size() != count:
        raise RuntimeError(f"the node holds {client.size()} of {count} writes")

"""LMDB and diskcache: stores within the process, without replication. Writes per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from .installed import package
from .workload import writes

__all__ = ["diskcache_durable_put", "diskcache_put", "lmdb_durable_put", "lmdb_put"]

LMDB_BYTES_MAX = 1 << 30
"""The size of the map, which is no size of the file: more than any measurement writes."""


def lmdb_durable_put(directory: Path, count: int) -> float:
    """Put one write a synced transaction."""
    return _put_into_lmdb(directory, count, is_synced=True)


def lmdb_put(directory: Path, count: int) -> float:
    """Put one write a transaction, without a sync."""
    return _put_into_lmdb(directory, count, is_synced=False)


def diskcache_durable_put(directory: Path, count: int) -> float:
    """Set one key a transaction of its SQLite, synced."""
    return _put_into_diskcache(directory, count, synchronous=2)


def diskcache_put(directory: Path, count: int) -> float:
    """Set one key a transaction with the default settings, without a sync."""
    return _put_into_diskcache(directory, count, synchronous=1)


def _put_into_lmdb(directory: Path, count: int, *, is_synced: bool) -> float:
    environment = package("lmdb").open(
        str(directory / "lmdb"), map_size=LMDB_BYTES_MAX, sync=is_synced
    )

    def put(key: str, value: str) -> None:
        with environment.begin(write=True) as transaction:
            transaction.put(key.encode(), value.encode())

    rate = _rate(put, count)
    _check_size(environment.stat()["entries"], count)
    environment.close()
    return rate


def _put_into_diskcache(directory: Path, count: int, *, synchronous: int) -> float:
    cache = package("diskcache").Cache(
        str(directory / "cache"), sqlite_synchronous=synchronous, eviction_policy="none"
    )
    rate = _rate(cache.set, count)
    _check_size(len(cache), count)
    cache.close()
    return rate


def _rate(put: Callable[[str, str], object], count: int) -> float:
    pairs = writes(count)
    start = time.perf_counter()
    for key, value in pairs:
        put(key, value)
    return count / (time.perf_counter() - start)


def _check_size(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"the store holds {found} of {count} writes")

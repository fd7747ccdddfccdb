"""A node beside what people would use instead. What is not installed is left out, with the reason.

Keys and values are the same, and so is durability where that can be had; the note of each row says
where it cannot.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.benchmarks import (
    embedded_stores,
    pouchdb_replication,
    product,
    product_replication,
    pycrdt_documents,
    redis_server,
)
from tests.benchmarks.groups.node import THREADS
from tests.benchmarks.measure import Figure, Row
from tests.benchmarks.processes import in_process

__all__ = ["ROWS"]

_FIGURES = (Figure(),)


def _durable_put_threads(directory: Path, count: int) -> float:
    return float(in_process(product.durable_put_threads, directory, count, THREADS))


def _redis_threads(directory: Path, count: int) -> float:
    return redis_server.durable_put_threads(directory, count, THREADS)


_EMBEDDED = (
    Row(
        name="durable-put-lmdb",
        work="durable put, one thread",
        beside="LMDB, a synced transaction each",
        note="Equal durability. LMDB copies the pages on the way to each key, and syncs these.",
        figures=_FIGURES,
        count=2_000,
        product=partial(in_process, product.durable_put),
        bare=partial(in_process, embedded_stores.lmdb_durable_put),
    ),
    Row(
        name="put-lmdb",
        work="put without fsync",
        beside="LMDB, sync=False",
        note="A power cut takes 50 ms of the product; LMDB's file may be damaged by one.",
        figures=_FIGURES,
        count=50_000,
        product=partial(in_process, product.put),
        bare=partial(in_process, embedded_stores.lmdb_put),
    ),
    Row(
        name="durable-put-diskcache",
        work="durable put, one thread",
        beside="diskcache, sqlite_synchronous=FULL",
        note="Equal durability. diskcache is SQLite with six columns and indexes a key.",
        figures=_FIGURES,
        count=2_000,
        product=partial(in_process, product.durable_put),
        bare=partial(in_process, embedded_stores.diskcache_durable_put),
    ),
    Row(
        name="put-diskcache",
        work="put without fsync",
        beside="diskcache with its default settings",
        note="A power cut takes 50 ms of the product, of diskcache all since a checkpoint.",
        figures=_FIGURES,
        count=20_000,
        product=partial(in_process, product.put),
        bare=partial(in_process, embedded_stores.diskcache_put),
    ),
)

_SERVERS = (
    Row(
        name="durable-put-redis",
        work="durable put, one thread",
        beside="Redis, appendfsync always, one connection",
        note="Equal durability. Redis is another process: each write is a round trip as well.",
        figures=_FIGURES,
        count=2_000,
        product=partial(in_process, product.durable_put),
        bare=redis_server.durable_put,
    ),
    Row(
        name="durable-put-threads-redis",
        work=f"durable put, {THREADS} threads",
        beside=f"Redis, appendfsync always, {THREADS} connections",
        note="Equal durability. Both share a sync between those who wait.",
        figures=_FIGURES,
        count=THREADS * 250,
        product=_durable_put_threads,
        bare=_redis_threads,
    ),
    Row(
        name="replication-redis",
        work="replication of writes made meanwhile in durable batches of 256",
        beside="a Redis replica, appendfsync always on both, pipelines of 256, then WAIT",
        note="The product waits for the peer's sync. WAIT says that the replica has it in memory.",
        figures=_FIGURES,
        count=100_000,
        product=product_replication.replicate_live,
        bare=redis_server.replicate_live,
    ),
    Row(
        name="first-sync-redis",
        work="first sync of 100,000 keys",
        beside="a new Redis replica, until it has all keys and follows",
        note="The product waits for the peer's sync; Redis writes the replica's file afterwards.",
        figures=(Figure(unit="keys/s"),),
        count=100_000,
        product=product_replication.replicate_backlog,
        bare=redis_server.first_sync,
    ),
)

_REPLICATING = (
    Row(
        name="first-sync-pouchdb",
        work="first sync of 5,000 keys",
        beside="PouchDB over LevelDB, one-shot replication over HTTP, batches of 1,000",
        note="The product waits for the peer's sync; LevelDB is not synced. JSON and HTTP cost it.",
        figures=(Figure(unit="keys/s"),),
        count=5_000,
        product=product_replication.replicate_backlog,
        bare=pouchdb_replication.replicate,
    ),
    Row(
        name="first-sync-pycrdt",
        work="first sync of 100,000 keys, memory only",
        beside="a pycrdt map, its update over TCP",
        note="Neither keeps anything on disk. pycrdt is Rust, and its update one message.",
        figures=(Figure(unit="keys/s"),),
        count=100_000,
        product=product_replication.replicate_in_memory,
        bare=pycrdt_documents.replicate,
    ),
    Row(
        name="put-pycrdt",
        work="put, memory only",
        beside="a pycrdt map, one transaction a write",
        note="Neither keeps anything on disk. pycrdt is Rust behind a Python call.",
        figures=_FIGURES,
        count=50_000,
        product=partial(in_process, product.put_in_memory),
        bare=partial(in_process, pycrdt_documents.put),
    ),
)

ROWS = (*_EMBEDDED, *_SERVERS, *_REPLICATING)

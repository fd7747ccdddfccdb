"""What is asked for in every version: a node beside the same work done by the bare parts.

Floor and aim are those of the design. Nothing is measured with checks, checksums or syncs switched
off unless the row says so.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.benchmarks import (
    bare,
    bare_replication,
    catching_up,
    memory,
    opening,
    product,
    product_replication,
    sqlite_store,
    visibility,
)
from tests.benchmarks.measure import Figure, Row
from tests.benchmarks.percentiles import of_latencies
from tests.benchmarks.processes import in_process

__all__ = ["ROWS"]

THREADS = 8
BATCH_WRITES = 256
MILLION = 1_000_000
LOGGED_PAIRS = 7

_put = partial(in_process, product.put)
_durable_put = partial(in_process, product.durable_put)


def _durable_put_threads(directory: Path, count: int) -> float:
    return float(in_process(product.durable_put_threads, directory, count, THREADS))


_WRITING = (
    Row(
        name="durable-put",
        work="durable put, one thread",
        beside="pwrite + fdatasync a record, allocated ahead",
        note="One fdatasync a put; the rest is one frame, two locks and the index.",
        figures=(Figure(floor=0.85, aim=0.95),),
        count=2_000,
        product=_durable_put,
        bare=lambda directory, count: in_process(bare.durable_put, directory, count, 1),
    ),
    Row(
        name="durable-put-threads",
        work=f"durable put, {THREADS} threads",
        beside=f"{THREADS} records an fdatasync, one thread",
        note="Threads take turns with the interpreter's lock between the fdatasyncs they share.",
        figures=(Figure(floor=0.3, aim=0.5),),
        count=THREADS * 1_000,
        product=_durable_put_threads,
        bare=lambda directory, count: in_process(bare.durable_put, directory, count, THREADS),
    ),
    Row(
        name="put",
        work="put without fsync",
        beside="pack + crc + write a record",
        note="The processor: Python calls from `put` to the index, then one write a put.",
        figures=(Figure(floor=0.35, aim=0.55),),
        count=50_000,
        product=_put,
        bare=partial(in_process, bare.put),
    ),
    Row(
        name="batch",
        work=f"batch() of {BATCH_WRITES} without fsync",
        beside="pack + crc + write a record",
        note="The processor: key, value and index row of each; a frame and a write a batch.",
        figures=(Figure(floor=1.2, aim=2.3),),
        count=400 * BATCH_WRITES,
        product=lambda directory, count: in_process(
            product.batch_put, directory, count, BATCH_WRITES
        ),
        bare=partial(in_process, bare.put),
    ),
    Row(
        name="durable-put-logged",
        work="durable put, one thread, every event in a JSON log",
        beside="the same without a log",
        note="The fdatasync; an event is a hundredth of it.",
        figures=(Figure(floor=0.85, aim=0.95),),
        count=2_000,
        product=partial(in_process, product.durable_put_logged),
        bare=_durable_put,
        pairs_min=LOGGED_PAIRS,
    ),
    Row(
        name="put-logged",
        work="put without fsync, every event in a JSON log",
        beside="the same without a log",
        note="The processor: an event is made and encoded for each put.",
        figures=(Figure(floor=0.85, aim=0.9),),
        count=50_000,
        product=partial(in_process, product.put_logged),
        bare=_put,
        pairs_min=LOGGED_PAIRS,
    ),
)

_BESIDE_SQLITE = (
    Row(
        name="durable-put-sqlite",
        work="durable put, one thread",
        beside="SQLite, WAL mode, synchronous=FULL",
        note="Both sync once a write. SQLite writes whole pages, and keeps no outbox.",
        figures=(Figure(floor=1.3, aim=1.5),),
        count=2_000,
        product=_durable_put,
        bare=partial(in_process, sqlite_store.durable_put),
    ),
    Row(
        name="durable-put-threads-sqlite",
        work=f"durable put, {THREADS} threads",
        beside=f"SQLite, WAL mode, synchronous=FULL, {THREADS} connections",
        note="SQLite's writers exclude each other and sync each for itself.",
        figures=(Figure(floor=4, aim=8),),
        count=THREADS * 250,
        product=_durable_put_threads,
        bare=lambda directory, count: in_process(
            sqlite_store.durable_put_threads, directory, count, THREADS
        ),
    ),
    Row(
        name="put-sqlite",
        work="put without fsync",
        beside="SQLite, WAL mode, synchronous=NORMAL",
        note="A power cut takes the last 50 ms of the product, of SQLite all since its checkpoint.",
        figures=(Figure(floor=4, aim=6),),
        count=50_000,
        product=_put,
        bare=partial(in_process, sqlite_store.put),
    ),
)

_REPLICATING = (
    Row(
        name="replication",
        work="replication one way, durable ACKs, of writes made before",
        beside="ROUTER/DEALER, batches of 1,024, window 16, fdatasync a batch",
        note="Both processors: the sender gathers each entry, the receiver checks and merges it.",
        figures=(Figure(floor=0.2, aim=0.5),),
        count=100_000,
        product=product_replication.replicate_backlog,
        bare=bare_replication.replicate,
    ),
    Row(
        name="replication-live",
        work=f"the same, of writes made meanwhile in durable batch()es of {BATCH_WRITES}",
        beside="ROUTER/DEALER, batches of 1,024, window 16, fdatasync a batch",
        note="Both processors: the sender writes, syncs and sends in one interpreter.",
        figures=(Figure(floor=0.2, aim=0.5),),
        count=100_000,
        product=product_replication.replicate_live,
        bare=bare_replication.replicate,
    ),
    Row(
        name="replication-curve",
        work='replication one way with security="curve", of writes made before',
        beside="the same without security",
        note="The processor: each byte is encrypted and authenticated on both sides.",
        figures=(Figure(floor=0.6, aim=0.8),),
        count=100_000,
        product=product_replication.replicate_encrypted,
        bare=product_replication.replicate_backlog,
    ),
    Row(
        name="first-sync",
        work="first sync of 1,000,000 keys to a new node",
        beside="ROUTER/DEALER, batches of 1,024, window 16, fdatasync a batch",
        note="Both processors, as for `replication`; the receiver's heap grows meanwhile.",
        figures=(Figure(unit="keys/s", floor=0.2, aim=0.6),),
        count=MILLION,
        product=product_replication.replicate_backlog,
        bare=bare_replication.replicate,
    ),
    Row(
        name="visible",
        work="put on A to visible on B, memory only",
        beside="a ZeroMQ round trip",
        note="Waking: the writer wakes its reactor, which wakes B's, which wakes B's reader.",
        figures=of_latencies(p50=(2, 1)),
        count=1_000,
        product=visibility.in_memory,
        bare=visibility.echo,
    ),
    Row(
        name="catch-up",
        work=f"catch-up of {catching_up.CHANGES} changes in 1,000,000 keys, once connected",
        beside="a ZeroMQ round trip; the bytes of the bare writes",
        note="B's fdatasync, and waking both sides; bytes are keys, values, stamps and contexts.",
        figures=(
            Figure(name="time", unit="µs", is_less_better=True, floor=12, aim=5),
            Figure(name="bytes", unit="bytes", is_less_better=True, floor=1.5, aim=1.0),
        ),
        count=MILLION,
        product=catching_up.catch_up,
        bare=catching_up.ideal,
    ),
    Row(
        name="reconnect",
        work="a reconnect with nothing to say, TCP payload both ways",
        beside="a bare ZeroMQ connection, and a hello of 61 bytes each way",
        note="ZeroMQ's own greeting, then one HELLO and HAVE each way.",
        figures=(
            Figure(unit="bytes", is_less_better=True, is_absolute=True, floor=1_500, aim=450),
        ),
        count=1_000,
        product=catching_up.reconnect,
        bare=catching_up.greet,
    ),
)

_HOLDING = (
    Row(
        name="open",
        work="open a log of 1,000,000 single puts, never compacted",
        beside="read and unpack the same records as one stream, gc off",
        note="The processor: a frame with two checksums for each put, merged as it was written.",
        figures=(Figure(unit="keys/s", floor=0.2, aim=0.35),),
        count=MILLION,
        product=opening.open_log,
        bare=opening.read_stream,
    ),
    Row(
        name="open-compacted",
        work="open the same log, compacted",
        beside="read and unpack the same records as one stream, gc off",
        note="The processor: entries of large frames are unpacked and put into the index.",
        figures=(Figure(unit="keys/s", floor=0.35, aim=0.6),),
        count=MILLION,
        product=opening.open_compacted,
        bare=opening.read_stream,
    ),
    Row(
        name="memory",
        work="memory a key, all included, keys of 23 and values of 56 bytes",
        beside="a dict of (value, origin, n, hlc) tuples",
        note="Python objects: a key, a value and a sibling each, and the rows of the index.",
        figures=(Figure(unit="bytes", is_less_better=True, floor=1.6, aim=1.0),),
        count=MILLION,
        product=partial(in_process, memory.held_by_node),
        bare=partial(in_process, memory.held_by_dict),
    ),
)

ROWS = (*_WRITING, *_BESIDE_SQLITE, *_REPLICATING, *_HOLDING)

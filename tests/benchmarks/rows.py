"""The rows of the benchmark: what is done, beside what, and the ratios that are asked for."""

from __future__ import annotations

from functools import partial

from . import bare, bare_replication, opening, product, product_replication
from .measure import Row
from .processes import in_process

__all__ = ["ROWS"]

THREADS = 8
BATCH_WRITES = 256
LOGGED_PAIRS = 7

ROWS = (
    Row(
        name="durable-put",
        work="durable put, one thread",
        beside="pwrite + fdatasync a record, allocated ahead",
        floor=0.85,
        aim=0.95,
        count=2_000,
        product=partial(in_process, product.durable_put),
        bare=lambda directory, count: in_process(bare.durable_put, directory, count, 1),
    ),
    Row(
        name="durable-put-threads",
        work=f"durable put, {THREADS} threads",
        beside=f"{THREADS} records an fdatasync, one thread",
        floor=0.3,
        aim=0.5,
        count=THREADS * 1_000,
        product=lambda directory, count: in_process(
            product.durable_put_threads, directory, count, THREADS
        ),
        bare=lambda directory, count: in_process(bare.durable_put, directory, count, THREADS),
    ),
    Row(
        name="put",
        work="put without fsync",
        beside="pack + crc + write a record",
        floor=0.35,
        aim=0.55,
        count=50_000,
        product=partial(in_process, product.put),
        bare=partial(in_process, bare.put),
    ),
    Row(
        name="durable-put-logged",
        work="durable put, one thread, every event in a JSON log",
        beside="the same without a log",
        floor=0.85,
        aim=0.95,
        count=2_000,
        product=partial(in_process, product.durable_put_logged),
        bare=partial(in_process, product.durable_put),
        pairs_min=LOGGED_PAIRS,
    ),
    Row(
        name="put-logged",
        work="put without fsync, every event in a JSON log",
        beside="the same without a log",
        floor=0.85,
        aim=0.9,
        count=50_000,
        product=partial(in_process, product.put_logged),
        bare=partial(in_process, product.put),
        pairs_min=LOGGED_PAIRS,
    ),
    Row(
        name="batch",
        work=f"batch() of {BATCH_WRITES} without fsync",
        beside="pack + crc + write a record",
        floor=1.2,
        aim=2.3,
        count=400 * BATCH_WRITES,
        product=lambda directory, count: in_process(
            product.batch_put, directory, count, BATCH_WRITES
        ),
        bare=partial(in_process, bare.put),
    ),
    Row(
        name="replication",
        work="replication one way, durable ACKs, of writes made before",
        beside="ROUTER/DEALER, batches of 1,024, window 16, fdatasync a batch",
        floor=0.2,
        aim=0.5,
        count=100_000,
        product=product_replication.replicate_backlog,
        bare=bare_replication.replicate,
    ),
    Row(
        name="replication-live",
        work=f"the same, of writes made meanwhile in durable batch()es of {BATCH_WRITES}",
        beside="the same",
        floor=0.2,
        aim=0.5,
        count=100_000,
        product=product_replication.replicate_live,
        bare=bare_replication.replicate,
    ),
    Row(
        name="open",
        work="open a log of single puts, never compacted",
        beside="read and unpack the same records as one stream, gc off",
        floor=0.2,
        aim=0.35,
        count=1_000_000,
        product=opening.open_log,
        bare=opening.read_stream,
    ),
    Row(
        name="open-compacted",
        work="open the same log, compacted",
        beside="the same",
        floor=0.35,
        aim=0.6,
        count=1_000_000,
        product=opening.open_compacted,
        bare=opening.read_stream,
    ),
    Row(
        name="replication-curve",
        work='replication one way with security="curve", of writes made before',
        beside="the same without security",
        floor=0.6,
        aim=0.8,
        count=100_000,
        product=product_replication.replicate_encrypted,
        bare=product_replication.replicate_backlog,
    ),
)

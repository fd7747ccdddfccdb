"""How long single writes take: until they are seen elsewhere, and while something large goes on."""

from __future__ import annotations

from tests.benchmarks import interruptions, visibility
from tests.benchmarks.measure import Row
from tests.benchmarks.percentiles import of_latencies

__all__ = ["ROWS"]

WRITES = 5_000
KEYS = 300_000

ROWS = (
    Row(
        name="visible-memory",
        work="put on A to watch() on B, memory only",
        beside="a ZeroMQ round trip",
        note="Waking: the writer wakes its reactor, which wakes B's, which wakes B's reader.",
        figures=of_latencies(p50=(2, 1)),
        count=WRITES,
        product=visibility.in_memory,
        bare=visibility.echo,
    ),
    Row(
        name="visible-unsynced",
        work="put on A to watch() on B, logs without fsync",
        beside="a ZeroMQ round trip",
        note="A sync at A before it sends: no peer ever holds what a power cut takes back at A.",
        figures=of_latencies(),
        count=WRITES,
        product=visibility.without_sync,
        bare=visibility.echo,
    ),
    Row(
        name="visible-durable",
        work="put on A to watch() on B, durable on both before it is seen",
        beside="a ZeroMQ round trip",
        note="Two fdatasyncs, one after the other, at A and at B.",
        figures=of_latencies(),
        count=WRITES,
        product=visibility.durable,
        bare=visibility.echo,
    ),
    Row(
        name="put-while-compacting",
        work=f"durable put while a log of {KEYS:,} keys is rewritten",
        beside="the same put with nothing beside it",
        note="The disk is shared, and so is the interpreter's lock: each waits for its turn.",
        figures=of_latencies(tail=3),
        count=KEYS,
        product=interruptions.while_compacting,
        bare=interruptions.alone,
    ),
    Row(
        name="put-while-syncing",
        work=f"durable put while a new peer gets {KEYS:,} keys",
        beside="the same put with nothing beside it",
        note="The reactor makes and encodes batches in the same interpreter.",
        figures=of_latencies(tail=3),
        count=KEYS,
        product=interruptions.while_syncing,
        bare=interruptions.alone,
    ),
)

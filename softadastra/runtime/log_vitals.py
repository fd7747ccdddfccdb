"""How a node's log is."""

from __future__ import annotations

from softadastra.runtime.commit import Committer
from softadastra.runtime.compaction import Compaction, live_bytes
from softadastra.runtime.log_port import Log
from softadastra.runtime.sync_times import BOUNDS_MS
from softadastra.vitals import LogVitals, SyncBucket

__all__ = ["log_vitals"]


def log_vitals(
    log: Log, committer: Committer, compaction: Compaction, *, free_bytes: int | None
) -> LogVitals:
    """Give how a log is now; from any thread.

    Args:
        log: which one.
        committer: who writes it.
        compaction: who rewrites it.
        free_bytes: what is free on its file system; None: nobody knows.
    """
    with committer.lock:
        live = live_bytes(committer.engine)
    sync_times = committer.sync_times
    times = sync_times.sorted()
    last = compaction.last
    return LogVitals(
        size_bytes=log.size_bytes,
        live_bytes=live,
        syncs=sync_times.count,
        sync_p50_ms=quantile_ms(times, 0.5),
        sync_p99_ms=quantile_ms(times, 0.99),
        sync_max_ms=quantile_ms(times, 1.0),
        rewrites=compaction.count,
        rewritten_ms=last.wall_ms if last else None,
        rewritten_from_bytes=last.bytes_before if last else None,
        rewritten_to_bytes=last.bytes_after if last else None,
        sync_total_ms=round(sync_times.total_seconds * 1000, 3),
        sync_buckets=tuple(
            SyncBucket(up_to_ms=bound, count=count)
            for bound, count in zip((*BOUNDS_MS, None), sync_times.buckets, strict=True)
        ),
        free_bytes=free_bytes,
        refusal=committer.refusals.stands,
    )


def quantile_ms(times: list[float], share: float) -> float | None:
    """Give the time that this share of them does not exceed, in milliseconds.

    Args:
        times: in seconds, shortest first.
        share: of them, from 0 to 1.
    """
    if not times:
        return None
    return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 3)

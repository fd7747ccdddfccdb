"""How a node's log is."""

from __future__ import annotations

from softadastra.runtime.commit import Committer
from softadastra.runtime.compaction import Compaction, live_bytes
from softadastra.runtime.log_port import Log
from softadastra.vitals import LogVitals

__all__ = ["log_vitals"]


def log_vitals(log: Log, committer: Committer, compaction: Compaction) -> LogVitals:
    """Give how a log is now; from any thread."""
    with committer.lock:
        live = live_bytes(committer.engine)
    times = committer.sync_times.sorted()
    last = compaction.last
    return LogVitals(
        size_bytes=log.size_bytes,
        live_bytes=live,
        syncs=committer.sync_times.count,
        sync_p50_ms=quantile_ms(times, 0.5),
        sync_p99_ms=quantile_ms(times, 0.99),
        sync_max_ms=quantile_ms(times, 1.0),
        rewrites=compaction.count,
        rewritten_ms=last.wall_ms if last else None,
        rewritten_from_bytes=last.bytes_before if last else None,
        rewritten_to_bytes=last.bytes_after if last else None,
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

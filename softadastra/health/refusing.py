"""What the disk refuses of the log, as a finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from softadastra.findings import Cause, Finding
from softadastra.vitals import LogRefusal, RefusalKind

__all__ = ["REFUSALS", "refused"]

REFUSALS: Final[Mapping[RefusalKind, Cause]] = {
    RefusalKind.FULL: Cause.DISK_FULL,
    RefusalKind.READ_ONLY: Cause.READ_ONLY,
    RefusalKind.FAILED: Cause.LOG_REFUSED,
}


def refused(refusal: LogRefusal) -> Finding:
    """Tell that the disk refuses what this node writes."""
    return Finding(cause=REFUSALS[refusal.kind], since_ms=refusal.since_ms, detail=refusal.detail)

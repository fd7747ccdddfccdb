"""Whether a node does what it is there for: take writes, keep them, and meet its peers.

A peer that is away is no fault of a node that works offline by design, nor is a lag, a conflict, or
a transport that nobody started. Those are for alerts (docs/monitoring.md): a check that ends in a
restart must not see them, since restarting mends none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from softadastra.explanation import Readiness
from softadastra.findings import Cause, Finding
from softadastra.health.refusing import REFUSALS, refused
from softadastra.vitals import Vitals

__all__ = ["FAULTS", "readiness", "stopped"]

FAULTS: Final = (Cause.STOPPED, Cause.NOT_WRITING, *REFUSALS.values(), Cause.REACTOR_FAILED)
"""All that can be wrong, worst first."""


def readiness(vitals: Vitals) -> Readiness:
    """Say whether an open node is in order."""
    return Readiness(observed_ms=vitals.observed_ms, findings=tuple(faults(vitals)))


def stopped(now_ms: int) -> Readiness:
    """Say what is wrong with a node that does not run, or whose client is closed.

    Args:
        now_ms: the wall clock, in milliseconds since 1970.
    """
    return Readiness(observed_ms=now_ms, findings=(Finding(cause=Cause.STOPPED),))


def faults(vitals: Vitals) -> Iterator[Finding]:
    """Give what is wrong with an open node."""
    if not vitals.node.is_writing:
        yield Finding(cause=Cause.NOT_WRITING)
    refusal = vitals.log.refusal if vitals.log is not None else None
    if refusal is not None:
        yield refused(refusal)
    if vitals.node.has_failed:
        yield Finding(cause=Cause.REACTOR_FAILED)

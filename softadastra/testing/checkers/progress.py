"""Everything comes about (4.3, 4.7): when all faults have ended, the nodes converge, and rest.

In time, whatever happened before; then no more batches leave, because nobody lacks anything, and
every write is confirmed by every member.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from softadastra.testing.checkers.base import BrokenPromiseError

if TYPE_CHECKING:
    from softadastra.testing.sim_cluster import SimCluster
    from softadastra.testing.sim_node import SimNode

__all__ = ["await_rest"]

LIVENESS_SECONDS: Final = 240
"""After the end of all faults. The longest way is a retry that has backed off to 60 s, or a HAVE
that comes every 39 s at most, over the five links between the ends of a line."""

TICK_SECONDS: Final = 0.1
"""How often a program ticks that does so itself: at one entry a tick, and one tick a second, the
backlog of a star is longer than the bound (seed 417681836)."""

QUIET_SECONDS: Final = 60
"""Then nothing is missing, and each node has to find out: a HAVE comes every 39 s at most."""


def await_rest(cluster: SimCluster, nodes: Sequence[SimNode]) -> None:
    """Let time pass until these nodes have converged, and then for a minute.

    Raises:
        BrokenPromiseError: they do not in time, or send on, or wait for confirmations.
    """

    def drive() -> bool:
        for node in nodes:
            if not node.options.auto_queue:
                node.queue_pending()
            if not node.options.auto_tick:
                node.tick()
        return False

    deadline = cluster.seconds + LIVENESS_SECONDS
    drive()
    while not cluster.wait_converged(TICK_SECONDS):
        if cluster.seconds > deadline:
            raise BrokenPromiseError(
                "progress", f"no convergence within {LIVENESS_SECONDS} s of the end of faults"
            )
        drive()
    cluster.wait_until(drive, QUIET_SECONDS / 2)
    sent = cluster.checks.batches_sent
    cluster.wait_until(drive, QUIET_SECONDS / 2)
    if cluster.checks.batches_sent > sent:
        batches = cluster.checks.batches_sent - sent
        raise BrokenPromiseError("silence", f"{batches} batches left, and nobody lacks anything")
    for node in nodes:
        state = node.sync_state()
        if state.has_work:
            raise BrokenPromiseError(
                "progress", f"{node.node_id} still waits for confirmations: {state}"
            )

"""Runs one seed: a hostile phase, then the end of all faults, and a bound for convergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from softadastra.testing.checkers import BrokenPromiseError
from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import NodeState, SimNode
from softadastra.testing.sim_schedule import chance

from .encounters import Encounters
from .faults import Nemesis
from .plan import Plan
from .stories import Story
from .workload import Workload

__all__ = ["Summary", "run"]

LIVENESS_SECONDS = 240
"""After the end of all faults. The longest way is a retry that has backed off to 60 s, or a HAVE
that comes every 39 s at most, over the five links between the ends of a line."""

TICK_SECONDS = 0.1
"""How often a program ticks that does so itself: at one entry a tick, and one tick a second, the
backlog of a star is longer than the bound (seed 417681836)."""

QUIET_SECONDS = 60
"""Then nothing is missing, and each node has to find out: a HAVE comes every 39 s at most."""


class Summary(NamedTuple):
    """What a seed came to."""

    seconds: float
    """Simulated."""
    writes: int
    faults: int


def run(seed: int, trace: Callable[[str], object] | None = None) -> Summary:
    """Run a seed.

    Raises:
        BrokenPromiseError: a promise was broken.
    """
    plan = Plan.of(seed)
    if trace is not None:
        trace(str(plan))
    cluster = SimCluster(
        plan.nodes_count,
        seed=seed,
        topology=plan.topology,
        trace=trace,
        allocation_bytes_max=plan.allocation_bytes_max,
        slack_bytes=plan.slack_bytes,
        **plan.options,
    )
    with cluster:
        rng = chance(seed, "run")
        workload = Workload(cluster, plan, rng)
        nemesis = Nemesis(cluster, plan.armed, rng, hostile_seconds=plan.hostile_ms / 1000)
        if plan.story is not None:
            plan.story.tell(Story(cluster, rng))
        encounters = Encounters(cluster, plan, rng)
        while cluster.schedule.now_ms < plan.hostile_ms:
            pause_seconds = encounters.pause_seconds if plan.is_played else plan.pause_ms / 1000
            cluster.run(rng.expovariate(1) * pause_seconds)
            if rng.random() < plan.write_chance:
                workload.act()
            elif plan.is_played and rng.random() < 0.9:
                encounters.act()
            else:
                nemesis.act()
        recover(cluster)
        settle(cluster)
        if plan.is_rested:
            rest(cluster)
    return Summary(cluster.seconds, len(cluster.checks.ledger), nemesis.struck.total())


def recover(cluster: SimCluster) -> None:
    """End all faults; the neighbours of a node that is lost for good meet without it."""
    cluster.recover()
    for lost in [node for node in cluster.nodes if node.state is NodeState.LOST]:
        left = [node for node in cluster.nodes if node.is_running]
        for node in left:
            node.forget(lost.node_id)
        for node in left[1:]:
            node.connect(left[0])


def settle(cluster: SimCluster) -> None:
    """Wait for convergence, then for silence.

    Raises:
        BrokenPromiseError: it does not come in time, or it is not what it should be.
    """
    nodes = [node for node in cluster.nodes if node.is_running]

    def drive_all() -> bool:
        for node in nodes:
            if not node.options.auto_queue:
                node.queue_pending()
            if not node.options.auto_tick:
                node.tick()
        return False

    deadline = cluster.seconds + LIVENESS_SECONDS
    while True:
        drive_all()
        if cluster.wait_converged(TICK_SECONDS):
            break
        if cluster.seconds > deadline:
            raise BrokenPromiseError(
                "progress", f"no convergence within {LIVENESS_SECONDS} s of the end of faults"
            )
    cluster.wait_until(drive_all, QUIET_SECONDS / 2)
    sent = cluster.checks.batches_sent
    cluster.wait_until(drive_all, QUIET_SECONDS / 2)
    if cluster.checks.batches_sent > sent:
        batches = cluster.checks.batches_sent - sent
        raise BrokenPromiseError("silence", f"{batches} batches left, and nobody lacks anything")
    cluster.checks.settled(nodes)
    for node in nodes:
        check_delivered(node)


def rest(cluster: SimCluster) -> None:
    """Wait until nothing is left of what was removed, and look once more at what is there."""
    cluster.wait_collected()
    cluster.checks.settled([node for node in cluster.nodes if node.is_running])


def check_delivered(node: SimNode) -> None:
    """Every member has confirmed every write of a node that is in step with them."""
    state = node.sync_state()
    if state.has_work:
        raise BrokenPromiseError(
            "progress", f"{node.node_id} still waits for confirmations: {state}"
        )

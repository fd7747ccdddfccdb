"""Runs one seed: a hostile phase, then the end of all faults, and a bound for convergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import NodeState
from softadastra.testing.sim_schedule import chance

from .encounters import Encounters
from .faults import Nemesis
from .plan import Plan
from .stories import Story
from .workload import Workload

__all__ = ["Summary", "run"]


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
        cluster.wait_settled()
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


def rest(cluster: SimCluster) -> None:
    """Wait until nothing is left of what was removed, and look once more at what is there."""
    cluster.wait_collected()
    cluster.checks.settled([node for node in cluster.nodes if node.is_running])

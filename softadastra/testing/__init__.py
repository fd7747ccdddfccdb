"""What tests of replicated programs are made of: clusters with faults, and their checks.

LocalCluster    real node processes on this machine: pause, kill -9, restart
SimCluster      nodes in one thread and in simulated time, over disks and a network that fail
history.py      every write with its outcome, and whether the nodes hold what they must
checkers/       each promise of a simulated cluster, watched from outside at every step
check_merge     whether a function of yours may merge conflicts
"""

from __future__ import annotations

from softadastra.testing.checkers import BrokenPromiseError
from softadastra.testing.child_process import ProcessState
from softadastra.testing.history import Verdict, Violation, ViolationKind
from softadastra.testing.local_cluster import LocalCluster, Topology, wait_until
from softadastra.testing.local_node import LocalNode
from softadastra.testing.merge_check import check_merge
from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_liar import SimLiar
from softadastra.testing.sim_node import NodeState, SimNode
from softadastra.testing.sim_topology import SimTopology

__all__ = [
    "BrokenPromiseError",
    "LocalCluster",
    "LocalNode",
    "NodeState",
    "ProcessState",
    "SimCluster",
    "SimLiar",
    "SimNode",
    "SimTopology",
    "Topology",
    "Verdict",
    "Violation",
    "ViolationKind",
    "check_merge",
    "wait_until",
]

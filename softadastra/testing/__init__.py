"""What tests of replicated programs are made of: clusters with faults, and their checks.

LocalCluster    real node processes on this machine: pause, kill -9, restart
history.py      every write with its outcome, and whether the nodes hold what they must
"""

from __future__ import annotations

from softadastra.testing.child_process import ProcessState
from softadastra.testing.history import Verdict, Violation, ViolationKind
from softadastra.testing.local_cluster import LocalCluster, Topology, wait_until
from softadastra.testing.local_node import LocalNode

__all__ = [
    "LocalCluster",
    "LocalNode",
    "ProcessState",
    "Topology",
    "Verdict",
    "Violation",
    "ViolationKind",
    "wait_until",
]

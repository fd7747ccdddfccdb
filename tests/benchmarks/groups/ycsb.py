"""YCSB's workloads A to F, on one node and on three, beside SQLite."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.measure import Figure, Row
from tests.benchmarks.ycsb import WORKLOADS
from tests.benchmarks.ycsb_stores import by_node, by_sqlite, by_three_nodes

__all__ = ["ROWS"]

OPERATIONS = 10_000

_BESIDE = "SQLite, WAL mode, synchronous=FULL"
_NOTE = "Reads take no lock and no system call; each write waits for one fdatasync, as SQLite's."

ROWS = (
    *(
        Row(
            name=f"ycsb-{workload.name}",
            work=f"YCSB {workload.name.upper()} on one node: {workload.words}",
            beside=_BESIDE,
            note=_NOTE,
            figures=(Figure(unit="ops/s"),),
            count=OPERATIONS,
            product=partial(by_node, workload),
            bare=partial(by_sqlite, workload),
        )
        for workload in WORKLOADS
    ),
    *(
        Row(
            name=f"ycsb-{workload.name}-three",
            work=f"YCSB {workload.name.upper()} on three nodes: {workload.words}",
            beside=f"{_BESIDE}, one process",
            note=f"{_NOTE} Two peers sync each write to the same disk; SQLite has none.",
            figures=(Figure(unit="ops/s"),),
            count=OPERATIONS,
            product=partial(by_three_nodes, workload),
            bare=partial(by_sqlite, workload),
        )
        for workload in WORKLOADS
    ),
)

"""YCSB's workloads A to F, on one node and on three, beside SQLite."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.benchmarks.measure import Figure, Row
from tests.benchmarks.ycsb import WORKLOADS
from tests.benchmarks.ycsb_stores import by_node, by_sqlite, by_three_nodes

__all__ = ["ROWS"]

_BESIDE = "SQLite, WAL mode, synchronous=FULL"
_NOTE = "Reads take no lock and no system call; each write waits for one fdatasync, as SQLite's."
_NOTES = {
    "c": "Reads take no lock and no system call; SQLite's are a statement each.",
    "e": "A scan looks up and unpacks what it gives, one by one, in Python; SQLite's runs in C.",
}

_ON_ONE = [
    Row(
        name=f"ycsb-{workload.name}",
        work=f"YCSB {workload.name.upper()} on one node: {workload.words}",
        beside=_BESIDE,
        note=_NOTES.get(workload.name, _NOTE),
        figures=(Figure(unit="ops/s"),),
        count=workload.count,
        product=partial(by_node, workload),
        bare=partial(by_sqlite, workload),
    )
    for workload in WORKLOADS
]

_ON_THREE = [
    replace(
        row,
        name=f"{row.name}-three",
        work=row.work.replace("one node", "three nodes"),
        beside=f"{_BESIDE}, one process",
        note=f"{row.note} Until both peers have it: they sync to the same disk. SQLite has none.",
        product=partial(by_three_nodes, workload),
    )
    for row, workload in zip(_ON_ONE, WORKLOADS, strict=True)
]

ROWS = (*_ON_ONE, *_ON_THREE)

"""The rows of the benchmark, in groups that are run by themselves."""

from __future__ import annotations

from tests.benchmarks.measure import Row

from . import latency, node, others, scale, start_up, ycsb

__all__ = ["GROUPS"]

GROUPS: dict[str, tuple[Row, ...]] = {
    "node": node.ROWS,
    "latency": latency.ROWS,
    "start-up": start_up.ROWS,
    "others": others.ROWS,
    "scale": scale.ROWS,
    "ycsb": ycsb.ROWS,
}
"""By name, in the order in which they are measured."""

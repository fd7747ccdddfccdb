"""Measures simulated clusters and writes docs/scale.md: `python -m tests.scale`."""

from __future__ import annotations

import argparse
import gc
import sys
import time

from .everyone import measure_everyone, nodes_max
from .phases import Result, measure
from .report import DOCUMENT, replace_section, tables
from .topology import Topology

COUNTS = (10, 100, 1_000)
MESH_MAX = 100
"""499,500 links are too many to simulate, and 999 for a node too many to have."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", help="print these sizes, write nothing")
    arguments = parser.parse_args()
    counts = arguments.nodes or COUNTS
    generated = generate(counts)
    print(generated)
    if not arguments.nodes:
        DOCUMENT.write_text(replace_section(DOCUMENT.read_text(), generated))
    return 0


def generate(counts: tuple[int, ...]) -> str:
    """Measure all clusters of these sizes."""
    results: list[Result] = []
    gc.disable()  # a cluster of 1,000 has tens of millions of objects, none of them garbage
    for topology in Topology:
        for count in counts:
            if topology is Topology.MESH and count > MESH_MAX:
                continue
            began = time.process_time()
            results.append(measure(topology, count))
            gc.collect()
            elapsed = time.process_time() - began
            print(f"{topology}, {count}: {elapsed:.0f} s of a processor", file=sys.stderr)
    everyone = [measure_everyone(count) for count in counts]
    return tables(results, everyone, maxima())


def maxima() -> list[str]:
    """Say for how many nodes a HAVE tells of all of them."""
    few, hundred, everybody = nodes_max(1), nodes_max(100), nodes_max(None)
    return [
        f"A HAVE tells of all others up to {few:,} nodes when one has written, up to {hundred:,} "
        f"when 100 have, and up to {everybody:,} when all have; of more nodes each tells a part."
    ]


if __name__ == "__main__":
    sys.exit(main())

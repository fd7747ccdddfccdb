"""Runs seeds and prints how it went: `python -m tests.simulation --seeds 500`."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback

from .run import Summary, run
from .workers import worker_pool


def main() -> int:
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--seeds", type=int, default=100, help="how many to run")
    parser.add_argument("--first", type=int, help="the first of them; by default by chance")
    parser.add_argument("--verbose", action="store_true", help="print one line an event")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        summary = run(arguments.seed, print if arguments.verbose else None)
        print(f"seed {arguments.seed}: {summary}")
        return 0
    first = random.randrange(10**9) if arguments.first is None else arguments.first
    return run_many(range(first, first + arguments.seeds))


def run_many(seeds: range) -> int:
    began = time.monotonic()
    failed = 0
    seconds, writes, faults = 0.0, 0, 0
    with worker_pool() as pool:
        for seed, (summary, failure) in zip(
            seeds, pool.map(attempt, seeds, chunksize=5), strict=True
        ):
            if summary is None:
                failed += 1
                print(f"seed {seed} failed: {failure}\n  make sim SEED={seed}\n", flush=True)
                continue
            seconds += summary.seconds
            writes += summary.writes
            faults += summary.faults
    elapsed = time.monotonic() - began
    print(
        f"{len(seeds)} seeds from {seeds[0]}, {failed} failed: {seconds / 3600:.1f} simulated "
        f"hours, {writes} writes and {faults} faults in {elapsed:.0f} s "
        f"({len(seeds) / elapsed:.1f} seeds/s)"
    )
    return 1 if failed else 0


def attempt(seed: int) -> tuple[Summary | None, str]:
    """Run a seed in a process of its own, and bring back what is to be said of it."""
    try:
        return run(seed), ""
    except Exception as error:  # of any kind: the seed is reported, the others go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})"


if __name__ == "__main__":
    sys.exit(main())

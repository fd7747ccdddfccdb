"""Run the benchmark: `python -m tests.benchmarks [ROW ...] [--quick]`, at the root of the tree."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .measure import measure
from .report import document, heading, line
from .rows import ROWS

_PAIRS = 5
_PAIRS_QUICK = 3
_QUICK_DIVISOR = 5
_BUILD = Path(__file__).parents[2] / "build"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"which of: {', '.join(names)}; default: all"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{_PAIRS_QUICK} pairs of a fifth of the writes, to see that it runs",
    )
    parser.add_argument("--pairs", type=int, help=f"how often both sides run; default {_PAIRS}")
    parser.add_argument(
        "--directory",
        type=Path,
        default=_BUILD,
        help="where both sides write: a real disk, not a temporary file system; default build/",
    )
    parser.add_argument(
        "--output", type=Path, default=_BUILD / "benchmarks.json", help="the JSON document"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(names)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}: expected {', '.join(names)}")
    if arguments.pairs is None:
        arguments.pairs = _PAIRS_QUICK if arguments.quick else _PAIRS
    if arguments.pairs < 1:
        parser.error("--pairs: expected 1 or more")
    return arguments


def main() -> int:
    """Measure, print a line a row as it is done, and write the document."""
    arguments = _arguments()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    comparisons = []
    print(heading(), flush=True)
    for row in ROWS:
        if arguments.rows and row.name not in arguments.rows:
            continue
        comparison = measure(
            row,
            count=row.count // _QUICK_DIVISOR if arguments.quick else row.count,
            pairs=arguments.pairs if arguments.quick else max(arguments.pairs, row.pairs_min),
            directory=arguments.directory,
        )
        comparisons.append(comparison)
        print(line(comparison), flush=True)
    results = document(comparisons, directory=arguments.directory, is_quick=arguments.quick)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nmedians of pairs; all figures in {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

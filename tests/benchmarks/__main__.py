"""Run the benchmark, at the root of the tree: `python -m tests.benchmarks [ROW ...]`.

Without rows and groups it measures the group "node": what is asked for in every version.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from .groups import GROUPS
from .measure import Row, measure
from .profiles import profiled
from .records import keep, read_all
from .report import document, heading, lines
from .tables import files

_PAIRS = 5
_PAIRS_QUICK = 3
_QUICK_DIVISOR = 5
_BUILD = Path(__file__).parents[2] / "build"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which rows; see --list")
    parser.add_argument("--group", action="append", choices=GROUPS, help="all rows of a group")
    parser.add_argument("--list", action="store_true", help="show the groups and rows, and end")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{_PAIRS_QUICK} pairs of a fifth of the work, to see that it runs",
    )
    parser.add_argument("--pairs", type=int, help=f"how often both sides run; default {_PAIRS}")
    parser.add_argument("--count", type=int, help="how much work a measurement is, for all rows")
    parser.add_argument(
        "--directory",
        type=Path,
        default=_BUILD,
        help="where both sides write: a real disk, not a temporary file system; default build/",
    )
    parser.add_argument(
        "--output", type=Path, default=_BUILD / "benchmarks.json", help="the JSON document"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="keep the document in docs/benchmarks, and make the plots and tables anew",
    )
    parser.add_argument(
        "--tables", action="store_true", help="measure nothing, make the plots and tables anew"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="write there where each of the product's threads spends its time; slows it down",
    )
    arguments = parser.parse_args()
    names = {row.name for rows in GROUPS.values() for row in rows}
    if unknown := set(arguments.rows) - names:
        parser.error(f"no row {', '.join(sorted(unknown))}: see --list")
    if arguments.pairs is None:
        arguments.pairs = _PAIRS_QUICK if arguments.quick else _PAIRS
    if arguments.pairs < 1:
        parser.error("--pairs: expected 1 or more")
    if arguments.count is not None and arguments.count < 1:
        parser.error("--count: expected 1 or more")
    if arguments.record and (arguments.count, arguments.profile) != (None, None):
        parser.error("--record: a record is of the full work, without --count and --profile")
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Row]:
    groups = arguments.group or ([] if arguments.rows else ["node"])
    return [
        row
        for name, rows in GROUPS.items()
        for row in rows
        if name in groups or row.name in arguments.rows
    ]


def _count(row: Row, arguments: argparse.Namespace) -> int:
    if arguments.count is not None:
        return int(arguments.count)
    return max(row.count // _QUICK_DIVISOR, 1) if arguments.quick else row.count


def _pairs(row: Row, arguments: argparse.Namespace) -> int:
    is_whole = not arguments.quick and arguments.count is None
    return max(arguments.pairs, row.pairs_min) if is_whole else int(arguments.pairs)


def _show_rows() -> None:
    for name, rows in GROUPS.items():
        print(name)
        for row in rows:
            print(f"  {row.name:<28} {row.work}")


def _make_tables() -> None:
    for path, text in files(read_all()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure, print the lines of a row as it is done, and write the document."""
    arguments = _arguments()
    if arguments.list:
        _show_rows()
        return 0
    if arguments.tables:
        _make_tables()
        return 0
    # So that who ends it, as `timeout` does, leaves no process and no directory behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments.directory.mkdir(parents=True, exist_ok=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    comparisons = []
    print(heading(), flush=True)
    with profiled(arguments.profile):
        for row in _chosen(arguments):
            comparison = measure(
                row,
                count=_count(row, arguments),
                pairs=_pairs(row, arguments),
                directory=arguments.directory,
            )
            comparisons.append(comparison)
            print("\n".join(lines(comparison)), flush=True)
    is_quick = arguments.quick or arguments.count is not None or arguments.pairs < _PAIRS
    results = document(comparisons, directory=arguments.directory, is_quick=is_quick)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nmedians of pairs; all figures in {arguments.output}")
    if arguments.record:
        try:
            print(f"kept as {keep(results)}")
        except ValueError as error:
            print(f"not kept: {error}", file=sys.stderr)
            return 1
        _make_tables()
    return 0


if __name__ == "__main__":
    sys.exit(main())

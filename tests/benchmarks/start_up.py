"""How long programs take to begin: the median of new processes, some of them beside bare ones.

The first process of each kind is not counted: it may compile and read from the disk.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["IMPORT", "Elapsed", "help_of_tool", "importing", "importing_client", "run"]

PROCESSES = 7

BARE = ("-c", "pass")
IMPORT = ("-c", "import softadastra")
IMPORT_CLIENT = ("-c", "from softadastra import Client, ClientOptions")
HELP = ("-m", "softadastra", "--help")


class Elapsed(NamedTuple):
    """What one process took, in milliseconds."""

    wall_ms: float
    processor_ms: float
    """What the system counted for it: waiting for a busy processor is no part of it."""


def importing(_: Path, count: int) -> float:
    """Give the milliseconds that `import softadastra` adds to an interpreter."""
    return _added(IMPORT, count)


def importing_client(_: Path, count: int) -> float:
    """Give the milliseconds until a program has the names that it uses first."""
    return _added(IMPORT_CLIENT, count)


def help_of_tool(_: Path, count: int) -> float:
    """Give the milliseconds of `softadastra --help`."""
    run(HELP)
    return statistics.median(run(HELP).wall_ms for _ in range(count))


def run(arguments: Sequence[str]) -> Elapsed:
    """Run an interpreter, with what it prints thrown away.

    Raises:
        RuntimeError: it failed.
    """
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, *arguments], os.environ, file_actions=actions
    )
    _, status, used = os.wait4(child, 0)
    wall_ms = (time.perf_counter() - start) * 1e3
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"python {' '.join(arguments)} failed")
    return Elapsed(wall_ms, (used.ru_utime + used.ru_stime) * 1e3)


def _added(arguments: Sequence[str], count: int) -> float:
    """Give the median of the differences to a bare interpreter that is run before each."""
    run(arguments)
    return statistics.median(-run(BARE).wall_ms + run(arguments).wall_ms for _ in range(count))

"""One run of the bench: a directory that goes with it, the measurements, what is shown of them."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console

from softadastra.cli.bench_measures import Measured, measure_all
from softadastra.cli.bench_view import SCALE_WORDS, folded, show
from softadastra.cli.bench_words import as_duration, busy_words, network_words
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import as_count, printable
from softadastra.cli.stop_signals import stopped_as_by_ctrl_c
from softadastra.errors import StorageError, TransportError
from softadastra.options import ClientOptions

__all__ = ["run_bench"]

CONNECTIONS: Final = 5
"""To the peer's address, one after the other: each takes one round trip to be made."""

CONNECT_SECONDS: Final = 5.0


def run_bench(
    invocation: Invocation, *, directory: Path, seconds: float, address: tuple[str, int] | None
) -> None:
    """Measure, and show each result as it is there, or all of them as a document.

    Args:
        invocation: where and how it is shown.
        directory: on the disk that is measured; everything made in it is removed.
        seconds: how long all measurements go on.
        address: host and port of a peer to which the way is measured; None: to nobody.

    Raises:
        StorageError: nothing can be made in the directory, or the disk refused.
        TransportError: nobody takes connections at the address.
    """
    round_trip_ms = None if address is None else _round_trip_ms(*address)
    processors = os.cpu_count() or 1
    load = os.getloadavg()[0]
    console = invocation.output.console(sys.stdout)
    with stopped_as_by_ctrl_c(), ExitStack() as removal:
        scratch = _scratch(directory)
        removal.callback(shutil.rmtree, scratch)
        found: list[Measured] = []
        if not invocation.json:
            _introduce(console, directory, seconds, processors, load)
        for measured in measure_all(scratch, seconds):
            found.append(measured)
            if not invocation.json:
                show(console, measured)
                sys.stdout.flush()
    if invocation.json:
        invocation.output.document(
            _document(found, directory, seconds, processors, load, round_trip_ms)
        )
    elif address is not None and round_trip_ms is not None:
        host, port = address
        console.print(f"to {host}:{port} and back in {as_duration(round_trip_ms)}", soft_wrap=True)
        for line in folded(console, network_words(round_trip_ms, ClientOptions()), indent="  "):
            console.print(line, no_wrap=True)


def _introduce(
    console: Console, directory: Path, seconds: float, processors: int, load: float
) -> None:
    """Say what is measured on what."""
    place = f"In {printable(str(directory.resolve()))}, {as_count(processors, 'processor')}, "
    machine = f"Python {platform.python_version()}, for {seconds:g} s."
    busy = busy_words(load, processors)
    for sentence in (place + machine, SCALE_WORDS, *([busy] if busy else [])):
        for line in folded(console, sentence):
            console.print(line, no_wrap=True)


def _scratch(directory: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=".softadastra-bench-", dir=directory))
    except OSError as error:
        raise StorageError(
            f"cannot make a directory in {str(directory)!r} to measure in: {error.strerror}; "
            "name another one with --directory",
            path=str(directory),
        ) from error


def _round_trip_ms(host: str, port: int) -> float:
    """Connect a few times and say nothing, which a node takes from anybody; give the median."""
    waits = []
    for _ in range(CONNECTIONS):
        start = time.perf_counter()
        try:
            socket.create_connection((host, port), CONNECT_SECONDS).close()
        except OSError as error:
            raise TransportError(
                f"cannot connect to {host}:{port}: {error.strerror or error}", host=host, port=port
            ) from error
        waits.append(time.perf_counter() - start)
    return statistics.median(waits) * 1e3


def _document(
    found: Sequence[Measured],
    directory: Path,
    seconds: float,
    processors: int,
    load: float,
    round_trip_ms: float | None,
) -> dict[str, object]:
    return {
        "directory": str(directory.resolve()),
        "seconds": seconds,
        "processors": processors,
        "load": round(load, 2),
        "python": platform.python_version(),
        "round_trip_ms": round_trip_ms,
        "measures": [asdict(measured) for measured in found],
    }

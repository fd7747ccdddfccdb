"""What a process holds in memory, by what the system has given to it."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from softadastra import Client

from .bare import ORIGIN, STAMP
from .measure import LeftOutError
from .nodes import fill, options_of
from .workload import each_write

__all__ = ["held_by_dict", "held_by_node", "peak_mb", "resident_bytes"]


def held_by_node(directory: Path, count: int) -> float:
    """Give the bytes that an open node takes for each key, all included."""
    with Client(options_of(directory, "bench", auto_flush=False)) as client:
        fill(client, each_write(1_000, first=count))  # what is loaded and allocated once
        before = resident_bytes()
        fill(client, each_write(count))
        after = resident_bytes()
        if client.size() != count + 1_000:
            raise RuntimeError(f"the node holds {client.size()} keys, not {count + 1_000}")
    return (after - before) / count


def held_by_dict(directory: Path, count: int) -> float:
    """Give the bytes that a dict of what every replica has to know takes for each key."""
    before = resident_bytes()
    held = {key: (value, ORIGIN, n, STAMP + n) for n, (key, value) in enumerate(each_write(count))}
    after = resident_bytes()
    if len(held) != count:
        raise RuntimeError(f"the dict holds {len(held)} of {count} keys")
    return (after - before) / count


def resident_bytes() -> int:
    """Give the memory of this process that no file backs.

    Raises:
        LeftOutError: the system does not tell.
    """
    gc.collect()
    return _bytes_of("RssAnon")


def peak_mb() -> float:
    """Give the most memory that this process has had since it was started, in millions of bytes.

    Not what `getrusage` gives: that goes on from the process that has started this one.

    Raises:
        LeftOutError: the system does not tell.
    """
    return _bytes_of("VmHWM") / 1e6


def _bytes_of(name: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        raise LeftOutError(f"{os.uname().sysname} does not tell a process how much memory it has")
    for line in status.read_text(encoding="utf-8").splitlines():
        found, _, value = line.partition(":")
        if found == name:
            return int(value.split()[0]) * 1024
    raise LeftOutError(f"this kernel does not tell a process its {name}")

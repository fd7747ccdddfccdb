"""Opening a log, beside reading and unpacking the same records as one stream.

Files are made by one process and read by another one, whose heap is as it is when a node starts.
They are in the page cache: nothing is measured of the disk.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

import msgpack

from softadastra import Client, ClientOptions

from .bare import ORIGIN, STAMP
from .processes import in_process
from .workload import writes

__all__ = ["open_compacted", "open_log", "read_stream"]


def open_log(directory: Path, count: int) -> float:
    """Open a log of single puts that was never compacted; puts per second."""
    in_process(_make_log, directory, count)
    return float(in_process(_open, directory, count))


def open_compacted(directory: Path, count: int) -> float:
    """Open the same log, compacted; puts per second."""
    in_process(_make_log, directory, count)
    in_process(_compact, directory)
    return float(in_process(_open, directory, count))


def read_stream(directory: Path, count: int) -> float:
    """Unpack records into a dict with the collector off; records per second."""
    in_process(_make_stream, directory, count)
    return float(in_process(_read, directory, count))


def _options(directory: Path) -> ClientOptions:
    return ClientOptions.persistent("bench", directory / "bench.wal", auto_flush=False)


def _make_log(directory: Path, count: int) -> float:
    with Client(_options(directory)) as client:
        for key, value in writes(count):
            client.put(key, value)
    return count


def _compact(directory: Path) -> float:
    with Client(_options(directory)) as client:
        client.compact()
    return 0


def _open(directory: Path, count: int) -> float:
    start = time.perf_counter()
    client = Client(_options(directory)).open()
    seconds = time.perf_counter() - start
    size = client.size()
    client.close()
    if size != count:
        raise RuntimeError(f"the node holds {size} of {count} writes")
    return count / seconds


def _make_stream(directory: Path, count: int) -> float:
    pack = msgpack.Packer().pack
    with (directory / "stream").open("wb") as file:
        for n, (key, value) in enumerate(writes(count)):
            file.write(pack((ORIGIN, n, STAMP + n, key, value)))
    return count


def _read(directory: Path, count: int) -> float:
    gc.disable()
    start = time.perf_counter()
    held: dict[str, tuple[str, int, int, int]] = {}
    with (directory / "stream").open("rb") as file:
        for origin, n, stamp, key, value in msgpack.Unpacker(file):
            held[key] = (value, origin, n, stamp)
    seconds = time.perf_counter() - start
    if len(held) != count:
        raise RuntimeError(f"the stream holds {len(held)} of {count} records")
    return count / seconds

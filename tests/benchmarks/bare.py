"""The bare counterparts on one node: MessagePack, a checksum, and the system call.

Nothing is kept, locked, counted or announced. Each function returns writes per second.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from zlib import crc32

import msgpack

from .workload import writes

__all__ = ["FRAME", "ORIGIN", "RECORD_BYTES", "STAMP", "allocate", "durable_put", "put", "sync"]

FRAME = struct.Struct("<II")
"""Length and CRC of a record: the least that tells a torn record from a whole one."""

ORIGIN = 2**63 + 1
STAMP = 1_795_000_000_000 << 16
"""An origin and a hybrid clock of the size that the product writes."""

RECORD_BYTES = 106
"""[origin, n, stamp, key, value] in MessagePack, for keys and values of the workload."""

sync = getattr(os, "fdatasync", os.fsync)
"""macOS has no fdatasync."""


def durable_put(directory: Path, count: int, records_per_sync: int) -> float:
    """Pack, check, pwrite and fdatasync, into space allocated ahead.

    Args:
        directory: where the file is made.
        count: how many writes; a multiple of `records_per_sync`.
        records_per_sync: 1, or what an ideal group commit of so many threads shares.
    """
    pairs = writes(count)
    pack = msgpack.Packer().pack
    file = os.open(directory / "bare.log", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        allocate(file, count * (FRAME.size + RECORD_BYTES))
        offset = 0
        start = time.perf_counter()
        for first in range(0, count, records_per_sync):
            frames = []
            for n, (key, value) in enumerate(pairs[first : first + records_per_sync], first):
                record = pack((ORIGIN, n, STAMP + n, key, value))
                frames.append(FRAME.pack(len(record), crc32(record)) + record)
            offset += os.pwrite(file, b"".join(frames), offset)
            sync(file)
        return count / (time.perf_counter() - start)
    finally:
        os.close(file)


def put(directory: Path, count: int) -> float:
    """Pack, check and append a record each, without a sync."""
    pairs = writes(count)
    pack = msgpack.Packer().pack
    file = os.open(directory / "bare.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        start = time.perf_counter()
        for n, (key, value) in enumerate(pairs):
            record = pack((ORIGIN, n, STAMP + n, key, value))
            os.write(file, FRAME.pack(len(record), crc32(record)) + record)
        return count / (time.perf_counter() - start)
    finally:
        os.close(file)


def allocate(file: int, size_bytes: int) -> None:
    """Give a file its space ahead, where the system can: overwriting syncs faster."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size_bytes)
        os.fsync(file)

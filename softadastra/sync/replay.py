"""A log's records for recovery: single own writes that follow each other as one record.

Nearly all of a log that was never rewritten are such writes. Together they are unpacked and made
into siblings by a few calls into C, and a million of them open twice as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

import msgpack

from softadastra.store.changes import OWN, Writes
from softadastra.store.origins import Origins
from softadastra.store.siblings import State
from softadastra.sync.kinds import Kind
from softadastra.sync.records import Record, decode_record

__all__ = ["Frame", "decode_together", "gathered"]

Frame = tuple[int, bytes]
"""The kind and the bytes of a record."""

TOGETHER_BYTES_MAX: Final = 1 << 18
"""Bytes at a time: more are no faster, and are held in memory twice meanwhile."""

WRITE: Final = int(Kind.WRITE)


def gathered(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Give the frames in their order: own writes in groups, all others alone."""
    together: list[Frame] = []
    size_bytes = 0
    for frame in frames:
        kind, payload = frame
        size_bytes += len(payload)
        if together and (kind != WRITE or size_bytes > TOGETHER_BYTES_MAX):
            yield together
            together, size_bytes = [], len(payload)
        if kind == WRITE:
            together.append(frame)
        else:
            yield [frame]
            size_bytes = 0
    if together:
        yield together


def decode_together(frames: Sequence[Frame], origins: Origins) -> Iterator[Record]:
    """Read the records of a group.

    Raises:
        StoreError: as `decode_record`.
    """
    together = own_writes(frames) if len(frames) > 1 else None
    if together is not None:
        yield together
        return
    for kind, payload in frames:
        yield decode_record(kind, payload, origins)


def own_writes(frames: Sequence[Frame]) -> Writes | None:
    """Read single own writes as one record; None when one of them has more to it than most."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(b"".join([payload for _, payload in frames]))
    rows = list(unpacker)
    if len(rows) != len(frames) or set(map(len, rows)) != {5}:
        return None
    numbers, clocks, keys, versions, values = zip(*rows, strict=True)
    if numbers != tuple(range(numbers[0], numbers[0] + len(rows))):
        return None
    columns = (repeat(OWN), numbers, clocks, versions, values, repeat(0))
    states: list[State] = list(zip(*columns, strict=False))
    return Writes(numbers[0], max(clocks), list(keys), states)

"""The core workloads of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010).

The mixes are those that the project publishes as workloada to workloadf. Keys are drawn by a
zipfian distribution with its constant 0.99 (Gray et al., "Quickly Generating Billion-Record
Synthetic Databases", 1994), scattered over the records by its hash, in workload D by how new they
are. Scans take 1 to 100 keys, all as likely. What was inserted is drawn too.

Two things differ. A record is one value of 1,000 bytes, which an update replaces, where YCSB has
ten fields of 100 and replaces one. And ranks are drawn among the records, as the paper has it: YCSB
draws them among 10^16 and folds these, so its most popular record has 4 %, and this one 13 %.

A workload is made before the clock starts, and is the same for each store that it is given to.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

__all__ = ["RECORDS", "WORKLOADS", "Kind", "Operation", "Workload", "operations", "record"]

RECORDS = 1_000
"""YCSB's own recordcount of these workloads."""

VALUE_BYTES = 1_000
SCAN_KEYS_MAX = 100
THETA = 0.99
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class Kind(Enum):
    """What is done with a key."""

    READ = "read"
    UPDATE = "update"
    INSERT = "insert"
    SCAN = "scan"
    MODIFY = "read-modify-write"


@dataclass(frozen=True, slots=True)
class Workload:
    """A published mix."""

    name: str
    parts: tuple[tuple[Kind, float], ...]
    count: int
    """How many operations are measured: those that only read are soon done."""
    is_latest: bool = False
    """Keys are drawn by how new they are."""

    @property
    def inserted(self) -> float:
        """Which part of the operations inserts a record."""
        return dict(self.parts).get(Kind.INSERT, 0.0)

    @property
    def words(self) -> str:
        """The mix for people, as "50% read, 50% update"."""
        return ", ".join(f"{part:.0%} {kind.value}" for kind, part in self.parts)


WORKLOADS = (
    Workload("a", ((Kind.READ, 0.5), (Kind.UPDATE, 0.5)), 10_000),
    Workload("b", ((Kind.READ, 0.95), (Kind.UPDATE, 0.05)), 40_000),
    Workload("c", ((Kind.READ, 1.0),), 200_000),
    Workload("d", ((Kind.READ, 0.95), (Kind.INSERT, 0.05)), 40_000, is_latest=True),
    Workload("e", ((Kind.SCAN, 0.95), (Kind.INSERT, 0.05)), 10_000),
    Workload("f", ((Kind.READ, 0.5), (Kind.MODIFY, 0.5)), 10_000),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do."""

    kind: Kind
    key: str
    value: bytes = b""
    keys_max: int = 0
    """How many keys a scan takes."""


def record(number: int, source: random.Random) -> tuple[str, bytes]:
    """Make a record; its key does not tell when it was made."""
    return f"user{_hashed(number):020d}", source.randbytes(VALUE_BYTES)


def operations(workload: Workload, count: int, *, records: int = RECORDS) -> Iterator[Operation]:
    """Make the operations of a workload, the same ones at each call."""
    source = random.Random(f"{workload.name}/{count}")
    kinds = [kind for kind, _ in workload.parts]
    weights = [part for _, part in workload.parts]
    held = records
    # As YCSB does: the ranks are of all that will be there, and more; what is not there is passed.
    ranks = records if workload.is_latest else records + int(2 * count * workload.inserted)
    zipfian = _Zipfian(ranks, source)
    for kind in source.choices(kinds, weights, k=count):
        if kind is Kind.INSERT:
            yield Operation(kind, *record(held, source))
            held += 1
            if workload.is_latest:
                zipfian.grow()
            continue
        number = held
        while number >= held:
            rank = zipfian.draw()
            number = held - 1 - rank if workload.is_latest else _hashed(rank) % ranks
        key = f"user{_hashed(number):020d}"
        if kind in (Kind.UPDATE, Kind.MODIFY):
            yield Operation(kind, key, source.randbytes(VALUE_BYTES))
        elif kind is Kind.SCAN:
            yield Operation(kind, key, keys_max=source.randint(1, SCAN_KEYS_MAX))
        else:
            yield Operation(kind, key)


class _Zipfian:
    """Draws ranks: rank i comes with a probability proportional to 1 / (i + 1) ** THETA."""

    def __init__(self, count: int, source: random.Random) -> None:
        self._source = source
        self._sums: list[float] = []
        for _ in range(count):
            self.grow()

    def grow(self) -> None:
        """Draw from one rank more."""
        last = self._sums[-1] if self._sums else 0.0
        self._sums.append(last + 1 / (len(self._sums) + 1) ** THETA)

    def draw(self) -> int:
        return bisect_right(self._sums, self._source.random() * self._sums[-1])


def _hashed(number: int) -> int:
    """Hash a number as YCSB does: FNV-1a over its eight bytes, without the sign bit."""
    hashed = FNV_OFFSET
    for octet in number.to_bytes(8, "little"):
        hashed = (hashed ^ octet) * FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return hashed & 0x7FFFFFFFFFFFFFFF

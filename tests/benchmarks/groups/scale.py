"""What a million keys cost, and 32 processes. It takes long, and memory; run it by hand."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import catching_up, many_processes, million
from tests.benchmarks.measure import Figure, Row

__all__ = ["ROWS"]

MILLION = 1_000_000
FEW = 10_000
"""What a million is compared with: what costs the same for both does not depend on the size."""

COPIES_MAX = 2 * (many_processes.PROCESSES - 1)
"""Twice as often as each write has to be sent: about n times in a mesh of n, not n squared."""


def _among_few(directory: Path, count: int) -> dict[str, float]:
    return catching_up.catch_up(directory, min(count, FEW))


def _looked_at_few(directory: Path, count: int) -> dict[str, float]:
    return million.looked_at(directory, min(count, FEW))


ROWS = (
    Row(
        name="first-sync-peak",
        work="first sync of 1,000,000 keys, and the memory of both sides at its peak",
        note="Both processors; memory is that of the keys, and of batches on their way.",
        figures=(
            Figure(name="rate", unit="keys/s", is_absolute=True),
            Figure(name="sender", unit="MB", is_less_better=True, is_absolute=True),
            Figure(name="receiver", unit="MB", is_less_better=True, is_absolute=True),
        ),
        count=MILLION,
        product=million.first_sync,
    ),
    Row(
        name="rewrite",
        work="compaction of 1,000,000 keys",
        note="The processor: every entry is packed again, 16 MiB at a time.",
        figures=(Figure(unit="keys/s", is_absolute=True),),
        count=MILLION,
        product=million.rewritten,
    ),
    Row(
        name="look",
        work="digest, and 100 keys with a prefix, in 1,000,000 keys",
        beside="the same in 10,000 keys",
        note="The digest is kept up with each write; a scan begins where the prefix does.",
        figures=(
            Figure(name="digest", unit="µs", is_less_better=True, floor=2),
            Figure(name="scan", unit="µs", is_less_better=True, floor=2),
        ),
        count=MILLION,
        product=million.looked_at,
        bare=_looked_at_few,
    ),
    Row(
        name="first-scan",
        work="the first 100 keys with a prefix in 1,000,000 keys, while another thread puts",
        note="Sorting holds no lock: a put waits for searches for garbage in the new lists.",
        figures=(
            Figure(name="time", unit="ms", is_less_better=True, is_absolute=True),
            Figure(name="put", unit="ms", is_less_better=True, is_absolute=True),
        ),
        count=MILLION,
        product=million.first_scanned,
    ),
    Row(
        name="catch-up-growth",
        work="catch-up of 100 changes in 1,000,000 keys",
        beside="the same in 10,000 keys",
        note="Who is behind is served by what changed, found by number in the index.",
        figures=(
            Figure(name="time", unit="µs", is_less_better=True, floor=1.2),
            Figure(name="bytes", unit="bytes", is_less_better=True, floor=1.2),
        ),
        count=MILLION,
        product=catching_up.catch_up,
        bare=_among_few,
    ),
    Row(
        name="hot-key",
        work="1,000,000 writes of one key, for a peer that was away meanwhile",
        note="One entry, and a claim of all writes that it stands for; bytes with the greeting.",
        figures=(
            Figure(name="batches", unit="batches", is_less_better=True, is_absolute=True, floor=1),
            Figure(name="bytes", unit="bytes", is_less_better=True, is_absolute=True, floor=2_000),
            Figure(name="time", unit="ms", is_less_better=True, is_absolute=True),
        ),
        count=MILLION,
        product=million.hot_key,
    ),
    Row(
        name="processes",
        work=f"{many_processes.PROCESSES} processes, each connected to all, write 10,000 keys",
        note="The processors. Copies are how often each write is sent in all, batches how many "
        "messages it takes; idle is the processor time of the busiest one when nothing comes.",
        figures=(
            Figure(name="time", unit="s", is_less_better=True, is_absolute=True),
            Figure(
                name="copies",
                unit="writes",
                is_less_better=True,
                is_absolute=True,
                floor=COPIES_MAX,
            ),
            Figure(name="batches", unit="batches", is_less_better=True, is_absolute=True),
            Figure(name="idle", unit="ms/s", is_less_better=True, is_absolute=True),
        ),
        count=10_000,
        product=many_processes.converge,
    ),
)

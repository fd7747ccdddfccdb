"""What limits each measurement of `softadastra bench`, in words that its numbers are put into."""

from __future__ import annotations

from typing import Final

from softadastra.options import ClientOptions

__all__ = [
    "as_duration",
    "batch_words",
    "busy_words",
    "confirmation_words",
    "memory_words",
    "network_words",
    "put_words",
    "replication_words",
    "sync_words",
    "threads_words",
    "unsynced_words",
]

MEMORY_SYNC_MS: Final = 0.02
"""No disk answers faster: the fastest with a protected cache take about 20 µs."""

DISK_PART: Final = 0.5
"""From this part of the time on, the disk is what limits."""

BUSY_PART: Final = 0.7
"""From this part of a processor on, it is what limits: a thread that waits for nothing has 0.9."""


def as_duration(milliseconds: float) -> str:
    """Write a time with two digits that count, as "3.9 ms" and "120 µs"."""
    if milliseconds >= 1_000:
        return f"{milliseconds / 1_000:.2g} s"
    if milliseconds >= 10:
        return f"{milliseconds:.0f} ms"
    if milliseconds >= 1:
        return f"{milliseconds:.1f} ms"
    if milliseconds >= 0.01:
        return f"{milliseconds * 1_000:.0f} µs"
    return f"{milliseconds * 1_000:.1f} µs"


def sync_words(p50_ms: float, p99_ms: float) -> str:
    """Say what the disk costs."""
    if p50_ms < MEMORY_SYNC_MS:
        return (
            f"A sync takes {as_duration(p50_ms)}: no disk is that fast. This file system is in "
            "memory, or does not sync; what is durable here does not survive a power cut."
        )
    return (
        f"Half of the syncs take up to {as_duration(p50_ms)}, one in a hundred more than "
        f"{as_duration(p99_ms)}: what has to be durable waits for one."
    )


def put_words(p50_ms: float, sync_ms: float) -> str:
    """Say what a durable put waits for."""
    if sync_ms >= p50_ms * DISK_PART:
        return (
            f"Each durable put waits for one fdatasync: {as_duration(min(sync_ms, p50_ms))} of "
            f"its {as_duration(p50_ms)}. Threads, and batch(), share one."
        )
    return (
        f"The processor: of the {as_duration(p50_ms)} of a put the fdatasync is only "
        f"{as_duration(sync_ms)}."
    )


def threads_words(count: int, syncs: int, threads: int) -> str:
    """Say how many puts a sync served."""
    shared = count / syncs if syncs else 0.0
    return f"{threads} threads share each fdatasync: it made {shared:.1f} puts durable."


def batch_words(p50_ms: float, writes: int) -> str:
    """Say what a batch costs."""
    return (
        f"All {writes} writes share one fdatasync: a batch takes {as_duration(p50_ms)}, and is "
        "atomic."
    )


def unsynced_words(interval_s: float) -> str:
    """Say what is paid for the speed."""
    return (
        "The processor: no put waits for the disk. A crash of the program loses nothing, a power "
        f"cut up to the last {as_duration(interval_s * 1e3)}."
    )


def memory_words() -> str:
    """Say what is left without a log."""
    return "The processor alone: what a put costs in Python. Closing the node loses everything."


def replication_words(
    count: int,
    backlog: int,
    elapsed_s: float,
    processor_s: float,
    processors: int,
    options: ClientOptions,
) -> str:
    """Say what was replicated, and who had to wait."""
    used = processor_s / elapsed_s
    whole = f"{count:,} writes" if count == backlog else f"{count:,} of {backlog:,} writes in time"
    if processors == 1:
        why = "It waits for the one processor, which both nodes share."
    elif used >= BUSY_PART:
        why = "It waits for the sender's processor, which was busy all the time."
    else:
        why = (
            "It waits for the peer, which checks, merges and syncs: the sender used "
            f"{used:.0%} of a processor."
        )
    return (
        f"{whole} to an empty node, durable there, up to {options.sync_batch_size:,} for one "
        f"fdatasync. {why}"
    )


def confirmation_words(p50_ms: float, sync_ms: float) -> str:
    """Say what a put and its acknowledgement wait for."""
    return (
        f"An fdatasync here, one at the peer, and the way between them: of "
        f"{as_duration(p50_ms)} the disks take about {as_duration(min(2 * sync_ms, p50_ms))}. "
        "put itself does not wait for the peer."
    )


def network_words(round_trip_ms: float, options: ClientOptions) -> str:
    """Say what a network of this latency allows."""
    window_mb = options.sync_window * options.sync_batch_bytes / 1e6
    return (
        f"A peer there has a write no sooner than {as_duration(round_trip_ms / 2)} after it is "
        f"durable here, and the confirmation comes after {as_duration(round_trip_ms)} and its "
        f"fdatasync. At most {window_mb:.1f} MB are on the way "
        f"(sync_window * sync_batch_bytes): {window_mb / round_trip_ms * 1e3:,.0f} MB a second."
    )


def busy_words(load: float, processors: int) -> str:
    """Say that others use the machine, "" when they do not."""
    if load <= processors:
        return ""
    return (
        f"The machine is busy ({load:.1f} programs for {processors} processors): "
        "what waits for a processor is slower than it could be."
    )

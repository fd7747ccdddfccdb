"""SQLite in WAL mode, as applications use it: one table, one transaction a write.

synchronous=FULL syncs each transaction, as a durable put does; NORMAL syncs only at checkpoints, so
that a power cut takes what came since, as it does of a put without a sync. The log is folded into
the database at the size at which SQLite does so by itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .threads import Put, rate_together
from .workload import DEADLINE_SECONDS, writes

__all__ = ["PUT", "durable_put", "durable_put_threads", "opened", "put"]

PUT = "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def opened(directory: Path, synchronous: str) -> sqlite3.Connection:
    """Open a connection to the database of a directory; each statement is a transaction."""
    connection = sqlite3.connect(
        directory / "bench.sqlite", timeout=DEADLINE_SECONDS, isolation_level=None
    )
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise RuntimeError(f"SQLite has no WAL here, only {mode!r}")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
    )
    return connection


def durable_put(directory: Path, count: int) -> float:
    """Put one write a synced transaction; writes per second."""
    return _put_all(directory, count, "FULL")


def put(directory: Path, count: int) -> float:
    """Put one write a transaction, without a sync."""
    return _put_all(directory, count, "NORMAL")


def durable_put_threads(directory: Path, count: int, threads: int) -> float:
    """Put from several threads, each with a connection of its own and its share of the keys."""
    opened(directory, "FULL").close()

    @contextmanager
    def opened_here() -> Iterator[Put]:
        with closing(opened(directory, "FULL")) as connection:
            yield lambda key, value: connection.execute(PUT, (key, value))

    rate = rate_together(count, threads, opened_here)
    _check_size(opened(directory, "FULL"), count)
    return rate


def _put_all(directory: Path, count: int, synchronous: str) -> float:
    pairs = writes(count)
    connection = opened(directory, synchronous)
    start = time.perf_counter()
    for pair in pairs:
        connection.execute(PUT, pair)
    seconds = time.perf_counter() - start
    _check_size(connection, count)
    return count / seconds


def _check_size(connection: sqlite3.Connection, count: int) -> None:
    (found,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    connection.close()
    if found != count:
        raise RuntimeError(f"SQLite holds {found} of {count} writes")

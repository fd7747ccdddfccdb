"""Where nodes log, and how their logs are read.

A detached node logs beside its write-ahead log, under that name with ".log". Files that logrotate
has renamed, or packed with gzip, belong to it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from softadastra.errors import NotFoundError, StorageError
from softadastra.options import ClientOptions

__all__ = [
    "LINE_BYTES_MAX",
    "NoLogError",
    "log_file_of",
    "logs_beside",
    "opened",
    "text_lines",
    "unique",
]

LINE_BYTES_MAX: Final = 1024 * 1024
"""A line of a node takes far less: a batch names at most some thousand ranges. A file without line
ends must not fill the memory; what is longer is read as several lines, none of them an event."""

NAME: Final = re.compile(r".+\.log(\.\d+|-\d{8,14}(-\d+)?)?(\.gz)?", re.DOTALL)
"""A log, also one that logrotate has renamed."""

GZIP: Final = b"\x1f\x8b"


class NoLogError(NotFoundError):
    """There is no log to read where one should be."""


def log_file_of(options: ClientOptions) -> Path:
    """Give where a detached node logs, unless it was told otherwise."""
    path = options.resolved_wal_path()
    return path.with_name(f"{path.name}.log")


def logs_beside(path: Path) -> list[Path]:
    """Give all logs in the directory of a node's log, of all nodes there, rotated ones too.

    A write-ahead log is none, whatever it is called.

    Raises:
        NoLogError: there is none.
    """
    found = sorted(
        each
        for each in path.parent.glob("*.log*")
        if NAME.fullmatch(each.name) and each.is_file() and not _is_write_ahead_log(each)
    )
    if not found:
        raise NoLogError(
            f"no log in {path.parent}: name the logs of the nodes; a node that runs with"
            " --log-level debug --log-format json writes one on standard error",
            directory=str(path.parent),
        )
    return found


def _is_write_ahead_log(path: Path) -> bool:
    from softadastra.wal.frames import MAGIC

    with opened(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def unique(paths: Sequence[Path]) -> list[Path]:
    """Leave out files that are named twice, also by other names."""
    found: dict[tuple[int, int] | Path, Path] = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.setdefault(path, path)  # reading it says what is wrong
        else:
            found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a log, unpacked.

    Raises:
        NoLogError: it does not exist.
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            if is_packed:
                with gzip.open(file) as unpacked:
                    yield unpacked  # type: ignore[misc]  # a GzipFile reads bytes as any other
            else:
                yield file
    except FileNotFoundError as error:
        raise NoLogError(f"no log at {path}", path=str(path)) from error
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StorageError(
            f"cannot read the log {str(path)!r}: {reason}",
            errno=getattr(error, "errno", None),
            filename=str(path),
        ) from error


def text_lines(file: BinaryIO) -> Iterator[str]:
    """Give the lines of a log, each with its line end; what is no UTF-8 is replaced."""
    while line := file.readline(LINE_BYTES_MAX):
        yield line.decode("utf-8", errors="replace")

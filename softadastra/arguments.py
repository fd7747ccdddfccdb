"""What callers pass besides keys and values, checked before anything is begun."""

from __future__ import annotations

import os
from pathlib import Path

from softadastra.errors import InvalidArgumentError

__all__ = ["file_path", "seconds"]


def seconds(timeout: float) -> float:
    """Check how long to wait.

    Raises:
        InvalidArgumentError: it is no number of seconds from 0 on.
    """
    if isinstance(timeout, int | float) and timeout >= 0:
        return timeout
    raise InvalidArgumentError(f"a timeout is a number of seconds from 0 on, got {timeout!r}")


def file_path(path: object) -> Path:
    """Check where a file is to be made.

    Raises:
        InvalidArgumentError: no file can have this path.
    """
    if isinstance(path, str | os.PathLike):
        found = os.fspath(path)
        if isinstance(found, str) and "\0" not in found and Path(found).name:
            return Path(found)
    raise InvalidArgumentError(f"a file has a path as backups/node-a.wal, got {path!r:.200}")

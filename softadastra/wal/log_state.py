"""What an open log takes, and how it refuses the rest."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import assert_never

from softadastra.errors import InvalidStateError, SoftadastraError, StorageError

__all__ = ["LogState", "refusal"]


class LogState(Enum):
    """How far a log is open."""

    CLOSED = 0
    OPENED = 1
    """Locked and known to be ours; what it holds has not been replayed."""
    READY = 2
    POISONED = 3


def refusal(state: LogState, action: str, path: Path) -> SoftadastraError:
    """Say why a log does not do something, and what to do about it."""
    match state:
        case LogState.CLOSED:
            reason = "it is not open, call open() first (a forked child too)"
        case LogState.OPENED:
            reason = "take replay() to its end first"
        case LogState.READY:
            reason = "it was replayed already, close it and open it again"
        case LogState.POISONED:
            return StorageError(
                f"cannot {action} {path}: an earlier failure left its end unknown; close the log "
                "and open it again, recovery will find out",
                filename=str(path),
            )
        case _:
            assert_never(state)
    return InvalidStateError(f"cannot {action} {path}: {reason}", path=str(path))

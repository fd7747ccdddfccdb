"""What the tool's exit codes mean, and which error ends in which."""

from __future__ import annotations

from enum import IntEnum

from softadastra.errors import (
    InvalidArgumentError,
    NotFoundError,
    SoftadastraError,
    StoreLockedError,
    WalCorruptionError,
)

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended, for scripts. The numbers never change their meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    """Click's own code for a wrong command line, used for wrong settings too."""
    KEY_NOT_FOUND = 3
    """Or the log that a command of `wal` is to look at."""
    NO_NODE_REACHABLE = 4
    LOCKED = 5
    """Another process has the write-ahead log open."""
    DAMAGE_FOUND = 6
    INTERRUPTED = 130
    """128 + SIGINT, as shells report it."""


def exit_code_of(error: SoftadastraError) -> ExitCode:
    """Choose the exit code of a command that this error ended."""
    from softadastra.cli.rows import BadRowError  # only a failing command pays for csv and json

    match error:
        case NotFoundError():
            return ExitCode.KEY_NOT_FOUND
        case StoreLockedError():
            return ExitCode.LOCKED
        case WalCorruptionError():
            return ExitCode.DAMAGE_FOUND
        case BadRowError():
            return ExitCode.FAILURE
        case InvalidArgumentError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILURE

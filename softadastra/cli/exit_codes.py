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

__all__ = ["ExitCode", "NotStartedError", "WaitTimedOutError", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended, for scripts. The numbers never change their meaning."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    """Click's own code for a wrong command line, used for wrong settings too."""
    KEY_NOT_FOUND = 3
    """Or the log that a command of `wal` is to look at, or the node or key pair of `keys`."""
    NO_NODE_REACHABLE = 4
    LOCKED = 5
    """Another process has the write-ahead log open."""
    DAMAGE_FOUND = 6
    TIMED_OUT = 124
    """As `timeout` of the shell."""
    INTERRUPTED = 130
    """128 + SIGINT, as shells report it."""


class NotStartedError(SoftadastraError):
    """A node that was started has ended; its exit code is this command's too."""

    def __init__(self, message: str, code: int, **context: object) -> None:
        super().__init__(message, exit_code=code, **context)
        self.exit_code = ExitCode(code) if code in tuple(ExitCode) and code else ExitCode.FAILURE


class WaitTimedOutError(SoftadastraError):
    """What was waited for has not come in time; it may still."""


def exit_code_of(error: SoftadastraError) -> ExitCode:
    """Choose the exit code of a command that this error ended."""
    # Only a failing command pays for csv and json, and for what pairs.
    from softadastra.cli.rows import BadRowError
    from softadastra.control.unreachable import NodeAbsentError, NodeGoneError, NodeSilentError
    from softadastra.pairing import WindowClosedError

    match error:
        case NotFoundError():
            return ExitCode.KEY_NOT_FOUND
        case StoreLockedError():
            return ExitCode.LOCKED
        case WalCorruptionError():
            return ExitCode.DAMAGE_FOUND
        case NodeSilentError() | NodeGoneError() | NodeAbsentError():
            return ExitCode.NO_NODE_REACHABLE
        case NotStartedError():
            return error.exit_code
        case WindowClosedError() | WaitTimedOutError():
            return ExitCode.TIMED_OUT
        case BadRowError():
            return ExitCode.FAILURE
        case InvalidArgumentError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILURE

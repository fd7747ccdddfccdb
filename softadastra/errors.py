"""Every exception that Softadastra raises, in one tree.

    SoftadastraError                        .code .message .context
      InvalidArgumentError  (ValueError)      an argument is wrong: correct it and call again
      InvalidStateError     (RuntimeError)    the call does not fit: open, start or close first
      NotFoundError         (KeyError)        the key or peer is absent
      AlreadyExistsError                      something of that name is there already
      StorageError          (OSError)         the disk refused; .errno and .filename say how
      StoreError                              the data cannot be used, or told, as it is
        StoreLockedError                      another process holds it; .context names the holder
        WalCorruptionError                    damage, not a torn tail; .context has file and offset
        WatchOverflowError                    a reader of changes fell behind: read on, or resume
        PositionLostError                     a watch cannot go on from there: begin anew
      SyncError                               the replication protocol was violated
        ProtocolError                         a peer sent what it must not: drop it, never crash
          OtherProtocolError                  a peer speaks another version: update one of the two
      TransportError        (ConnectionError) an address or a connection; local data is unaffected
      DiscoveryError                          peers cannot be looked for; everything else goes on
      MetadataError                           this machine or node cannot be described
      InternalError         (RuntimeError)    a bug in Softadastra: please report it

A network fault never raises from `put`, `get` or `remove`. Messages say what was wrong,
what was expected, and what to do about it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Any

__all__ = [
    "AlreadyExistsError",
    "DiscoveryError",
    "ErrorCode",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "MetadataError",
    "NotFoundError",
    "OtherProtocolError",
    "PositionLostError",
    "ProtocolError",
    "SoftadastraError",
    "StorageError",
    "StoreError",
    "StoreLockedError",
    "SyncError",
    "TransportError",
    "WalCorruptionError",
    "WatchOverflowError",
]


class ErrorCode(StrEnum):
    """What kind of error it is, as a stable string for logs, JSON and scripts."""

    UNKNOWN = "unknown"
    INVALID_ARGUMENT = "invalid_argument"
    INVALID_STATE = "invalid_state"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    IO_ERROR = "io_error"
    STORE_ERROR = "store_error"
    SYNC_ERROR = "sync_error"
    TRANSPORT_ERROR = "transport_error"
    DISCOVERY_ERROR = "discovery_error"
    METADATA_ERROR = "metadata_error"
    INTERNAL_ERROR = "internal_error"


class SoftadastraError(Exception):
    """The root: catch it to catch everything that this package raises.

    Args:
        message: what was wrong, what was expected, and what to do.
        context: the values that the message speaks of, for programs.
    """

    code = ErrorCode.UNKNOWN
    """What kind of error it is."""

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.context = context

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(SoftadastraError, ValueError):
    """An argument has the wrong type, size or content; nothing has changed."""

    code = ErrorCode.INVALID_ARGUMENT


class InvalidStateError(SoftadastraError, RuntimeError):
    """The call does not fit the state of the object, as a write to a closed client."""

    code = ErrorCode.INVALID_STATE


class NotFoundError(SoftadastraError, KeyError):
    """The key, or the peer, is not there."""

    code = ErrorCode.NOT_FOUND


class AlreadyExistsError(SoftadastraError):
    """Something of that name is there already, and was left as it is."""

    code = ErrorCode.ALREADY_EXISTS


class StorageError(SoftadastraError, OSError):
    """The operating system refused a file operation.

    Args:
        message: as in the root.
        errno: the system's error number, None when there was no system error.
        filename: the file concerned.
        context: further values.
    """

    code = ErrorCode.IO_ERROR

    def __init__(
        self, message: str, *, errno: int | None = None, filename: str = "", **context: object
    ) -> None:
        super().__init__(message, **context)
        self.errno = errno
        self.filename = filename

    def __reduce__(self) -> tuple[Any, ...]:
        # An OSError keeps these two where pickle and copy do not look.
        remade = partial(type(self), errno=self.errno, filename=self.filename)
        return remade, (self.message,), self.__dict__


class StoreError(SoftadastraError):
    """The data cannot be used, or told, as it is; nothing was changed."""

    code = ErrorCode.STORE_ERROR


class StoreLockedError(StoreError):
    """Another process, or another client here, has this write-ahead log open."""


class WalCorruptionError(StoreError):
    """The write-ahead log is damaged below its end; `.context` has `path` and `offset`."""


class WatchOverflowError(StoreError):
    """More changes waited for a reader than its watch holds: from here on some were not kept.

    Nothing is lost but what lay between. Reading on, or a new watch from `.position`, gives the
    newest value of each key that has changed since, and then every change again.

    Args:
        message: as in the root.
        position: the place of the last change that was given.
        context: further values.
    """

    def __init__(self, message: str, *, position: str = "", **context: object) -> None:
        super().__init__(message, **context)
        self.position = position


class PositionLostError(StoreError):
    """What has changed since a position cannot be told any more: watch from "beginning"."""


class SyncError(SoftadastraError):
    """Replication cannot do what was asked of it."""

    code = ErrorCode.SYNC_ERROR


class ProtocolError(SyncError):
    """A peer sent bytes that the protocol does not allow; they were refused, nothing changed."""


class OtherProtocolError(ProtocolError):
    """A peer speaks another version of the protocol: update the older one of the two."""


class TransportError(SoftadastraError, ConnectionError):
    """An address cannot be bound or reached; local data is unaffected."""

    code = ErrorCode.TRANSPORT_ERROR


class DiscoveryError(SoftadastraError):
    """Peers cannot be looked for on this network; everything else goes on."""

    code = ErrorCode.DISCOVERY_ERROR


class MetadataError(SoftadastraError):
    """This machine or this node cannot be described."""

    code = ErrorCode.METADATA_ERROR


class InternalError(SoftadastraError, RuntimeError):
    """An invariant of Softadastra does not hold: a bug, please report it."""

    code = ErrorCode.INTERNAL_ERROR

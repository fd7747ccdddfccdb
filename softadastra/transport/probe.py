"""Finds out why a connection could not be made.

libzmq's monitor says that an attempt failed and keeps the error number to itself. After a
failure one plain TCP connection is tried to the same address, and its error is the reason.
"""

from __future__ import annotations

import errno
import os
import socket

from softadastra.transport.addresses import Address
from softadastra.transport.links import DownReason

__all__ = ["Probe", "reason_of"]

_REASONS = {
    # The port answers by now: what failed was a connection that is no more.
    0: DownReason.CONNECTION_CLOSED,
    errno.ECONNRESET: DownReason.CONNECTION_CLOSED,
    errno.ECONNREFUSED: DownReason.CONNECTION_REFUSED,
    errno.EHOSTUNREACH: DownReason.HOST_UNREACHABLE,
    errno.EHOSTDOWN: DownReason.HOST_UNREACHABLE,
    errno.ENETUNREACH: DownReason.HOST_UNREACHABLE,
    errno.ENETDOWN: DownReason.HOST_UNREACHABLE,
    errno.ETIMEDOUT: DownReason.TIMED_OUT,
}


def reason_of(error_number: int) -> str:
    """Put an error number of a connection into words."""
    return _REASONS.get(error_number) or os.strerror(error_number).lower()


class Probe:
    """One non-blocking TCP connection, made for its error.

    While it `is_pending`, poll `fileno()` for writing; then ask for the `reason()`.

    Args:
        address: where the attempt failed.

    Raises:
        OSError: the system has no socket to give.
    """

    __slots__ = ("_error_number", "_socket")

    def __init__(self, address: Address) -> None:
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._error_number = self._socket.connect_ex((address.host, address.port))

    @property
    def is_pending(self) -> bool:
        """Whether the outcome was not known at once, and has to be polled for."""
        return self._error_number == errno.EINPROGRESS

    def fileno(self) -> int:
        """Return the descriptor to poll for writing."""
        return self._socket.fileno()

    def reason(self) -> str:
        """Say why there is no connection, once the outcome is known."""
        if self.is_pending:
            return reason_of(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return reason_of(self._error_number)

    def close(self) -> None:
        """Close the connection, made or not."""
        self._socket.close()

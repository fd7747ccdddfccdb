"""Cuts an inbound TCP connection, which libzmq has no call for.

libzmq tells with each message on which descriptor it came. By then, and again by the time of the
cut, that connection may have ended, and its number may be another file's. So a copy of the
descriptor is looked at, which cannot change any more: it has to be a connection to the port that
the node listens on, and at the cut to the same address and port as before.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

import zmq

__all__ = ["Connection"]


class Connection(NamedTuple):
    """A connection that libzmq holds."""

    descriptor: int
    peer: object
    """Address and port of the other end, as the system writes them."""

    @classmethod
    def of(cls, frame: zmq.Frame, port: int) -> Connection | None:
        """Name the connection that a message came on; None when it has ended since.

        Args:
            frame: of the message.
            port: where the node listens.
        """
        descriptor = int(frame.get(zmq.SRCFD))
        try:
            with socket.socket(fileno=os.dup(descriptor)) as copy:
                is_ours = copy.getsockname()[1] == port
                return cls(descriptor, copy.getpeername()) if is_ours else None
        except OSError:
            return None

    def sever(self) -> None:
        """End the connection, both ways, unless it has ended already. libzmq notices by itself."""
        try:
            with socket.socket(fileno=os.dup(self.descriptor)) as copy:
                if copy.getpeername() == self.peer:
                    copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed, or no connection any more: there is nothing left to end

"""Cuts a TCP connection that libzmq holds, and asks how much it has brought; libzmq has no call.

libzmq tells with each message, and with what its monitor tells, on which descriptor it was. By
then, and again by the time of the cut, that connection may have ended, and its number may be
another file's. So a copy of the descriptor is looked at, which cannot change any more: it has to be
a connection to the port that the node listens on, or to the one that it dialled, and later to the
same address and port as before.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from softadastra.transport.addresses import plain_host

__all__ = ["Connection"]

_BYTES_RECEIVED: Final = 128
"""Offset of tcpi_bytes_received, 64 bits, in Linux's struct tcp_info (linux/tcp.h, since 4.1)."""
_TCP: Final = (socket.AF_INET, socket.SOCK_STREAM, 0)
"""Of either family, where its addresses are not asked for."""


class Connection(NamedTuple):
    """A connection that libzmq holds."""

    descriptor: int
    peer: tuple[object, ...]
    """Address and port of the other end, as the system writes them."""

    @classmethod
    def accepted(cls, descriptor: int, port: int) -> Connection | None:
        """Name a connection that came in to a port; None when it has ended since."""
        found = _ends_of(descriptor)
        return cls(descriptor, found.there) if found and found.here[1] == port else None

    @classmethod
    def made(cls, descriptor: int, port: int) -> Connection | None:
        """Name a connection that was made to a port elsewhere; None when it has ended since."""
        found = _ends_of(descriptor)
        return cls(descriptor, found.there) if found and found.there[1] == port else None

    @property
    def host(self) -> str:
        """The IP address of the other end."""
        return plain_host(str(self.peer[0]))

    def received_bytes(self) -> int | None:
        """Give how many bytes have come over it so far, read by libzmq or not.

        Looks at nothing else, as it is asked up to fifty times a second: when the connection has
        ended, the number may be another one's.

        Returns:
            None when it has ended, or where the system does not tell: only Linux does.
        """
        if sys.platform != "linux":
            return None
        try:
            with _copied(self.descriptor, *_TCP) as copy:
                facts = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
        except OSError:
            return None
        if len(facts) < _BYTES_RECEIVED + 8:
            return None
        received: int = struct.unpack_from("=Q", facts, _BYTES_RECEIVED)[0]
        return received

    def unread_bytes(self) -> int:
        """Give how many of those libzmq has not read yet; 0 when the connection has ended."""
        unread = array.array("i", [0])
        try:
            with _copied(self.descriptor, *_TCP) as copy:
                fcntl.ioctl(copy, termios.FIONREAD, unread)
        except OSError:
            return 0
        return unread[0]

    def sever(self) -> None:
        """End the connection, both ways, unless it has ended already. libzmq notices by itself."""
        try:
            with _copied(self.descriptor) as copy:
                if copy.getpeername() == self.peer:
                    copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed, or no connection any more: there is nothing left to end


@contextmanager
def _copied(
    descriptor: int, family: int = -1, kind: int = -1, protocol: int = -1
) -> Iterator[socket.socket]:
    """Give a copy of a descriptor. What it is costs three calls to find out, unless it is said.

    A process that has no descriptor left has to cut somebody all the same: then it is the one that
    libzmq holds, and between two calls its number could become another connection's.
    """
    try:
        copied = os.dup(descriptor)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        held = socket.socket(family, kind, protocol, descriptor)
        try:
            yield held
        finally:
            held.detach()
        return
    with socket.socket(family, kind, protocol, copied) as copy:
        yield copy


class _Ends(NamedTuple):
    """Addresses and ports of a TCP connection."""

    here: tuple[object, ...]
    there: tuple[object, ...]


def _ends_of(descriptor: int) -> _Ends | None:
    """Look at a descriptor; None when it is no TCP connection, or none any more."""
    try:
        with _copied(descriptor) as copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6):
                return None
            return _Ends(copy.getsockname(), copy.getpeername())
    except OSError:
        return None

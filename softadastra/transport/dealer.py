"""One DEALER, connecting to one address once, and the monitor that says how it goes.

Left alone, libzmq would connect again by itself, and whatever was said in the greeting
would be forgotten at one end and believed at the other. Its own way to forbid that, a
reconnect interval of -1, also throws away what came in before the connection ended: an
interval that never passes keeps it readable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import zmq

from softadastra.transport.addresses import Address
from softadastra.transport.curve import OVERHEAD_BYTES, Credentials
from softadastra.transport.sockets import Context, Socket, open_socket

__all__ = ["Dealer", "Happening", "happenings"]

RECONNECT_INTERVAL_MS = 3_600_000
"""Beyond the life of a DEALER whose connection has ended; libzmq at most doubles it."""

_MONITORED = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)

_HAPPENING = struct.Struct("=HI")
"""A monitor's first frame: event and value, in the machine's byte order (zmq_socket_monitor)."""


class Happening(NamedTuple):
    """What the monitor tells."""

    event: zmq.Event
    value: int
    """What it means depends on the event: why a handshake failed; the descriptor of a connection
    that was made or has ended."""


def happenings(monitor: Socket) -> Iterator[Happening]:
    """Take what a monitor has to tell, in order."""
    while True:
        try:
            frames = monitor.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        number, value = _HAPPENING.unpack(frames[0])
        yield Happening(zmq.Event(number), value)


class Dealer:
    """A DEALER and its monitor.

    Args:
        context: the node's ZeroMQ context.
        address: where to connect; the outcome is among the `happenings()`.
        name: distinguishes the monitor from all others of the context, closed ones included.
        credentials: who is to answer, and as whom to dial; None: without security.

    Raises:
        zmq.ZMQError: the system has no socket to give.
    """

    __slots__ = ("address", "monitor", "socket")

    def __init__(
        self, context: Context, address: Address, name: str, credentials: Credentials | None
    ) -> None:
        self.address = address
        self.socket: Socket = open_socket(
            context,
            zmq.DEALER,
            ipv6=address.is_ipv6,
            overhead_bytes=OVERHEAD_BYTES if credentials else 0,
        )
        try:
            self.monitor: Socket = context.socket(zmq.PAIR)
        except zmq.ZMQError:
            self.socket.close()
            raise
        try:
            self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_INTERVAL_MS)
            if credentials is not None:
                credentials.apply(self.socket)
            self.socket.monitor(f"inproc://monitor-{name}", _MONITORED)
            self.monitor.connect(f"inproc://monitor-{name}")
            self.socket.connect(address.endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def happenings(self) -> Iterator[Happening]:
        """Take what the monitor has to tell, in order."""
        return happenings(self.monitor)

    def close(self) -> None:
        """Disconnect. What was sent before still leaves, as far as TCP takes it at once."""
        # libzmq's only I/O thread blocks in telling a monitor that has no receiver any more, and
        # with it every connection of the node: so the telling ends first.
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close()

"""One DEALER, connecting to one address once, and the monitor that says how it goes.

Left alone, libzmq would connect again by itself, and whatever was said in the greeting
would be forgotten at one end and believed at the other. Its own way to forbid that, a
reconnect interval of -1, also throws away what came in before the connection ended: an
interval that never passes keeps it readable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import zmq

from softadastra.transport.addresses import Address
from softadastra.transport.sockets import Context, Socket, open_socket

__all__ = ["Dealer"]

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

_EVENT_NUMBER = struct.Struct("=H")
"""What a monitor's first frame begins with, in the machine's byte order (zmq_socket_monitor)."""


class Dealer:
    """A DEALER and its monitor.

    Args:
        context: the node's ZeroMQ context.
        address: where to connect; the outcome is among the `happenings()`.
        name: distinguishes the monitor from all others of the context, closed ones included.

    Raises:
        zmq.ZMQError: the system has no socket to give.
    """

    __slots__ = ("address", "monitor", "socket")

    def __init__(self, context: Context, address: Address, name: str) -> None:
        self.address = address
        self.socket: Socket = open_socket(context, zmq.DEALER, ipv6=address.is_ipv6)
        try:
            self.monitor: Socket = context.socket(zmq.PAIR)
        except zmq.ZMQError:
            self.socket.close()
            raise
        try:
            self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_INTERVAL_MS)
            self.socket.monitor(f"inproc://monitor-{name}", _MONITORED)
            self.monitor.connect(f"inproc://monitor-{name}")
            self.socket.connect(address.endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def happenings(self) -> Iterator[zmq.Event]:
        """Take what the monitor has to tell, in order."""
        while True:
            try:
                frames = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            (number,) = _EVENT_NUMBER.unpack_from(frames[0])
            yield zmq.Event(number)

    def close(self) -> None:
        """Disconnect. What was sent before still leaves, as far as TCP takes it at once."""
        # libzmq's only I/O thread blocks in telling a monitor that has no receiver any more, and
        # with it every connection of the node: so the telling ends first.
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close()

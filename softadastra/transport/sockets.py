"""Opens ZeroMQ sockets with the limits that each of a node's sockets has, and reads them.

The limits bound what one peer can make this node hold or wait for. Both ends set them,
because neither may rely on the other.
"""

from __future__ import annotations

from typing import TypeAlias

import zmq

from softadastra.transport.links import FRAME_BYTES_MAX, Link, Received, Refused

__all__ = [
    "HANDSHAKE_TIMEOUT_MS",
    "QUEUE_MESSAGES_MAX",
    "Context",
    "Socket",
    "is_readable",
    "open_socket",
    "read_payload",
    "skip_rest",
]

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"
Socket: TypeAlias = "zmq.Socket[bytes]"

QUEUE_MESSAGES_MAX = 16
"""Messages queued a link and direction: a window of 4 batches with their replies, and room.

With FRAME_BYTES_MAX that is 20 MiB, beyond what the kernel buffers.
"""

HANDSHAKE_TIMEOUT_MS = 5_000
"""A connection that has not shaken hands by then is cut; silent ones cost a socket each."""

KEEPALIVE_IDLE_SECONDS = 2
KEEPALIVE_INTERVAL_SECONDS = 2
KEEPALIVE_PROBES = 2
DEAD_PEER_TIMEOUT_MS = 6_000
"""Silence after which TCP gives a peer up: 2 s, then 2 probes; 6 s with data on its way.

This frees the connections of machines that are switched off or out of reach; measured with
the interface down, 6.6 s. Not ZMTP's heartbeats: one that falls due after a peer has reset
a connection whose queue here is full aborts the process (zeromq/libzmq#4364, "Assertion
failed: !_io_error"), as a peer that is killed may do. A hostile peer that has shaken hands
still can, with heartbeats of its own: keeping strangers out is the work of authentication.
"""

ACCEPT_BACKLOG = 128
"""Connections waiting to be accepted: all 64 connected peers coming back at once, twice."""


def open_socket(
    context: Context, kind: zmq.SocketType, *, ipv6: bool, overhead_bytes: int = 0
) -> Socket:
    """Make a socket with all limits set.

    No routing id is set, on purpose: with one, a peer could silence or replace another.

    Args:
        context: the node's ZeroMQ context.
        kind: ROUTER or DEALER.
        ipv6: whether it needs IPv6.
        overhead_bytes: what encryption adds to a frame.

    Raises:
        zmq.ZMQError: the system or the context has no socket to give.
    """
    opened = context.socket(kind)
    opened.setsockopt(zmq.LINGER, 0)
    opened.setsockopt(zmq.SNDHWM, QUEUE_MESSAGES_MAX)
    opened.setsockopt(zmq.RCVHWM, QUEUE_MESSAGES_MAX)
    opened.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX + overhead_bytes)
    opened.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT_MS)
    opened.setsockopt(zmq.TCP_KEEPALIVE, 1)
    opened.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_SECONDS)
    opened.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_SECONDS)
    opened.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_PROBES)
    opened.setsockopt(zmq.TCP_MAXRT, DEAD_PEER_TIMEOUT_MS)
    opened.setsockopt(zmq.BACKLOG, ACCEPT_BACKLOG)
    opened.setsockopt(zmq.IPV6, int(ipv6))
    return opened


def is_readable(source: Socket) -> bool:
    """Whether a message can be taken off a socket. To read `zmq.EVENTS` takes twice as long."""
    return bool(zmq.zmq_poll([(source, zmq.POLLIN)], 0))


def read_payload(source: Socket, frame: zmq.Frame, link: Link) -> Received | Refused:
    """Judge a message by its first payload frame, and take the rest of it off the socket."""
    if frame.more:
        skip_rest(source, frame)
        return Refused(link, "a message of more than one frame")
    # Copied once, here. A view into libzmq's memory would save 3 us of the 6 that 100 KB
    # cost, and hold all of it for as long as a slice of it lives.
    payload = frame.bytes
    return Received(link, payload) if payload else Refused(link, "an empty message")


def skip_rest(source: Socket, frame: zmq.Frame) -> None:
    """Take what follows a frame in its message off the socket.

    Never waits: libzmq has collected a whole message before its first frame can be read.
    Hence MAXMSGSIZE, which counts for each frame, does not bound a message.
    """
    while frame.more:
        frame = source.recv(zmq.NOBLOCK, copy=False)

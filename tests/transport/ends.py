"""A transport under test, the events that it has told, and peers that break the rules."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable

import zmq

from softadastra.security.keyring import Keyring
from softadastra.transport.links import (
    AuthFailed,
    CallerCut,
    Link,
    LinkDown,
    LinkEvent,
    LinkUp,
    Received,
    Refused,
    SendResult,
    TransportEvent,
    TrustChanged,
)
from softadastra.transport.zeromq import ZeroMQTransport

__all__ = [
    "LOOPBACK",
    "PATIENCE_SECONDS",
    "End",
    "await_monitor",
    "greeting",
    "join",
    "raw_connection",
    "shaken",
    "silent_node",
    "until",
]

LOOPBACK = "127.0.0.1"

PATIENCE_SECONDS = 30.0
"""After this, what a test waits for is held not to happen."""


class End:
    """A transport, and everything that its polls have returned."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self.transport = ZeroMQTransport(keyring)
        self.events: list[LinkEvent] = []
        self.told: list[AuthFailed | TrustChanged | CallerCut] = []
        """What is of no link."""

    def listen(self, host: str = LOOPBACK, port: int = 0) -> int:
        return self.transport.bind(host, port)

    def poll(self, timeout_ms: int = 0) -> list[TransportEvent]:
        events = self.transport.poll(timeout_ms)
        for event in events:
            if isinstance(event, LinkEvent):
                self.events.append(event)
            else:
                self.told.append(event)
        return events

    def payloads(self, link: Link | None = None) -> list[bytes]:
        """What was received, on one link or on all."""
        received = [event for event in self.events if isinstance(event, Received)]
        return [event.payload for event in received if link in (None, event.link)]

    def came_up(self) -> list[LinkUp]:
        return [event for event in self.events if isinstance(event, LinkUp)]

    def went_down(self) -> list[LinkDown]:
        return [event for event in self.events if isinstance(event, LinkDown)]

    def refused(self) -> list[Refused]:
        return [event for event in self.events if isinstance(event, Refused)]

    def stuff(self, link: Link, size: int) -> int:
        """Send numbered frames until every queue up to the peer's is full; how many fit."""
        numbers = itertools.count()
        number = next(numbers)

        def is_full() -> bool:
            nonlocal number
            before = number
            while self.transport.send(link, number.to_bytes(size, "big")) is SendResult.SENT:
                number = next(numbers)
            return number == before

        until(is_full)
        return number


def until(condition: Callable[[], object], *ends: End) -> None:
    """Poll the ends until the condition holds; without ends, look now and then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        told = [end.events[-10:] for end in ends]
        assert time.monotonic() < deadline, f"waited in vain; last events: {told}"
        for end in ends:
            end.poll(5)
        if not ends:
            time.sleep(0.02)


def join(dialler: End, listener: End, port: int) -> tuple[Link, Link]:
    """Connect two ends; the link's number here and there."""
    known = len(listener.came_up())
    link = dialler.transport.dial(LOOPBACK, port)
    until(lambda: LinkUp(link, True, f"{LOOPBACK}:{port}") in dialler.events, dialler)
    assert dialler.transport.send(link, b"first") is SendResult.SENT
    until(lambda: len(listener.came_up()) > known, listener)
    return link, listener.came_up()[-1].link


def await_monitor(end: End, link: Link) -> None:
    """Wait until libzmq has something to tell of a dialled link, without taking it."""
    monitor = end.transport._dialled[link].watched[0][0]
    assert isinstance(monitor, zmq.Socket)
    assert monitor.poll(int(PATIENCE_SECONDS * 1000))


def raw_connection(port: int, data: bytes = b"") -> socket.socket:
    """Connect with plain TCP and say something."""
    connection = socket.create_connection((LOOPBACK, port), timeout=PATIENCE_SECONDS)
    connection.sendall(data)
    return connection


def greeting(mechanism: str) -> bytes:
    """What ZMTP 3.1 begins with (RFC 37)."""
    return b"\xff" + bytes(8) + b"\x7f\x03\x01" + mechanism.encode().ljust(20, b"\0") + bytes(32)


def shaken(port: int) -> socket.socket:
    """Shake hands as ZMTP 3.1 has it (RFC 37), to the end: what comes before it is none."""
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    connection = raw_connection(port, greeting("NULL") + bytes([4, len(ready)]) + ready)
    heard = b""
    while b"READY" not in heard:
        heard += connection.recv(4096)
    return connection


def silent_node(port: int) -> socket.socket:
    """Shake hands, send one frame, "first", and fall silent."""
    connection = shaken(port)
    connection.sendall(b"\x00\x05first")
    return connection

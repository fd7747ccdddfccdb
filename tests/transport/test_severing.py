"""Ending an inbound connection by its descriptor, and no other one by mistake."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from softadastra.transport.severing import Connection

from .ends import LOOPBACK, PATIENCE_SECONDS


class Pair:
    """A TCP connection."""

    def __init__(self, stack: ExitStack) -> None:
        server = stack.enter_context(socket.create_server((LOOPBACK, 0)))
        self.port: int = server.getsockname()[1]
        self.there = stack.enter_context(socket.create_connection((LOOPBACK, self.port)))
        self.there.settimeout(PATIENCE_SECONDS)
        self.here = stack.enter_context(server.accept()[0])

    def is_open(self) -> bool:
        self.here.send(b"?")
        return self.there.recv(1) == b"?"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_connection_is_ended_both_ways(stack: ExitStack) -> None:
    pair = Pair(stack)
    connection = Connection.accepted(pair.here.fileno(), pair.port)
    assert connection is not None
    assert pair.is_open()
    connection.sever()

    assert pair.there.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        pair.here.send(b"?")


def test_a_descriptor_that_is_another_connections_by_now_is_left_alone(stack: ExitStack) -> None:
    pair, other = Pair(stack), Pair(stack)
    connection = Connection.accepted(pair.here.fileno(), pair.port)
    assert connection is not None
    renumbered = connection._replace(descriptor=other.here.fileno())
    renumbered.sever()

    assert other.is_open()


def test_a_connection_to_another_port_is_not_taken_for_one_of_the_node(stack: ExitStack) -> None:
    """The number may have become that of a connection of the application's own."""
    pair, other = Pair(stack), Pair(stack)

    assert Connection.accepted(other.here.fileno(), pair.port) is None


def test_a_descriptor_that_is_no_connection_of_tcp_by_now_is_left_alone() -> None:
    """As the pair that wakes the transport: its end has a name, and no port."""
    here, there = socket.socketpair()
    with here, there:
        assert Connection.accepted(here.fileno(), 4041) is None
        assert Connection.made(here.fileno(), 4041) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_has_come_over_a_connection_is_told_read_or_not(stack: ExitStack) -> None:
    pair = Pair(stack)
    connection = Connection.accepted(pair.here.fileno(), pair.port)
    assert connection is not None
    pair.there.sendall(bytes(1_000))
    assert len(pair.here.recv(600, socket.MSG_WAITALL)) == 600

    assert connection.received_bytes() == 1_000
    assert connection.unread_bytes() == 400


def test_what_has_ended_already_is_no_error(stack: ExitStack) -> None:
    pair = Pair(stack)
    connection, descriptor = Connection.accepted(pair.here.fileno(), pair.port), pair.here.fileno()
    assert connection is not None
    pair.here.close()

    assert Connection.accepted(descriptor, pair.port) is None
    connection.sever()

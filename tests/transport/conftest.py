"""What the tests of the transport share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import zmq

from .ends import End

Open = Callable[[], End]
OpenRaw = Callable[[zmq.SocketType], "zmq.Socket[bytes]"]


@pytest.fixture
def open_end() -> Iterator[Open]:
    """Make transports that are closed at the end."""
    with ExitStack() as stack:

        def make() -> End:
            end = End()
            stack.callback(end.transport.close)
            return end

        yield make


@pytest.fixture
def open_raw() -> Iterator[OpenRaw]:
    """Make bare ZeroMQ sockets without any of our limits."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with ExitStack() as stack:
        stack.callback(context.term)

        def make(kind: zmq.SocketType) -> zmq.Socket[bytes]:
            made = stack.enter_context(context.socket(kind))
            made.linger = 0
            return made

        yield make

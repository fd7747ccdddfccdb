"""Tells when bytes come over connections that have been quiet.

To look at each connection ten times a second, whether anything came or not, cost an idle node with
two links 0.4 % of a core, nearly all of it for waking up (measured); so a node that is left alone
looks at nothing. libzmq reads the connections with an epoll of its own, which this one does not
disturb.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable

from softadastra.transport.severing import Connection

__all__ = ["Arrivals"]


class Arrivals:
    """Tells once that bytes came over expected connections.

    Only on Linux; elsewhere there is nothing to learn of connections that libzmq holds, so nothing
    is told.
    """

    __slots__ = ("_epoll",)

    def __init__(self) -> None:
        self._epoll = select.epoll() if sys.platform == "linux" else None

    def fileno(self) -> int | None:
        """Return the descriptor to poll for reading; None where nothing is told."""
        return None if self._epoll is None else self._epoll.fileno()

    def expect(self, connections: Iterable[Connection]) -> None:
        """Tell of the next bytes that come over each of these, or that libzmq has not read yet."""
        if self._epoll is None:
            return
        for connection in connections:
            try:
                self._expect(self._epoll, connection.descriptor)
            except OSError:
                continue  # it has ended: libzmq's monitor tells of that

    @staticmethod
    def _expect(epoll: select.epoll, descriptor: int) -> None:
        once = select.EPOLLIN | select.EPOLLONESHOT
        try:
            epoll.modify(descriptor, once)
        except FileNotFoundError:  # a new one; the system forgets those that are closed
            epoll.register(descriptor, once)

    def clear(self) -> None:
        """Hear of those that were told of no more, until they are expected again."""
        if self._epoll is not None:
            self._epoll.poll(0)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._epoll is not None:
            self._epoll.close()

"""A relay on the loopback interface; what becomes of what passes is for its kinds to say."""

from __future__ import annotations

import selectors
import socket
import struct
from abc import ABC, abstractmethod
from threading import Thread
from typing import Final, Self

__all__ = ["Relay", "Way"]

AT_ONCE: Final = struct.pack("ii", 1, 0)
"""With nothing sent any more: a reset instead of an end (socket(7), SO_LINGER)."""


class Way(ABC):
    """One direction of one connection.

    Args:
        target: where it goes.
    """

    def __init__(self, target: socket.socket) -> None:
        self.target = target

    @abstractmethod
    def carry(self, data: bytes) -> None:
        """Pass on what has come, or something else."""


class Relay(ABC):
    """Carries TCP connections to a port of this machine. A context manager: leaving it ends them.

    Args:
        port: where they go.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        """Where they come in."""
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._thread = Thread(target=self._run, name="relay", daemon=True)

    @abstractmethod
    def _ways(self, come: socket.socket, gone: socket.socket) -> tuple[Way, Way]:
        """Give both directions of a new connection: there, and back."""

    def reset(self) -> None:
        """End all connections with a reset, as a carrier does that was restarted."""
        self._waker.send(b"reset")

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waker.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    if not self._woken.recv(16):
                        return
                    self._end_all()
                    break
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._selector.get_map():
                    self._carry(key)

    def _accept(self) -> None:
        come, _ = self._listener.accept()
        gone = socket.create_connection(("127.0.0.1", self._target))
        there, back = self._ways(come, gone)
        self._selector.register(come, selectors.EVENT_READ, there)
        self._selector.register(gone, selectors.EVENT_READ, back)

    def _end_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Way):
                assert isinstance(key.fileobj, socket.socket)
                self._selector.unregister(key.fileobj)
                key.fileobj.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                key.fileobj.close()

    def _carry(self, key: selectors.SelectorKey) -> None:
        source, way = key.fileobj, key.data
        assert isinstance(source, socket.socket)
        try:
            data = source.recv(65536)
            if data:
                way.carry(data)
        except OSError:
            data = b""
        if not data:
            for each in (source, way.target):
                self._selector.unregister(each)
                each.close()

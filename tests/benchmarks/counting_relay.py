"""A relay on loopback that counts the bytes of TCP payload of both directions."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

__all__ = ["CountingRelay"]

CHUNK_BYTES = 1 << 16


class CountingRelay:
    """Takes connections on a port of its own and passes them on. A context manager.

    Args:
        port: of this machine, where what is taken is passed on to.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def passed_bytes(self) -> int:
        """How much was passed on so far, both ways."""
        with self._lock:
            return self._bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for each in sockets:
            with suppress(OSError):  # it is closed already
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # until it is closed
            while True:
                taken, _ = self._listener.accept()
                passed = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._sockets += [taken, passed]
                for source, target in ((taken, passed), (passed, taken)):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either end has gone
            while data := source.recv(CHUNK_BYTES):
                with self._lock:
                    self._bytes += len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

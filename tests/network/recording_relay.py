"""A relay on the loopback interface that keeps every byte that passes, as a capture would."""

from __future__ import annotations

import selectors
import socket
from threading import Thread

__all__ = ["RecordingRelay"]


class RecordingRelay:
    """Carries TCP connections to a port of this machine. A context manager: leaving it ends them.

    Args:
        port: where they go.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._there = bytearray()
        self._back = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        """Where they come in."""
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._thread = Thread(target=self._run, name="relay", daemon=True)

    def recorded(self) -> tuple[bytes, bytes]:
        """Give what has gone there and what has come back, of all connections, in order."""
        return bytes(self._there), bytes(self._back)

    def __enter__(self) -> RecordingRelay:
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
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._selector.get_map():
                    self._carry(key)

    def _accept(self) -> None:
        come, _ = self._listener.accept()
        gone = socket.create_connection(("127.0.0.1", self._target))
        self._selector.register(come, selectors.EVENT_READ, (gone, self._there))
        self._selector.register(gone, selectors.EVENT_READ, (come, self._back))

    def _carry(self, key: selectors.SelectorKey) -> None:
        source = key.fileobj
        assert isinstance(source, socket.socket)
        target, record = key.data
        try:
            data = source.recv(65536)
            record += data
            if data:
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (source, target):
                self._selector.unregister(each)
                each.close()

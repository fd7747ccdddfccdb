"""A relay that keeps every byte that passes, as a capture would."""

from __future__ import annotations

import socket

from tests.network.relay import Relay, Way

__all__ = ["RecordingRelay"]


class _Recorded(Way):
    """One direction of one connection, and what has gone that way on all of them."""

    def __init__(self, target: socket.socket, record: bytearray) -> None:
        super().__init__(target)
        self._record = record

    def carry(self, data: bytes) -> None:
        self._record += data
        self.target.sendall(data)


class RecordingRelay(Relay):
    """See `Relay`.

    Args:
        port: where connections go.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._there = bytearray()
        self._back = bytearray()

    def recorded(self) -> tuple[bytes, bytes]:
        """Give what has gone there and what has come back, of all connections, in order."""
        return bytes(self._there), bytes(self._back)

    def _ways(self, come: socket.socket, gone: socket.socket) -> tuple[Way, Way]:
        return _Recorded(gone, self._there), _Recorded(come, self._back)

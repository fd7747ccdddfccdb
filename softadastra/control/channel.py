"""One connection of a control socket: whole frames in, whole frames out."""

from __future__ import annotations

import math
import select
import socket
from contextlib import suppress

from softadastra.control.frames import FRAME_BYTES_MAX, LENGTH
from softadastra.errors import ProtocolError

__all__ = ["Channel"]

READ_BYTES = 64 * 1024
"""Taken from the socket at a time: memory grows with what has come, not with a claimed length."""


class Channel:
    """A connected socket. For one reader and one writer at a time.

    Args:
        connected: the socket; closed by `close`.
    """

    __slots__ = ("_came", "_socket")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._came = bytearray()
        """What has come and is not given yet."""

    @property
    def is_quiet(self) -> bool:
        """Whether the other end is there, and has said nothing that was not taken."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not self._came and not poller.poll(0)

    @property
    def has_left(self) -> bool:
        """Whether the other end has closed."""
        poller = select.poll()
        poller.register(self._socket, 0)
        return bool(poller.poll(0))

    def wait(self, seconds: float) -> bool:
        """Wait for something to come, and tell whether it has; the end is something too."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(self._came) or bool(poller.poll(math.ceil(seconds * 1000)))

    def receive(self, *, silence: float | None = None) -> bytes | None:
        """Wait for a frame, and give its payload; None when the other end has closed.

        Args:
            silence: the longest wait for each next byte, in seconds.

        Raises:
            TimeoutError: the other end is silent.
            ProtocolError: it sends what is no frame, or closed in the middle of one.
            OSError: the connection is lost.
        """
        head = self._exactly(LENGTH.size, silence)
        if head is None:
            return None
        (size,) = LENGTH.unpack(head)
        if not 0 < size <= FRAME_BYTES_MAX:
            raise ProtocolError(f"a frame of {size:,} bytes: expected 1 to {FRAME_BYTES_MAX:,}")
        payload = self._exactly(size, silence)
        if payload is None:
            raise ProtocolError("the connection was closed in the middle of a frame")
        return payload

    def _exactly(self, size: int, silence: float | None) -> bytes | None:
        """Take so many bytes; None when the other end has closed before the first."""
        came = self._came
        while len(came) < size:
            self._socket.settimeout(silence)
            try:
                chunk = self._socket.recv(READ_BYTES)
            except BlockingIOError as error:  # with a silence of 0
                raise TimeoutError from error
            if not chunk:
                if came:
                    raise ProtocolError("the connection was closed in the middle of a frame")
                return None
            came += chunk
        taken = bytes(came[:size])
        del came[:size]
        return taken

    def send(self, frames: bytes | bytearray, *, silence: float | None = None) -> None:
        """Send frames.

        Args:
            frames: each with its length.
            silence: the longest wait for the other end to take all of them, in seconds.

        Raises:
            TimeoutError: the other end does not read.
            OSError: it has closed.
        """
        self._socket.settimeout(silence)
        self._socket.sendall(frames)

    def offer(self, frame: bytes) -> bool:
        """Send a small frame if the other end has room for it; never wait.

        Returns:
            Whether the connection is still good: not when it is closed, or took half of the frame.
        """
        self._socket.settimeout(0)
        try:
            return self._socket.send(frame) == len(frame)
        except BlockingIOError:
            return True  # who has not read what came before has enough to read
        except OSError:
            return False

    def shut(self) -> None:
        """End the connection, also for a thread that waits at it. Again is no error."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other end was faster

    def shut_reading(self) -> None:
        """Take no more than what has come, also in a thread that waits for it."""
        with suppress(OSError):  # the other end was faster
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Give the descriptor back; in a forked child the parent's connection stays."""
        self._socket.close()

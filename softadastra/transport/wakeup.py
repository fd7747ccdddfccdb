"""A descriptor that any thread can make readable, to end another thread's poll.

The byte in the socket pair is the signal, the flag beside it keeps it at one byte however
many threads ask.
"""

from __future__ import annotations

import socket
import threading

__all__ = ["Wakeup"]


class Wakeup:
    """A signal between threads that a poller can wait for.

    `set()` is for any thread, the rest for the one that polls.
    """

    __slots__ = ("_lock", "_reader", "_signalled", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        # Reentrant: a signal handler may interrupt its own thread inside set(), and call it.
        self._lock = threading.RLock()
        self._signalled = False

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._reader.fileno()

    def set(self) -> None:
        """Make the descriptor readable. Does nothing after `close()`."""
        with self._lock:
            if not self._signalled:
                # In this order: an interrupt between the two costs a byte, not the signal.
                self._writer.send(b"\0")
                self._signalled = True

    def clear(self) -> None:
        """Take the signal back, once the poll that it was for has returned."""
        with self._lock:
            self._reader.recv(16)
            self._signalled = False

    def close(self) -> None:
        """Close the descriptors."""
        with self._lock:
            # Stays set, so that a late set() cannot write to a descriptor that now belongs
            # to somebody else.
            self._signalled = True
            self._reader.close()
            self._writer.close()

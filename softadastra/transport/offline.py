"""The transport of a node that has none: it waits and wakes, so that the reactor can run.

With `auto_flush=False` the reactor keeps the promise to sync in time, also without a network.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock

from softadastra.errors import InternalError
from softadastra.transport.links import Link, SendResult, TransportEvent

__all__ = ["Offline"]


class Offline:
    """No connections, ever."""

    def __init__(self) -> None:
        # Not an Event, whose own lock an interrupt, as by Ctrl-C, may leave taken for ever.
        self._asleep = Lock()
        self._asleep.acquire()

    def bind(self, host: str, port: int) -> int:
        """Refuse: nothing can be bound here."""
        raise InternalError(f"an offline transport cannot bind {host}:{port}")

    def dial(self, host: str, port: int, node_id: str = "") -> Link:
        """Refuse: nothing can be dialled from here."""
        raise InternalError(f"an offline transport cannot dial {node_id!r} at {host}:{port}")

    def send(self, link: Link, payload: bytes) -> SendResult:  # noqa: ARG002
        """There is no such link."""
        return SendResult.GONE

    def drop(self, link: Link) -> None:
        """There is no such link."""

    def poll(self, timeout_ms: int | None) -> list[TransportEvent]:
        """Wait for `wake` or the time-out."""
        self._asleep.acquire(timeout=-1 if timeout_ms is None else timeout_ms / 1000)
        return []

    def wake(self) -> None:
        """Make `poll` return."""
        with suppress(RuntimeError):  # woken already, and not yet asleep again
            self._asleep.release()

    def close(self) -> None:
        """Nothing is held."""

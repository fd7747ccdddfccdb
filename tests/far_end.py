"""A transport with one connection, at whose other end is an engine that a test drives.

What the node under test sends goes through its bytes into that engine, in the reactor's thread.
What the engine says goes to the node when the test lets it.
"""

from __future__ import annotations

from dataclasses import replace
from queue import Empty, Queue
from threading import Lock

from softadastra.sync.output import Push
from softadastra.sync.wire import encode
from softadastra.transport.links import Link, LinkUp, Received, SendResult, TransportEvent
from softadastra.types import Value
from tests.engines import OPTIONS, Network, Node

__all__ = ["FarEnd"]

LINK = Link(1)
RETRY_MS = 1_000
DEADLINE_SECONDS = 20.0


class FarEnd:
    """Node-b, dialling the node under test; an implementation of the port `Transport`."""

    def __init__(self) -> None:
        options = replace(OPTIONS, retry_interval_ms=RETRY_MS)
        self.peer: Node = Network("node-b", options=options)["node-b"]
        self._lock = Lock()
        """Held while the peer is touched: the reactor's thread does that too."""
        self._events: Queue[list[TransportEvent]] = Queue()
        self._has_turned: Queue[None] = Queue()
        """One for each delivery that the node has done all for that was due."""
        self._owed = 0
        self._is_up = False

    # What a test does.

    def greet(self) -> None:
        """Connect to the node, and let the two exchange greetings."""
        with self._lock:
            self.peer.engine.connections.up(LINK, dialled=True, now=self.peer.now)
        self._is_up = True
        self._deliver([LinkUp(LINK, dialled=False, address="node-b"), *self._said()])
        self.exchange()

    def write(self, key: str, value: Value) -> None:
        """Let the peer write."""
        with self._lock:
            self.peer.write((key, value))

    def exchange(self) -> None:
        """Let the node take what the peer has to say, until neither has anything."""
        while said := self._said():
            self._deliver(said)

    def retry(self) -> None:
        """Let the peer send again what was not acknowledged."""
        self.peer.network.now_ms += 2 * RETRY_MS
        self.exchange()

    @property
    def confirmed(self) -> int:
        """Up to which of the peer's own writes the node has acknowledged all."""
        with self._lock:
            return max((member.confirmed for member in self.peer.engine.members), default=0)

    def top_of(self, node_id: str) -> int:
        """Give the last write of a node that the peer has."""
        with self._lock:
            have = self.peer.engine.have()
        return max(
            (dots.top for origin, dots in have.items() if origin.node_id == node_id), default=0
        )

    def _said(self) -> list[TransportEvent]:
        with self._lock:
            output = self.peer.engine.poll(self.peer.now, Push.ALL)
        return [Received(LINK, encode(message)) for _, message in output.sends]

    def _deliver(self, events: list[TransportEvent]) -> None:
        self._events.put(events)
        self._has_turned.get(timeout=DEADLINE_SECONDS)

    # What the node does: see `Transport`.

    def bind(self, host: str, port: int) -> int:
        return port or 1

    def dial(self, host: str, port: int) -> Link:
        raise AssertionError("the peer dials")

    def send(self, link: Link, payload: bytes) -> SendResult:
        if not self._is_up:
            return SendResult.GONE
        with self._lock:
            self.peer.receive(link, payload)
        return SendResult.SENT

    def drop(self, link: Link) -> None:
        if self._is_up:
            self._is_up = False
            with self._lock:
                self.peer.engine.connections.down(LINK, "closed", self.peer.now)

    def poll(self, timeout_ms: int | None) -> list[TransportEvent]:
        self._turned()
        try:
            events = self._events.get(timeout=None if timeout_ms is None else timeout_ms / 1000)
        except Empty:
            return []
        self._owed += bool(events)
        return events

    def wake(self) -> None:
        self._events.put([])

    def close(self) -> None:
        self._turned()

    def _turned(self) -> None:
        for _ in range(self._owed):
            self._has_turned.put(None)
        self._owed = 0

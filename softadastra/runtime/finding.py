"""Lets a node try what discovery finds, and tells it as events.

What is found becomes a candidate of the engine's dialer, and no more: nobody is a member, or is
remembered, before he has greeted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from softadastra.discovery.changes import Change, Clashed, Found, Gone, TurnedAway
from softadastra.runtime.commit import Committer
from softadastra.runtime.events import Events
from softadastra.sync.notices import Level, Notice
from softadastra.sync.settings import Now
from softadastra.types import Peer

__all__ = ["Finding"]


class Finding:
    """The observer of discovery, for one node. See `discovery.changes.Observer`.

    Args:
        committer: the node's state, and its lock.
        events: where to tell what happens.
        now: reads both clocks.
        wake: makes the reactor look at what has changed.
    """

    def __init__(
        self,
        committer: Committer,
        events: Events,
        *,
        now: Callable[[], Now],
        wake: Callable[[], None],
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._events = events
        self._now = now
        self._wake = wake
        self._told: dict[str, tuple[tuple[str, int], ...]] = {}
        """Of whom it was told that he was found, and where. Who is gone is taken out."""

    def changed(self, change: Change) -> None:
        """See `Observer.changed`."""
        match change:
            case Found(node_id, addresses):
                peers = [Peer(node_id, host, port) for host, port in addresses]
                with self._committer.lock:
                    is_taken = self._engine.propose(peers, self._now())
                if is_taken and self._told.get(node_id) != addresses:
                    self._told[node_id] = addresses
                    places = [str(peer).removeprefix(f"{node_id}@") for peer in peers]
                    self._emit(Level.INFO, "peer.found", peer=node_id, addresses=places)
                self._wake()
            case Gone(node_id):
                with self._committer.lock:
                    self._engine.dialer.withdraw(node_id)
                if self._told.pop(node_id, None):
                    self._emit(Level.DEBUG, "announcement.ended", peer=node_id)
            case Clashed(addresses):
                self._emit(Level.WARNING, "discovery.clashed", addresses=addresses)
            case TurnedAway(count):
                self._emit(Level.WARNING, "discovery.flooded", names=count)

    def announced(self, name: str, addresses: Sequence[str]) -> None:
        """See `Observer.announced`."""
        self._emit(Level.INFO, "discovery.announced", name=name, addresses=addresses)

    def failed(self, error: str) -> None:
        """See `Observer.failed`."""
        self._emit(Level.WARNING, "discovery.failed", error=error)

    def is_met(self, node_id: str) -> bool:
        """See `Observer.is_met`."""
        with self._committer.lock:
            member = self._engine.members.get(node_id)
            return member is not None and member.accepted

    def _emit(self, level: Level, event: str, **fields: object) -> None:
        self._events.emit(Notice(level, event, fields))

"""What a client tells of by itself: the changes of its keys, and its events."""

from __future__ import annotations

from collections.abc import Callable

from softadastra.lifecycle import Lifecycle
from softadastra.runtime.listening import Subscription, level_named
from softadastra.runtime.watcher import Limits, Watcher
from softadastra.scans import put_in_order
from softadastra.types import BEGINNING, Event
from softadastra.watch import Watch

__all__ = ["WATCH_BYTES", "WATCH_CHANGES", "Observing"]

WATCH_CHANGES = 8_192
"""What a node merges in a tenth of a second, several of its largest batches."""

WATCH_BYTES = 16 * 1024 * 1024
"""Sixteen of the largest values of the default options."""


class Observing(Lifecycle):
    """The part of a `Client` that is about being told. Safe to use from any thread."""

    def watch(
        self,
        prefix: str = "",
        *,
        since: str | None = None,
        max_changes: int = WATCH_CHANGES,
        max_bytes: int = WATCH_BYTES,
    ) -> Watch:
        """Give the changes of keys, by writes of this node and of others, in their order.

        A change is told when reads show it: with `auto_flush` it is durable then. A slow reader
        holds up nobody. What waits for it is bounded, and behind that it gets an error that tells
        where to go on.

        Args:
            prefix: what the keys begin with.
            since: a `position` of a change or a watch, of this node or of one that had no more:
                first comes the newest value of each key that changed since, then every change.
                "beginning": first comes all that there is. None: only what changes from now on.
            max_changes: how many changes wait for the reader at most. While he takes them as many
                may wait again.
            max_bytes: how large they are at most, likewise.

        Raises:
            PositionLostError: what changed since cannot be found out any more.
            InvalidArgumentError: that is no position, prefix or number.
            InvalidStateError: the client is not open.

        Example:
            >>> with Client(ClientOptions.memory_only("node-a")) as node:
            ...     node["a/1"] = "one"
            ...     with node.watch("a/", since="beginning") as changes:
            ...         next(changes).value
            'one'
        """
        watcher = self._watcher(prefix, since, Limits(max_changes, max_bytes))
        return Watch(watcher, self._opened().replica.origins, self._check_own)

    def _watcher(self, prefix: str, since: str | None, limits: Limits) -> Watcher:
        node = self._opened()
        if since == BEGINNING:
            put_in_order(node)
        return node.committer.watchers.open(prefix, since, limits)

    def on(
        self, event: str, callback: Callable[[Event], object], *, level: str = "debug"
    ) -> Subscription:
        """Call something with each event of this node, as docs/events.md lists them.

        It is called in a thread of its own, one event at a time, and other callbacks of this client
        wait for it. It may do all that a program does, also close the client. What it raises
        becomes an event in the log. At most 1,024 events wait for it: of those that find no room it
        is told the number by the next one.

        Debug events are made only while somebody wants them: for their names, or for "", each write
        and message costs more.

        Args:
            event: a name as "peer.connected", the beginning of names as "peer.", or "" for all.
            callback: what is called with each.
            level: leaves out events below "debug", "info", "warning" or "error".

        Returns:
            The subscription: closing it ends the calls, as closing the client does.

        Raises:
            InvalidArgumentError: no such event is told, or an argument is wrong.
            InvalidStateError: the client is not open.
        """
        listeners = self._opened().events.listeners
        return listeners.add(event, callback, level=level_named(level))

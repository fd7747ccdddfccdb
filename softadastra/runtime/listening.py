"""Who listens to a node's events within the process: callbacks, in a thread of their own.

An event is handed over where it happens, in no time: to a bounded queue of each subscription. What
finds no room is dropped and counted, and the next event of that subscription says how many were. A
callback that is slow, waits or raises holds up other callbacks of the same node at most.

What goes wrong with a callback goes to the log only: told to callbacks it would go in circles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import Final, Self

from softadastra.errors import InvalidArgumentError, InvalidStateError
from softadastra.runtime.catalogue import levels_of
from softadastra.runtime.lookout import Lookout
from softadastra.sync.notices import Level, Notice
from softadastra.types import Event

__all__ = ["EVENTS_MAX", "NOBODY", "Listeners", "Subscription", "level_named"]

EVENTS_MAX: Final = 1_024
"""How many events wait for a callback: a burst, as of a peer with as many conflicts."""

STOP_MAX_SECONDS: Final = 0.5
"""How long closing a client waits for its callbacks to see the last events."""

NOBODY: Final = 1 << 30
"""Above every level."""


class Subscription:
    """Events that a callback is called with, from `on` to `close`. Safe from any thread.

    Args:
        listeners: those of the node.
        wanted: which events, and at which level each is.
        callback: called with each.
        tell: lets who calls it know that there is something to take.
    """

    def __init__(
        self,
        listeners: Listeners,
        wanted: Mapping[str, Level],
        callback: Callable[[Event], object],
        tell: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._wanted = wanted
        self._callback = callback
        self._tell = tell
        self.is_heralded = False
        """Whether the thread of the listeners calls it."""
        self._lock = Lock()
        self._waiting: deque[Event] = deque()
        self._missed = 0
        """How many events were dropped since the last one that found room."""
        self._dropped = 0
        self._is_ended = False
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """How many events were dropped in all, because the callback was too slow for them."""
        return self._dropped

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or its client was."""
        return self._is_closed

    @property
    def least(self) -> int:
        """The lowest level of the events that it wants."""
        return min(self._wanted.values())

    def close(self) -> None:
        """Call nothing more. A call that is under way ends by itself; again is no error."""
        self._is_closed = True
        self._waiting.clear()
        self._listeners.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def end(self) -> None:
        """No more events will come: it closes when those that wait were told."""
        self._is_ended = True
        self._tell()

    def wants(self, name: str) -> bool:
        """Whether it is told of an event."""
        return name in self._wanted

    def offer(self, event: Event) -> bool:
        """Queue an event; give whether it is the first one that finds no room."""
        with self._lock:
            if len(self._waiting) >= EVENTS_MAX:
                self._missed += 1
                self._dropped += 1
                return self._missed == 1
            if self._missed:
                event = replace(event, dropped=self._missed)
                self._missed = 0
            self._waiting.append(event)
        self._tell()
        return False

    def call(self) -> bool:
        """Call the callback with the next event; give whether there was one."""
        try:
            event = self._waiting.popleft()
        except IndexError:
            if self._is_ended:
                self.close()
            return False
        if self._is_closed:
            return False
        try:
            self._callback(event)
        except BaseException as error:  # the application's own, of any kind
            self._listeners.failed(event, error)
        return True


class Listeners:
    """The subscriptions of one node.

    Args:
        log: writes an event to the log, and tells nobody else.
    """

    def __init__(self, log: Callable[[Notice], None]) -> None:
        self.least = NOBODY
        """The lowest level that anybody wants."""
        self.changed: Callable[[], None] = lambda: None
        """Called when `least` may have changed."""
        self._log = log
        self._lock = Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        """Replaced as a whole, so that who reads it needs no lock."""
        self._herald: Herald | None = None
        self._is_over = False
        """Whether the node is closed."""

    def add(
        self,
        event: str,
        callback: Callable[[Event], object],
        *,
        level: Level,
        tell: Callable[[], None] | None = None,
    ) -> Subscription:
        """Let something be called with events.

        Args:
            event: which ones; see `catalogue.levels_of`.
            callback: what is called.
            level: those below are left out.
            tell: lets who calls it know that there is something; None: a thread here calls it.

        Raises:
            InvalidArgumentError: no such event is told, or that cannot be called.
            InvalidStateError: the node is closed.
        """
        wanted = {name: at for name, at in levels_of(event).items() if at >= level}
        if not wanted:
            raise InvalidArgumentError(f"{event!r} is below level {level.name.lower()!r}")
        if not callable(callback):
            raise InvalidArgumentError(f"a callback is called with an event, got {callback!r:.80}")
        with self._lock:
            if self._is_over:
                raise InvalidStateError("this client is not open: call open(), or use it in a with")
            subscription = Subscription(self, wanted, callback, tell or self._heralded())
            subscription.is_heralded = tell is None
            self._subscriptions = (*self._subscriptions, subscription)
            self._note_least()
        self.changed()
        return subscription

    def _heralded(self) -> Callable[[], None]:
        """Give what tells the thread, which is started with the first callback for it."""
        if self._herald is None:
            self._herald = Herald(self)
            self._herald.start()
        return self._herald.tell

    def _note_least(self) -> None:
        self.least = min((each.least for each in self._subscriptions), default=NOBODY)

    def remove(self, subscription: Subscription) -> None:
        """Let go a subscription."""
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
            self._note_least()
        self.changed()

    def offer(self, event: Event) -> None:
        """Hand an event to all who want it."""
        for subscription in self._subscriptions:
            if subscription.wants(event.name) and subscription.offer(event):
                facts: dict[str, object] = {"name": event.name, "waiting": EVENTS_MAX}
                self._log(Notice(Level.WARNING, "listener.overflowed", facts))

    def failed(self, event: Event, error: BaseException) -> None:
        """Tell that a callback raised."""
        facts: dict[str, object] = {"name": event.name, "error": repr(error)}
        self._log(Notice(Level.WARNING, "listener.failed", facts))

    def call(self) -> None:
        """Call callbacks in turn, until nothing waits."""
        is_any = True
        while is_any:
            is_any = False
            for subscription in self._subscriptions:
                if subscription.is_heralded:
                    is_any = subscription.call() or is_any

    def end(self) -> None:
        """The node is closed: what waits is still told, for a moment. Again is no error."""
        with self._lock:
            self._is_over = True
        if self._herald is not None:
            self._herald.stop()
        for subscription in self._subscriptions:
            if subscription.is_heralded:
                subscription.close()
            else:
                subscription.end()


class Herald(Lookout):
    """The thread that calls the callbacks of one node.

    Args:
        listeners: whose callbacks.
    """

    def __init__(self, listeners: Listeners) -> None:
        super().__init__("softadastra-herald", stop_max_seconds=STOP_MAX_SECONDS)
        self._listeners = listeners

    def _look(self) -> None:
        self._listeners.call()

    def _ended(self) -> None:
        self._listeners.call()


def level_named(name: str) -> Level:
    """Give a level by its name.

    Raises:
        InvalidArgumentError: there is none of this name.
    """
    levels = {each.name.lower(): each for each in Level}
    if name not in tuple(levels):
        raise InvalidArgumentError(
            f"no level is named {name!r}: expected one of {', '.join(levels)}", level=name
        )
    return levels[name]

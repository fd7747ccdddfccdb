"""What happens at the node, told to everybody who looks.

While nobody does, it costs the node one look at its outbox every few seconds. While somebody does,
changes and events are told four times a second up to a number, of more it is told that there were;
how the node is, each second, or more rarely where looking takes long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from softadastra.client import Client
from softadastra.dashboard.audience import Audience, message
from softadastra.dashboard.documents import change_document, event_document, vitals_document
from softadastra.dashboard.history import History, Sample
from softadastra.errors import InvalidStateError, PositionLostError, WatchOverflowError
from softadastra.runtime.listening import Subscription
from softadastra.types import Event
from softadastra.vitals import Vitals
from softadastra.watch import Watch

__all__ = ["Feed"]

PAUSE_SECONDS: Final = 0.25
"""Between two looks at what has happened: what a person takes for at once."""

IDLE_SECONDS: Final = 5.0
"""Between two looks while nobody looks: the outbox over time has to be there when somebody does."""

VITALS_SECONDS: Final = 1.0
"""Between two looks at how the node is."""

VITALS_SHARE: Final = 10
"""Looking takes at most this part of the time: where many removed keys are held back, a look may
take a tenth of a second."""

CHANGES_MAX: Final = 50
"""Changes that are told at a time: 200 a second, which nobody reads."""

EVENTS_MAX: Final = 50
"""Events that wait to be told; of a flood, the latest."""

WATCH_CHANGES: Final = 256
WATCH_BYTES: Final = 4 * 1024 * 1024
"""What is kept of changes between two looks; when there are more, what comes next is told."""


@dataclass(slots=True)
class _Look:
    """What one look has found."""

    messages: list[str] = field(default_factory=list)
    vitals: str | None = None
    sample: Sample | None = None


class Feed:
    """Tells an audience what happens at a node.

    Args:
        client: the node; it may be closed and opened again meanwhile.
        audience: who is told.
        history: where samples of the outbox are kept.
    """

    def __init__(self, client: Client, audience: Audience, history: History) -> None:
        self._client = client
        self._audience = audience
        self._history = history
        self._watch: Watch | None = None
        self._subscription: Subscription | None = None
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._events_left_out = 0
        self._before: Vitals | None = None
        self._due = 0.0
        self._is_away = False

    async def run(self, call: Callable[[Callable[[], _Look]], Awaitable[_Look]]) -> None:
        """Look and tell, until it is cancelled.

        Args:
            call: calls something that waits for the node's lock, outside of the event loop.
        """
        while True:
            is_watched = len(self._audience) > 0
            has_come = await self._audience.wait(PAUSE_SECONDS if is_watched else IDLE_SECONDS)
            if has_come:
                self._due = 0.0
                self._is_away = False
            look = await call(self._look_close if len(self._audience) else self._look_by_the_way)
            for each in look.messages:
                self._audience.tell(each)
            if look.vitals is not None:
                self._audience.show_vitals(look.vitals)
            if look.sample is not None:
                self._history.add(look.sample)

    def close(self) -> None:
        """Want nothing of the node any more. While nobody looks, or when it is over."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._events.clear()
        self._before = None

    def _look_by_the_way(self) -> _Look:
        """Look at the outbox alone."""
        self.close()
        try:
            state = self._client.sync_state()
        except InvalidStateError:
            return _Look()
        return _Look(sample=Sample.of(time.time_ns() // 1_000_000, state))

    def _look_close(self) -> _Look:
        """Look at all that somebody sees."""
        look = _Look()
        try:
            self._subscribe()
            self._take_happenings(look)
            if time.monotonic() >= self._due:
                self._take_vitals(look)
        except InvalidStateError:
            self.close()
            if not self._is_away:
                look.messages.append(message("away", {}))
            self._is_away = True
        else:
            self._is_away = False
        return look

    def _subscribe(self) -> None:
        if self._watch is None or self._watch.is_closed:
            self._watch = self._client.watch(max_changes=WATCH_CHANGES, max_bytes=WATCH_BYTES)
        if self._subscription is None or self._subscription.is_closed:
            self._subscription = self._client.on("", self._note, level="info")

    def _note(self, event: Event) -> None:
        """Keep an event for the next look. Called in the thread of the client's callbacks."""
        if len(self._events) == EVENTS_MAX:
            self._events_left_out += 1
        self._events_left_out += event.dropped
        self._events.append(event)

    def _take_happenings(self, look: _Look) -> None:
        changes, is_cut = self._take_changes()
        events = []
        while self._events:
            events.append(event_document(self._events.popleft()))
        left_out, self._events_left_out = self._events_left_out, 0
        if changes or events or is_cut or left_out:
            document = {
                "changes": changes,
                "changes_left_out": is_cut,
                "events": events,
                "events_left_out": left_out,
            }
            look.messages.append(message("happenings", document))

    def _take_changes(self) -> tuple[list[dict[str, object]], bool]:
        """Take the next changes; and whether others are not told."""
        assert self._watch is not None, "subscribed before"
        changes: list[dict[str, object]] = []
        try:
            while len(changes) < CHANGES_MAX and (change := self._watch.get(0)) is not None:
                changes.append(change_document(change))
        except (WatchOverflowError, PositionLostError):
            # Reading on would bring the newest value of each key that changed since, which may be
            # all of them. Who looks wants to see what happens now.
            self._watch.close()
            return changes, True
        return changes, False

    def _take_vitals(self, look: _Look) -> None:
        begun = time.monotonic()
        vitals, before = self._client.vitals(), self._before
        if before is not None and before.node.started_at_ms != vitals.node.started_at_ms:
            before = None
        rates = None if before is None else vitals.rates_since(before)
        look.vitals = message("vitals", vitals_document(vitals, rates))
        look.sample = Sample.of(vitals.observed_ms, vitals.sync)
        self._before = vitals
        ended = time.monotonic()
        self._due = begun + max(VITALS_SECONDS, VITALS_SHARE * (ended - begun))

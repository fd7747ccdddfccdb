"""The transport over ZeroMQ: one poller over a ROUTER, a DEALER a dialled link, and a wake-up.

With a keyring all of them speak CURVE, and the poller has a gate too, at which strangers are sent
away.

ZeroMQ brings framing, connections in the background and bounded queues. It does not bring
delivery: a message that was sent is lost when its connection ends.

A poll takes one message a link in turn until it has enough, so that a link that floods
delays another by no more than its own turn.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Collection
from typing import Final

import zmq

from softadastra.errors import InvalidStateError
from softadastra.security.keyring import Keyring
from softadastra.transport.addresses import NameResolver, numeric_address
from softadastra.transport.arrivals import Arrivals
from softadastra.transport.curve import new_key_pair
from softadastra.transport.descriptors import require_descriptors
from softadastra.transport.dialled import Dialled, Stage
from softadastra.transport.guard import REVOKED, Guard
from softadastra.transport.intake import LOOK_INTERVAL_MS, SUSPECT_INTERVAL_MS, Intake, stuffed
from softadastra.transport.links import (
    FRAME_BYTES_MAX,
    DownReason,
    Link,
    LinkDown,
    LinkEvent,
    Received,
    Refused,
    SendResult,
    Transport,
    TransportEvent,
    TrustChanged,
)
from softadastra.transport.listener import Listener
from softadastra.transport.proof import prove_strangers_are_refused
from softadastra.transport.sockets import Context, Socket
from softadastra.transport.wakeup import Wakeup

__all__ = ["BYTES_PER_POLL_MAX", "ENDLESS", "MESSAGES_PER_POLL_MAX", "ZeroMQTransport"]

MESSAGES_PER_POLL_MAX = 256
"""Messages that one poll takes: four for each of the 64 connected peers, a window."""

BYTES_PER_POLL_MAX = 16 * 1024 * 1024
"""Payload bytes that one poll takes, give or take a frame: a bound for what a caller holds."""


ENDLESS: Final = "a message without an end"
"""Why a connection is cut that stuffs libzmq."""


class ZeroMQTransport(Transport):
    """Implements `Transport`, whose docstrings say what each call does.

    Args:
        keyring: whose key it proves, and whom it lets in; None: it does not ask.

    Raises:
        TransportError: this process has too few descriptors left.
    """

    def __init__(self, keyring: Keyring | None = None) -> None:
        require_descriptors()
        # A context of its own: an application's other ZeroMQ sockets share nothing with it.
        self._context: Context = zmq.Context()
        self._guard = None if keyring is None else Guard(self._context, keyring, _monotonic_ms())
        self._numbers = itertools.count(1)
        self._listener: Listener | None = None
        self._dialled: dict[Link, Dialled] = {}
        self._pending: list[TransportEvent] = []
        """What calls other than `poll` found out, for the next `poll` to tell."""
        self._wakeup = Wakeup()
        self._woken_by = self._wakeup.fileno()
        self._resolver = NameResolver(answered=self._wakeup.set)
        self._poller = zmq.Poller()
        self._sources: dict[Socket | int, Listener | Dialled] = {}
        self._stepping: dict[Socket | int, Dialled] = {}
        self._is_watch_stale = True
        """Whether a link has changed what it needs polled since the poller was made."""
        self._turns = 0
        self._looked_ms = 0
        """When it was last looked who stuffs libzmq."""
        self._look_ms: int | None = None
        """When to look again, as far as is known of what has happened before this poll."""
        self._arrivals = Arrivals()
        self._arriving = self._arrivals.fileno()
        self._is_stirred = False
        """Whether anything has happened on a connection since that."""
        self._is_anyone_suspected = False
        self._is_drained = False
        """Whether all messages were taken since that."""

    def bind(self, host: str, port: int) -> int:
        """See `Transport.bind`."""
        self._require_open()
        if self._listener is not None:
            raise InvalidStateError(
                f"the transport listens on port {self._listener.port} already; "
                "close it and make another one to move it"
            )
        listener = Listener.open(
            self._context, host, port, next_link=self._next_link, guard=self._guard
        )
        if self._guard is not None:
            try:
                prove_strangers_are_refused(
                    self._context,
                    self._guard.gate,
                    listener.address,
                    own=self._guard.own.public,
                    stranger=new_key_pair(),
                )
            except BaseException:
                listener.close()
                raise
        self._listener = listener
        self._is_watch_stale = True
        return listener.port

    def dial(self, host: str, port: int, node_id: str = "") -> Link:
        """See `Transport.dial`."""
        self._require_open()
        now_ms = _monotonic_ms()
        link = self._next_link()
        security = None
        if self._guard is not None:
            credentials = self._guard.credentials(node_id)
            if credentials is None:
                words, told = self._guard.unknown(node_id, now_ms)
                self._pending += [*told, LinkDown(link, words)]
                return link
            security = self._guard, credentials
        dialled = Dialled(self._context, link, (host, port), security, now_ms)
        self._dialled[dialled.link] = dialled
        address = numeric_address(host, port)
        if address is None:
            self._resolver.ask(host, port)
        else:
            self._pending += self._changed(dialled, dialled.connect([address], now_ms))
        return dialled.link

    def send(self, link: Link, payload: bytes) -> SendResult:
        """See `Transport.send`."""
        assert 0 < len(payload) <= FRAME_BYTES_MAX
        dialled = self._dialled.get(link)
        if dialled is not None:
            return dialled.send(payload)
        if self._listener is None or link not in self._listener:
            return SendResult.GONE
        result = self._listener.send(link, payload)
        if result is SendResult.GONE:
            self._pending.append(LinkDown(link, DownReason.GONE.value))
        return result

    def drop(self, link: Link) -> None:
        """See `Transport.drop`."""
        self._pending = [
            event
            for event in self._pending
            if not (isinstance(event, LinkEvent) and event.link == link)
        ]
        now_ms = _monotonic_ms()
        dialled = self._dialled.get(link)
        if dialled is not None:
            dialled.note_end(now_ms)
            dialled.close()
            self._changed(dialled, [])
        elif self._listener is not None and link in self._listener:
            self._listener.drop(link, now_ms)

    def poll(self, timeout_ms: int | None) -> list[TransportEvent]:
        """See `Transport.poll`."""
        self._require_open()
        until_ms = None if timeout_ms is None else _monotonic_ms() + timeout_ms
        while True:
            if self._is_watch_stale:
                self._watch()
            ready = dict(self._poller.poll(self._wait_ms(until_ms)))
            now_ms = _monotonic_ms()
            is_woken = self._woken_by in ready
            events = self._take(ready, now_ms, is_woken=is_woken)
            is_over = until_ms is not None and now_ms >= until_ms
            if events or is_over or is_woken:
                return events

    def wake(self) -> None:
        """See `Transport.wake`."""
        self._wakeup.set()

    def close(self) -> None:
        """See `Transport.close`."""
        for dialled in self._dialled.values():
            dialled.close()
        self._dialled.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._guard is not None:
            self._guard.close()
        self._context.term()
        self._arrivals.close()
        self._wakeup.close()

    def _require_open(self) -> None:
        if self._context.closed:
            raise InvalidStateError("the transport is closed; make another one")

    def _next_link(self) -> Link:
        return Link(next(self._numbers))

    def _changed(self, dialled: Dialled, events: list[TransportEvent]) -> list[TransportEvent]:
        """Account for a link that may have changed; pass its events through."""
        if dialled.stage is Stage.DOWN:
            del self._dialled[dialled.link]
        self._is_watch_stale = True
        return events

    def _watch(self) -> None:
        """Make the poller anew, which is easier to get right than to amend."""
        self._poller = zmq.Poller()
        self._poller.register(self._woken_by, zmq.POLLIN)
        if self._arriving is not None:
            self._poller.register(self._arriving, zmq.POLLIN)
        if self._guard is not None:
            self._poller.register(self._guard.gate.socket, zmq.POLLIN)
        self._sources = {}
        self._stepping = {}
        if self._listener is not None:
            self._poller.register(self._listener.callers.monitor, zmq.POLLIN)
            self._poller.register(self._listener.socket, zmq.POLLIN)
            self._sources[self._listener.socket] = self._listener
        for dialled in self._dialled.values():
            for item, flags in dialled.watched:
                self._poller.register(item, flags)
                if item is dialled.socket:
                    self._sources[item] = dialled
                else:
                    self._stepping[item] = dialled
        self._is_watch_stale = False

    def _wait_ms(self, until_ms: int | None) -> int | None:
        """How long to poll: not if something is pending, else to the caller's or a link's time."""
        if self._pending:
            return 0
        times = [until_ms, *(link.deadline_ms for link in self._dialled.values())]
        if self._guard is not None:
            times.append(self._guard.due_ms)
        self._look_ms = None
        if self._is_look_needed():
            self._look_ms = self._looked_ms + self._look_interval_ms(_monotonic_ms())
            times.append(self._look_ms)
        first_ms = min((time_ms for time_ms in times if time_ms is not None), default=None)
        return None if first_ms is None else max(0, first_ms - _monotonic_ms())

    def _take(
        self, ready: Collection[Socket | int], now_ms: int, *, is_woken: bool
    ) -> list[TransportEvent]:
        """Take what is pending, what has happened to links, then what has arrived on them."""
        events, self._pending = self._pending, []
        if is_woken:
            self._wakeup.clear()
            events += self._take_answers(now_ms)
        if len(ready) > is_woken:
            self._is_stirred = True
            if self._arriving in ready:
                self._arrivals.clear()
        if self._guard is not None:
            # Before messages, so that none is taken from somebody who was just sent away.
            is_asked = self._guard.gate.socket in ready
            events += self._mind_keys(self._guard, now_ms, is_asked=is_asked)
        if self._listener is not None and self._listener.callers.monitor in ready:
            self._listener.follow(now_ms)
        sources: deque[Listener | Dialled] = deque()
        # Each link once: a second step would ask a probe that has only just begun.
        stepping: dict[Dialled, None] = {}
        for item in ready:
            if (source := self._sources.get(item)) is not None:
                sources.append(source)
            elif (link := self._stepping.get(item)) is not None:
                stepping[link] = None
        for link in self._dialled.values():
            if link.is_due(now_ms):
                stepping[link] = None
        for dialled in stepping:
            if dialled.stage is not Stage.DOWN:  # it may have been cut off in this very turn
                events += self._changed(dialled, dialled.step(now_ms))
        events += self._take_messages(sources, now_ms)
        if self._look_ms is not None and now_ms >= self._look_ms:
            events += self._look(now_ms)
        return events

    def _look(self, now_ms: int) -> list[TransportEvent]:
        """Look for who stuffs libzmq, or stays for nothing."""
        events: list[TransportEvent] = []
        self._looked_ms = now_ms
        is_drained, self._is_drained = self._is_drained, False
        self._is_stirred = not is_drained
        made: dict[Intake, Link | None] = {
            dialled.intake: dialled.link
            for dialled in self._dialled.values()
            if dialled.intake is not None
        }
        came: dict[Intake, Link | None] = {}
        went_round = False
        if self._listener is not None:
            self._listener.callers.tidy(now_ms)
            came = self._listener.intakes()
            went_round = self._listener.went_round()
        intakes = made | came
        # Before the look: what comes after it is told of, also when libzmq has read it by then.
        self._arrivals.expect(intake.connection for intake in intakes)
        if is_drained or not went_round:
            guilty = stuffed([*made, *came], is_drained=is_drained)
        else:
            guilty = stuffed(came, is_drained=True) + stuffed(made, is_drained=False)
        for intake in guilty:
            link = intakes[intake]
            if link is not None:
                events.append(Refused(link, ENDLESS))
            if link in self._dialled:
                intake.connection.sever()
            elif self._listener is not None:
                self._listener.callers.cut(intake, "" if link else ENDLESS)
        if self._listener is not None:
            events += self._listener.callers.told(now_ms)
        self._is_anyone_suspected = any(intake.is_suspected for intake in intakes)
        return events

    def _is_look_needed(self) -> bool:
        """Whether a look may find anything: not while all connections are known and quiet."""
        return (
            self._is_stirred
            or self._is_anyone_suspected
            or (self._listener is not None and self._listener.callers.is_anyone_awaited())
        )

    def _look_interval_ms(self, now_ms: int) -> int:
        """How long after a look to look again."""
        is_soon = self._is_anyone_suspected or (
            self._listener is not None and self._listener.callers.is_anyone_new(now_ms)
        )
        return SUSPECT_INTERVAL_MS if is_soon else LOOK_INTERVAL_MS

    def _mind_keys(self, guard: Guard, now_ms: int, *, is_asked: bool) -> list[TransportEvent]:
        """Look who is trusted now, cut off who is not any more, and answer who wants to come in."""
        change = guard.reread(now_ms)
        events = [] if change is None else [*self._cut_off(guard, change), change]
        return events + guard.answer(now_ms) if is_asked else events

    def _cut_off(self, guard: Guard, change: TrustChanged) -> list[TransportEvent]:
        """End the links of those who are trusted no more, and of those who have another key."""
        links: list[Link] = []
        if self._listener is not None:
            links = self._listener.of_nodes(change.removed)
            for link in links:
                self._listener.cut(link)
        for dialled in list(self._dialled.values()):
            if dialled.credentials is not None and not guard.is_valid(dialled.credentials):
                links.append(dialled.link)
                dialled.close()
                self._changed(dialled, [])
        return [LinkDown(link, REVOKED) for link in links]

    def _take_answers(self, now_ms: int) -> list[TransportEvent]:
        """Connect the links whose names have been looked up."""
        events: list[TransportEvent] = []
        for answer in self._resolver.answers():
            waiting = [
                dialled
                for dialled in self._dialled.values()
                if dialled.stage is Stage.RESOLVING and dialled.name == (answer.host, answer.port)
            ]
            if not waiting:
                self._resolver.keep(answer)
            for dialled in waiting:
                events += self._changed(dialled, dialled.connect(answer.addresses, now_ms))
        return events

    def _take_messages(
        self, sources: deque[Listener | Dialled], now_ms: int
    ) -> list[TransportEvent]:
        """Take messages in turn, until there are none, or enough."""
        # Another one begins each time, so that reaching the limit is nobody's lot for good.
        self._turns += 1
        sources.rotate(self._turns)
        events: list[TransportEvent] = []
        messages = size = 0
        while sources:
            source = sources.popleft()
            for _ in range(source.share):
                if messages == MESSAGES_PER_POLL_MAX or size >= BYTES_PER_POLL_MAX:
                    return events
                try:
                    taken = source.receive(now_ms)
                except zmq.Again:
                    break
                messages += 1
                for event in taken:
                    events.append(event)
                    if isinstance(event, Received):
                        size += len(event.payload)
                if not source.has_more():
                    break
            else:
                sources.append(source)
        self._is_drained = True
        if self._listener is not None:
            self._listener.callers.drained(now_ms)
        return events


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000

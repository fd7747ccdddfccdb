"""Pairs a node with another one over a connection of its own, while a person looks on.

The window (`security/window.py`) says what to do, and here it is done: frames go over a transport
without security, since nothing that is said is secret, and the other's key is written into the list
of trusted ones, which a running node reads again within a second. The node's log is not touched.
"""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

from softadastra.errors import AlreadyExistsError, StorageError, StoreError, TransportError
from softadastra.networking import own_keys
from softadastra.options import ClientOptions
from softadastra.security.exchange import Party, Role
from softadastra.security.introductions import HASH_BYTES
from softadastra.security.trust_file import TrustFile
from softadastra.security.window import (
    Action,
    Closed,
    Drop,
    Failed,
    Paired,
    Pin,
    Say,
    Send,
    Show,
    Window,
)
from softadastra.transport.links import (
    Link,
    LinkDown,
    LinkUp,
    Received,
    SendResult,
    Transport,
    TransportEvent,
)

__all__ = ["Meeting", "PairingFailedError", "Person", "WindowClosedError", "pair"]

LOOK_INTERVAL_MS: Final = 50
"""How often to look whether the person has typed something: nobody notices less."""

REDIAL_INTERVAL_MS: Final = 500
"""Who dials may be earlier than the window over there."""


class PairingFailedError(TransportError):
    """Nothing was trusted: one of the two refused, or could not go on."""


class WindowClosedError(PairingFailedError):
    """Nothing was trusted: the window's time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Where and for how long a window is open."""

    role: Role
    host: str
    """Where to listen, or whom to dial."""
    port: int
    """0: a free one, to listen on."""
    seconds: float


class Person(Protocol):
    """Whoever opened the window, and looks at it."""

    def opened(self, me: Party, port: int) -> None:
        """The window is open: at this port, or to the one that is dialled."""

    def shown(self, other: Party, code: str) -> None:
        """Somebody asks to pair; its node has to show this code too."""

    def told(self, words: str) -> None:
        """Something has happened."""

    def typed(self) -> str | None:
        """Give a line that was typed, without waiting; None when there is none."""


def pair(options: ClientOptions, meeting: Meeting, person: Person) -> Paired:
    """Open a window, and wait until a node was paired in it.

    The node's key pair is made when there is none. Whatever interrupts this, as Ctrl-C, the other
    node is told that nobody is here any more.

    Raises:
        WindowClosedError: its time was over; nothing was trusted.
        PairingFailedError: one of the two refused, or the connection was lost; nothing was trusted.
        TransportError: the address cannot be bound, or this libzmq has no CURVE.
        StoreError, StorageError: the key pair or the list of trusted keys cannot be used.
    """
    from softadastra.transport.zeromq import ZeroMQTransport

    me = Party(options.node_id, own_keys(options).public)
    file = TrustFile(options.resolved_trust_path())
    window = Window(
        me,
        meeting.role,
        trusted=file.load(),
        closes_ms=_now_ms() + round(meeting.seconds * 1000),
        draw=lambda: secrets.token_bytes(HASH_BYTES),
    )
    with closing(ZeroMQTransport()) as transport:
        run = _Run(window, transport, meeting, file, person)
        try:
            person.opened(me, run.begin())
            return run.until_closed()
        finally:
            run.leave()


class _Run:
    """A window that is open."""

    def __init__(
        self,
        window: Window,
        transport: Transport,
        meeting: Meeting,
        file: TrustFile,
        person: Person,
    ) -> None:
        self._window = window
        self._transport = transport
        self._meeting = meeting
        self._file = file
        self._person = person
        self._redial_ms: int | None = None
        """When to dial again; None: the link is there, or others dial."""
        self._has_told_of_waiting = False

    def begin(self) -> int:
        """Listen, or dial; give the port."""
        host, port = self._meeting.host, self._meeting.port
        if self._meeting.role is Role.LISTENER:
            return self._transport.bind(host, port)
        self._transport.dial(host, port)
        return port

    def until_closed(self) -> Paired:
        """Do what the window asks for until it is closed."""
        while True:
            for event in self._transport.poll(LOOK_INTERVAL_MS):
                self._take(event)
            while (line := self._person.typed()) is not None:
                self._window.answer(line)
            now_ms = _now_ms()
            if self._redial_ms is not None and now_ms >= self._redial_ms:
                self._redial_ms = None
                self.begin()
            self._window.tick(now_ms)
            paired = self._do_all()
            if paired is not None:
                return paired

    def leave(self) -> None:
        """Refuse whoever is still there."""
        if not self._window.is_closed:
            self._window.leave()
            self._do_all()

    def _take(self, event: TransportEvent) -> None:
        match event:
            case LinkUp(link):
                self._window.up(link)
            case Received(link, frame):
                self._window.received(link, frame)
            case LinkDown(link, reason):
                self._window.down(link, reason)
                self._wait(reason)
            case _:  # what breaks the transport's rules is thrown away, and a stranger is no news
                return

    def _wait(self, reason: str) -> None:
        """Dial again soon, if this is who dials."""
        if self._meeting.role is Role.LISTENER:
            return
        self._redial_ms = _now_ms() + REDIAL_INTERVAL_MS
        if not self._has_told_of_waiting:
            self._has_told_of_waiting = True
            place = f"{self._meeting.host}:{self._meeting.port}"
            self._person.told(f"No window at {place} yet ({reason}). Waiting for it.")

    def _do_all(self) -> Paired | None:
        paired = None
        while actions := self._window.take():
            for action in actions:
                paired = self._do(action) or paired
        return paired

    def _do(self, action: Action) -> Paired | None:
        match action:
            case Send(link, frame):
                if self._transport.send(Link(link), frame) is SendResult.GONE:
                    self._window.down(link, "gone")
            case Drop(link):
                self._transport.drop(Link(link))
            case Show(other, code):
                self._person.shown(other, code)
            case Say(words):
                self._person.told(words)
            case Pin(link, other):
                self._pin(link, other)
            case Paired():
                return action
            case Closed():
                raise WindowClosedError(
                    f"the window was closed after {self._meeting.seconds:g} s: nothing was trusted;"
                    " open one on both nodes at the same time"
                )
            case Failed(words):
                raise PairingFailedError(f"not paired, nothing was trusted: {words}")
        return None

    def _pin(self, link: int, other: Party) -> None:
        try:
            self._file.trust(*other)
        except (AlreadyExistsError, StoreError, StorageError) as error:
            self._window.unpinned(link, error.message)
        else:
            self._window.pinned(link, _now_ms())


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

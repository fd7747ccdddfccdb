"""One link that this node dials, from the attempt to its end.

    RESOLVING    a name is being looked up
    CONNECTING   a DEALER dials one address after the other
    HANDSHAKING  TCP is connected, ZMTP is not
    PROBING      no address let us in: a plain TCP connection finds out why
    UP           frames flow
    DOWN         ended, for good

libzmq's monitor tells what happens to a connection, but not everything: a peer that speaks
ZMTP 1.0, as any web server seems to, shakes no hands and reports nothing, and a TCP socket
that cannot be made is not reported either. So each stage but UP has a deadline here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum

import zmq

from softadastra.transport.addresses import Address
from softadastra.transport.curve import Credentials
from softadastra.transport.dealer import Dealer, Happening
from softadastra.transport.guard import DialFault, Guard
from softadastra.transport.intake import Intake
from softadastra.transport.links import (
    DownReason,
    Link,
    LinkDown,
    LinkUp,
    SendResult,
    TransportEvent,
)
from softadastra.transport.probe import Probe, reason_of
from softadastra.transport.severing import Connection
from softadastra.transport.sockets import (
    HANDSHAKE_TIMEOUT_MS,
    Context,
    Socket,
    is_readable,
    read_payload,
)

__all__ = ["CONNECT_TIMEOUT_MS", "Dialled", "Stage", "Watched"]

CONNECT_TIMEOUT_MS = 5_000
"""For finding addresses and connecting to one, all together; and once more for a probe.

Linux gives up on a neighbour that is switched off after 3 s, which is then the reason given.
"""

ADDRESSES_MAX = 4
"""Addresses of a name that are tried; each gets an equal share of the time that is left."""

_MECHANISM_MISMATCH = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
"""Why a handshake failed: one side has security, the other has not. Whichever notices first hangs
up, so the other one may not hear of it."""

Watched = tuple["Socket | int", int]
"""What to poll, a ZeroMQ socket or a descriptor, and for which of zmq.POLLIN and zmq.POLLOUT."""


class Stage(Enum):
    """How far a dialled link has come; the module's docstring says what each means."""

    RESOLVING = "resolving"
    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    PROBING = "probing"
    UP = "up"
    DOWN = "down"


class Dialled:
    """A link that this node dials.

    Call `step` when something of `watched` but the DEALER itself is ready, or at the
    deadline; call `receive` when the DEALER is ready.

    Args:
        context: the node's ZeroMQ context.
        link: its number.
        name: the host and port that were asked for.
        security: the guard, and with what to dial; None: without security.
        now_ms: the monotonic time, as in every call here.
    """

    __slots__ = (
        "_addresses",
        "_connect_by_ms",
        "_context",
        "_dealer",
        "_guard",
        "_probe",
        "credentials",
        "deadline_ms",
        "intake",
        "link",
        "name",
        "stage",
    )

    share = 1
    """One link takes turns here, as `Listener.share` counts them."""

    def __init__(
        self,
        context: Context,
        link: Link,
        name: tuple[str, int],
        security: tuple[Guard, Credentials] | None,
        now_ms: int,
    ) -> None:
        self._context = context
        self._guard: Guard | None = None
        self.credentials: Credentials | None = None
        if security is not None:
            self._guard, self.credentials = security
        self.link = link
        self.name = name
        self.stage = Stage.RESOLVING
        self._connect_by_ms = now_ms + CONNECT_TIMEOUT_MS
        self.deadline_ms: int | None = self._connect_by_ms
        """When `step` is due although nothing happened; None when UP or DOWN."""
        self._addresses: deque[Address] = deque()
        self._dealer: Dealer | None = None
        """Invariant: set when CONNECTING, HANDSHAKING or UP, and only then."""
        self._probe: Probe | None = None
        """Invariant: set when PROBING, and only then."""
        self.intake: Intake | None = None
        """What comes over the connection, when there is one."""

    @property
    def socket(self) -> Socket | None:
        """The DEALER to receive from, once the link is up."""
        return self._dealer.socket if self._dealer and self.stage is Stage.UP else None

    @property
    def watched(self) -> list[Watched]:
        """What the poller has to watch for this link now.

        The DEALER only joins when the link is up: a frame cannot overtake `LinkUp` then.
        """
        watched: list[Watched] = []
        if self._dealer is not None:
            watched.append((self._dealer.monitor, zmq.POLLIN))
        if self.socket is not None:
            watched.append((self.socket, zmq.POLLIN))
        if self._probe is not None:
            watched.append((self._probe.fileno(), zmq.POLLOUT))
        return watched

    def connect(self, addresses: Iterable[Address], now_ms: int) -> list[TransportEvent]:
        """Begin to connect, now that the addresses are known."""
        self._addresses = deque(list(addresses)[:ADDRESSES_MAX])
        if not self._addresses:
            return self._end(DownReason.NAME_NOT_RESOLVED)
        return self._attempt(now_ms)

    def step(self, now_ms: int) -> list[TransportEvent]:
        """Take in what has happened to the connection, or that its time is up."""
        match self.stage:
            case Stage.RESOLVING:
                return self._end(DownReason.NAME_NOT_RESOLVED)
            case Stage.CONNECTING | Stage.HANDSHAKING | Stage.UP:
                return self._follow(now_ms)
            case Stage.PROBING:
                assert self._probe is not None
                is_late = self.is_due(now_ms)
                return self._end(DownReason.TIMED_OUT if is_late else self._probe.reason())
            case Stage.DOWN:
                return []

    def is_due(self, now_ms: int) -> bool:
        """Whether the deadline has passed."""
        return self.deadline_ms is not None and now_ms >= self.deadline_ms

    def receive(self, _now_ms: int) -> tuple[TransportEvent, ...]:
        """Take the next message.

        Raises:
            zmq.Again: there is none, or the link went down since the poller looked.
        """
        if self._dealer is None:
            raise zmq.Again
        frame = self._dealer.socket.recv(zmq.NOBLOCK, copy=False)
        if self.intake is not None:
            self.intake.heard(len(frame))
        return (read_payload(self._dealer.socket, frame, self.link),)

    def has_more(self) -> bool:
        """Whether there is another message: asked in a quarter of the time of `zmq.Again`."""
        return self._dealer is not None and is_readable(self._dealer.socket)

    def send(self, payload: bytes) -> SendResult:
        """Hand a frame to libzmq."""
        if self.socket is None:
            return SendResult.FULL
        try:
            self.socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return SendResult.FULL
        return SendResult.SENT

    def note_end(self, now_ms: int) -> None:
        """Tell the guard that a connection ends, if there was one."""
        if self.stage is Stage.UP and self._guard is not None and self.credentials is not None:
            self._guard.ended(self.credentials.node_id, now_ms)

    def close(self) -> None:
        """Disconnect, or give the attempt up."""
        if self._dealer is not None:
            self._dealer.close()
        if self._probe is not None:
            self._probe.close()
        self._dealer = self._probe = self.intake = None
        self.stage = Stage.DOWN
        self.deadline_ms = None

    def _follow(self, now_ms: int) -> list[TransportEvent]:
        """Advance by what the monitor has to tell."""
        assert self._dealer is not None
        events: list[TransportEvent] = []
        for happening in self._dealer.happenings():
            match happening.event:
                case zmq.Event.CONNECTED:
                    self.stage = Stage.HANDSHAKING
                    connection = Connection.made(happening.value, self._dealer.address.port)
                    self.intake = Intake(connection) if connection else None
                    self.deadline_ms = now_ms + HANDSHAKE_TIMEOUT_MS
                case zmq.Event.HANDSHAKE_SUCCEEDED:
                    self.stage = Stage.UP
                    self.deadline_ms = None
                    address = str(self._dealer.address)
                    name = self.credentials.node_id if self.credentials else ""
                    events.append(LinkUp(self.link, dialled=True, address=address, node_id=name))
                case zmq.Event.CLOSED:
                    return self._attempt_failed(None, now_ms)
                case zmq.Event.DISCONNECTED if self.stage is Stage.UP:
                    self.note_end(now_ms)
                    events += self._drained(now_ms)
                    return events + self._end(DownReason.CONNECTION_CLOSED)
                case _:
                    return self._handshake_failed(happening, now_ms)
        if self.is_due(now_ms):
            is_connected = self.stage is Stage.HANDSHAKING
            reason = DownReason.HANDSHAKE_FAILED if is_connected else DownReason.TIMED_OUT
            return self._attempt_failed(reason, now_ms)
        return events

    def _handshake_failed(self, happening: Happening, now_ms: int) -> list[TransportEvent]:
        """Say why, as far as libzmq tells."""
        assert self._dealer is not None
        if self._guard is None or self.credentials is None:
            is_asked = happening.value == _MECHANISM_MISMATCH
            known = DownReason.SECURITY_ASKED if is_asked else DownReason.HANDSHAKE_FAILED
            return self._attempt_failed(known, now_ms)
        # A server whose key is another one cannot read what it is sent, and hangs up.
        is_refused = happening.event is zmq.Event.HANDSHAKE_FAILED_AUTH
        fault = DialFault.NOT_TRUSTED if is_refused else DialFault.NOT_PROVED
        address = self._dealer.address
        words, told = self._guard.dial_failed(fault, self.credentials, address, now_ms)
        return told + self._attempt_failed(words, now_ms)

    def _drained(self, now_ms: int) -> list[TransportEvent]:
        """Take what came in before the connection ended: at most a full queue."""
        events: list[TransportEvent] = []
        while True:
            try:
                events += self.receive(now_ms)
            except zmq.Again:
                return events

    def _attempt(self, now_ms: int) -> list[TransportEvent]:
        """Dial the next address."""
        share_ms = (self._connect_by_ms - now_ms) // len(self._addresses)
        address = self._addresses.popleft()
        self.close()
        try:
            name = f"{self.link}-{len(self._addresses)}"
            self._dealer = Dealer(self._context, address, name, self.credentials)
        except zmq.ZMQError as error:
            return self._end(reason_of(error.errno or 0))
        self.stage = Stage.CONNECTING
        self.deadline_ms = now_ms + share_ms
        return []

    def _attempt_failed(self, reason: str | None, now_ms: int) -> list[TransportEvent]:
        """Go on to the next address, or find out the reason when it is not known."""
        if self._addresses and now_ms < self._connect_by_ms:
            return self._attempt(now_ms)
        if reason is not None:
            return self._end(reason)
        assert self._dealer is not None
        address = self._dealer.address
        self.close()
        try:
            self._probe = Probe(address)
        except OSError as error:
            return self._end(reason_of(error.errno or 0))
        if not self._probe.is_pending:
            return self._end(self._probe.reason())
        self.stage = Stage.PROBING
        self.deadline_ms = now_ms + CONNECT_TIMEOUT_MS
        return []

    def _end(self, reason: str) -> list[TransportEvent]:
        self.close()
        return [LinkDown(self.link, str(reason))]

"""The transport's port: frames of bytes over links, and what happens to the links.

A link is one connection. It gets a number when it is dialled, or when its first message
comes in, and that number is never used again: a peer that comes back has a new link. A
link that is down stays down; the caller dials again when it wants to, because only the
caller knows how long to wait.

Nothing here counts as delivery. `SendResult.SENT` says that a frame is on its way; frames
on a link arrive in order, each at most once, and a link that goes down takes with it what
was not polled at the other side. Only an acknowledgement of the peer says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NewType, Protocol, TypeAlias

__all__ = [
    "FRAME_BYTES_MAX",
    "AuthFailed",
    "CallerCut",
    "DownReason",
    "Link",
    "LinkDown",
    "LinkEvent",
    "LinkUp",
    "Received",
    "Refused",
    "SendResult",
    "Transport",
    "TransportEvent",
    "TrustChanged",
]

FRAME_BYTES_MAX = 1_310_720
"""The longest payload, 1.25 MiB: a batch of 1 MiB and room for what surrounds it."""

Link = NewType("Link", int)
"""One connection, from its first sign of life to its end; numbered from 1, never reused."""


class DownReason(StrEnum):
    """Why a link is down, in the words that people read.

    The system's own words stand in `LinkDown.reason` where none of these fits, as "too
    many open files"; and of a transport with security words that begin with "auth_failed: ".
    """

    CONNECTION_REFUSED = "connection refused"
    """Dialled: the host is there, and nothing listens on the port."""
    HOST_UNREACHABLE = "host unreachable"
    """Dialled: no route to the host, or it does not answer on its network."""
    TIMED_OUT = "timed out"
    """Dialled: nothing answered within the time for connecting."""
    NAME_NOT_RESOLVED = "name not resolved"
    """Dialled: the host name has no address, or none was found in time."""
    HANDSHAKE_FAILED = "handshake failed"
    """Dialled: something answered, but it is not a node, is silent, or turned us away."""
    SECURITY_ASKED = "auth_failed: a node that asks for a key answered, and this one has none"
    """Dialled without security: the peer has it. Set security="curve" here."""
    CONNECTION_CLOSED = "connection closed"
    """Dialled: the connection was made, then ended by the peer or the network."""
    GONE = "gone"
    """Inbound: a send found the connection ended."""
    TURNED_AWAY = "turned away"
    """Inbound: the peer's first message showed that it is no node; see the `Refused` before."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Frames can be sent on a link.

    A dialled link comes up when its handshake succeeded, an inbound one with its first
    message, which follows as the next event.
    """

    link: Link
    dialled: bool
    """Whether this side dialled."""
    address: str
    """Dialled: the numeric "host:port" that answered. Inbound: the peer's IP address alone."""
    node_id: str = ""
    """Whose key the peer has proved to have; empty without security."""


@dataclass(frozen=True, slots=True)
class Received:
    """A frame came in."""

    link: Link
    payload: bytes
    """1 to FRAME_BYTES_MAX bytes, unchecked otherwise."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link has ended; its number is known no more. Each link ends at most once."""

    link: Link
    reason: str
    """One of `DownReason`, or other words as it says."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message broke the transport's rules and was thrown away; the link stays up.

    The peer misbehaves. Whether to drop the link is the caller's decision.
    """

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """Somebody is not who was expected, or is a stranger. Told now and then, not each time."""

    peer: str
    """Who was dialled; empty when somebody wanted to come in."""
    address: str
    """As in `LinkUp`; empty when nobody was asked."""
    reason: str
    """What kind of failure, in a word, as "stranger"."""
    seen: str
    """The fingerprint of the key that was shown; empty when none was."""
    expected: str
    """The fingerprint of the key that counts; empty when none does."""
    count: int
    """How often it happened since it was last told."""


@dataclass(frozen=True, slots=True)
class TrustChanged:
    """The list of trusted keys is another one. Links of those who left it are down already."""

    added: tuple[str, ...]
    """Node ids that are trusted now, or have another key."""
    removed: tuple[str, ...]
    """Node ids that are trusted no more, or have another key."""
    problem: str
    """Why nobody is trusted; empty when the list can be used."""


@dataclass(frozen=True, slots=True)
class CallerCut:
    """Connections that came in were ended, though no link was known of them. Told now and then."""

    address: str
    """The IP address that they came from; empty: of several."""
    reason: str
    """In words, as "silent"."""
    count: int
    """How many since that was last told."""


LinkEvent: TypeAlias = LinkUp | Received | LinkDown | Refused
"""What happens to one link."""

TransportEvent: TypeAlias = LinkEvent | AuthFailed | TrustChanged | CallerCut


class SendResult(Enum):
    """What became of a frame that was handed to `Transport.send`."""

    SENT = "sent"
    """Taken; it leaves in order, or is lost with the link."""
    FULL = "full"
    """Not taken: the link is not up yet, or the peer does not read. Try again later."""
    GONE = "gone"
    """Not taken: the link is down, or was dropped. It never comes back."""


class Transport(Protocol):
    """Links to other nodes, driven by one thread.

    One thread calls everything here; only `wake()` is for any thread. No call blocks but
    `poll()`, which is also the only source of events.
    """

    def bind(self, host: str, port: int) -> int:
        """Accept links from other nodes. At most once.

        Args:
            host: a numeric address ("127.0.0.1", "::1", "[::1]", "0.0.0.0") or a name.
            port: 0 to 65535; 0 lets the system pick.

        Returns:
            The port that is bound.

        Raises:
            TransportError: the address cannot be bound; the message says why and what to
                do, with "address in use" for a port that is taken. Another try is allowed.
            InvalidStateError: bound already, or closed.
        """

    def dial(self, host: str, port: int, node_id: str = "") -> Link:
        """Begin to connect to a node; `LinkUp` or `LinkDown` follows.

        An address that does not exist or does not answer is no error here.

        Args:
            host: as for `bind`. A name is resolved aside, and its addresses are tried in
                turn.
            port: 1 to 65535.
            node_id: who is to answer. With security it has to prove its key; without, this
                says nothing.

        Raises:
            InvalidStateError: the transport is closed.
        """

    def send(self, link: Link, payload: bytes) -> SendResult:
        """Hand over one frame, without blocking.

        Args:
            link: from `dial` or `LinkUp`.
            payload: 1 to FRAME_BYTES_MAX bytes.
        """

    def drop(self, link: Link) -> None:
        """End a link: no further event tells of it, and sends on it are `GONE`.

        A dialled link is disconnected, and what was sent before still leaves where the
        connection takes it at once. An inbound link is forgotten, and what it goes on sending
        is thrown away; a second later its connection is ended, if its dialler did not. A link
        that is down already is no error.
        """

    def poll(self, timeout_ms: int | None) -> list[TransportEvent]:
        """Wait for something to happen, then take what has arrived.

        The amount is bounded and shared fairly between links; what is left comes with the
        next call.

        Args:
            timeout_ms: how long to wait; 0 does not wait, None waits without end.

        Returns:
            The events, in order for each link. Empty after `wake()`, after the timeout, and
            when what happened concerns no caller, as a message on a dropped link.

        Raises:
            InvalidStateError: the transport is closed.
        """

    def wake(self) -> None:
        """Make the running `poll()`, or the next one, return at once. From any thread.

        Any number of calls before a `poll()` returns cost one return. Does nothing after
        `close()`.
        """

    def close(self) -> None:
        """End all links at once, without waiting for what is unsent. Idempotent."""

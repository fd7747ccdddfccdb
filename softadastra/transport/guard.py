"""What a transport with security asks: with which keys to dial, who has come in, and who may stay.

Every failure has a name, "auth_failed", and says which key was expected and which was seen, as
fingerprints. Two things cannot be seen: a server's key, which CURVE never shows to a client that
expected another one; and who a stranger says that it is, before it is let in. When one key alone
has knocked from the host that did not prove its own, that one is named.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

import zmq

from softadastra.security.keyring import Keyring
from softadastra.security.keys import KeyPair, PublicKey
from softadastra.security.repeats import TELL_INTERVAL_MS, Repeats
from softadastra.transport.addresses import Address
from softadastra.transport.curve import Credentials
from softadastra.transport.gate import Gate
from softadastra.transport.links import AuthFailed, TransportEvent, TrustChanged
from softadastra.transport.sockets import Context

__all__ = ["NOBODY", "REVOKED", "DialFault", "Guard"]

NOBODY: Final = ""
"""The name of whoever is not let in."""

REVOKED: Final = "auth_failed: its key is not trusted here any more"
"""Why a connection is cut when the list of trusted keys changes."""

REREAD_INTERVAL_MS: Final = 1_000
"""How soon a change of the list counts. Reading a small file takes some 20 µs."""

QUESTIONS_PER_POLL_MAX: Final = 64
"""Those who want to come in wait for their turn, not the others for them."""

STRANGERS_MAX: Final = 256
"""Strangers that are remembered, the least recent one out first."""


LEAVING_MS: Final = 1_000
"""How long after a connection with a node has ended it may be about to close: who dials it again at
once meets a port that is open still, and a handshake that nobody goes on with."""


class DialFault(Enum):
    """Why a node that was dialled did not come about, as far as the handshake tells."""

    NOT_TRUSTED = "not_trusted"
    """It has refused this node's key."""
    NOT_PROVED = "not_proved"
    """It ended the handshake, as who has another key than was expected, or no security."""


class Guard:
    """Keeps strangers out of one transport. For the transport's thread.

    Args:
        context: the node's ZeroMQ context.
        keyring: the node's keys.
        now_ms: the monotonic time, as in every call here.
    """

    __slots__ = ("_dials", "_ended", "_keyring", "_knocks", "_strangers", "due_ms", "gate")

    def __init__(self, context: Context, keyring: Keyring, now_ms: int) -> None:
        self._keyring = keyring
        self._dials = Repeats()
        self._knocks = Repeats()
        """Apart, so that strangers cannot use up what is told of those who are dialled."""
        self._strangers: OrderedDict[tuple[str, PublicKey], int] = OrderedDict()
        """Address and key -> when it was last here."""
        self._ended: dict[str, int] = {}
        """Node id -> when the last connection ended with who had proved its key. Of those alone who
        are trusted."""
        self.gate = Gate(context, keyring)
        self.due_ms = now_ms + REREAD_INTERVAL_MS
        """When to `reread`."""

    @property
    def own(self) -> KeyPair:
        """The node's key pair."""
        return self._keyring.own

    def credentials(self, node_id: str) -> Credentials | None:
        """Give with what to dial a node; None when its key is not known here."""
        expected = self._keyring.key_of(node_id)
        return None if expected is None else Credentials(self._keyring.own, node_id, expected)

    def is_valid(self, credentials: Credentials) -> bool:
        """Whether these are still those of the node."""
        return self._keyring.key_of(credentials.node_id) == credentials.expected

    def node_of(self, frame: zmq.Frame) -> str:
        """Give the node that sent a frame, as its connection has proved; `NOBODY` for others."""
        try:
            user = str(frame.get("User-Id"))
            return self._keyring.node_of(PublicKey(bytes.fromhex(user))) or NOBODY
        except (zmq.ZMQError, ValueError):  # the connection has proved nothing
            return NOBODY

    def ended(self, node_id: str, now_ms: int) -> None:
        """Note that a connection has ended with a node that had proved its key."""
        self._ended[node_id] = now_ms

    def answer(self, now_ms: int) -> list[TransportEvent]:
        """Answer who wants to come in; tell of strangers."""
        told: list[TransportEvent] = []
        for _ in range(QUESTIONS_PER_POLL_MAX):
            try:
                knock = self.gate.answer()
            except zmq.Again:
                break
            if knock is not None and not knock.is_let_in:
                told += self._stranger(knock.address, knock.key, now_ms)
        return told

    def reread(self, now_ms: int) -> TrustChanged | None:
        """Read the list of trusted keys again, when it is time; None when it is as it was."""
        if now_ms < self.due_ms:
            return None
        self.due_ms = now_ms + REREAD_INTERVAL_MS
        change = self._keyring.reread()
        return None if change is None else TrustChanged(*change)

    def unknown(self, node_id: str, now_ms: int) -> tuple[str, list[TransportEvent]]:
        """Give why a node cannot be dialled whose key is not known, and what to tell of it."""
        words = (
            f"auth_failed: no key of {node_id!r} is trusted here; softadastra keys trust, or pair"
        )
        return words, self._tell(node_id, "", "unpinned", "", "", now_ms)

    def dial_failed(
        self, fault: DialFault, credentials: Credentials, address: Address, now_ms: int
    ) -> tuple[str, list[TransportEvent]]:
        """Give why a node did not come about, in words, and what to tell of it."""
        node_id, expected = credentials.node_id, credentials.expected.fingerprint
        seen = ""
        match fault:
            case DialFault.NOT_TRUSTED:
                seen, expected = credentials.own.public.fingerprint, ""
                words = (
                    f"auth_failed: {node_id!r} does not trust this node's key {seen}; there,"
                    " softadastra keys trust, or pair"
                )
            case DialFault.NOT_PROVED:
                seen = self._seen_from(address.host, now_ms)
                words = (
                    f"auth_failed: {address} did not prove the key of {node_id!r}: expected"
                    f" {expected}, seen {seen or 'none'}"
                )
                ended_ms = self._ended.pop(node_id, None)
                if ended_ms is not None and now_ms - ended_ms < LEAVING_MS:
                    # No news of its key; one that has another key now hangs up again.
                    return words, []
        return words, self._tell(node_id, str(address), fault.value, seen, expected, now_ms)

    def close(self) -> None:
        """Let in nobody any more."""
        self.gate.close()

    def _stranger(self, address: str, key: PublicKey, now_ms: int) -> list[TransportEvent]:
        self._strangers[address, key] = now_ms
        self._strangers.move_to_end((address, key))
        if len(self._strangers) > STRANGERS_MAX:
            self._strangers.popitem(last=False)
        count = self._knocks.note((address, key), now_ms)
        return _told(AuthFailed("", address, "stranger", key.fingerprint, "", count))

    def _seen_from(self, host: str, now_ms: int) -> str:
        """Give the one unknown key that knocked from a host of late; empty: none or several."""
        recent = {
            key
            for (address, key), last_ms in self._strangers.items()
            if address == host and now_ms - last_ms < TELL_INTERVAL_MS
        }
        return recent.pop().fingerprint if len(recent) == 1 else ""

    def _tell(
        self, peer: str, address: str, reason: str, seen: str, expected: str, now_ms: int
    ) -> list[TransportEvent]:
        count = self._dials.note((peer, address, reason, seen), now_ms)
        return _told(AuthFailed(peer, address, reason, seen, expected, count))


def _told(failure: AuthFailed) -> list[TransportEvent]:
    """Give what there is to tell of a failure: nothing, when it is not the time."""
    return [failure] if failure.count else []

"""When to dial whom: every known address that is not connected, with backoff, for ever."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from softadastra.sync.session import backoff_ms
from softadastra.types import Peer

__all__ = ["Attempt", "Dialer"]

FIRST_RETRY_MS: Final = 100
"""A restarting peer is back soon; a connection refused on a LAN costs a millisecond."""
STABLE_MS: Final = 1_000
"""A connection that has worked for so long is dialled again at once when it is lost."""


@dataclass(slots=True)
class Attempt:
    """One address and how dialling it goes."""

    peer: Peer
    link: int | None = None
    """The connection being made, or made; None when there is none."""
    due_ms: int = 0
    greeted_ms: int | None = None
    """When the peer greeted on this connection; None: it did not."""
    failures: int = 0
    """In a row; a connection that did not last is one."""
    failed_total: int = 0
    last_error: str = ""


class Dialer:
    """The addresses to be connected to.

    Args:
        retry_max_ms: the longest wait between two attempts.
        jitter: gives a number from 0 to 1.
    """

    __slots__ = ("_jitter", "_retry_max_ms", "attempts")

    def __init__(self, *, retry_max_ms: int, jitter: Callable[[], float]) -> None:
        self.attempts: dict[str, Attempt] = {}
        self._retry_max_ms = retry_max_ms
        self._jitter = jitter

    def add(self, peer: Peer, now_ms: int) -> None:
        """Dial this address from now on; a known peer's other address replaces the old one."""
        known = self.attempts.get(peer.node_id)
        if known is None or known.peer != peer:
            failed = known.failed_total if known else 0
            self.attempts[peer.node_id] = Attempt(peer, due_ms=now_ms, failed_total=failed)
        elif known.link is None:
            known.due_ms = now_ms
            known.failures = 0

    def remove(self, node_id: str) -> None:
        """Dial this peer no more."""
        self.attempts.pop(node_id, None)

    def due(self, now_ms: int, connected: Collection[str]) -> list[Attempt]:
        """Give the addresses to dial now: not connected either way, and not being dialled."""
        return [
            attempt
            for node_id, attempt in self.attempts.items()
            if attempt.link is None and attempt.due_ms <= now_ms and node_id not in connected
        ]

    def deadline(self, connected: Collection[str]) -> int | None:
        """Give when the next address is due; None when none will be."""
        return min(
            (
                attempt.due_ms
                for node_id, attempt in self.attempts.items()
                if attempt.link is None and node_id not in connected
            ),
            default=None,
        )

    def hurry(self, now_ms: int) -> None:
        """Dial all who are waited for now: what was wrong with them may be mended."""
        for attempt in self.attempts.values():
            if attempt.link is None:
                attempt.due_ms = now_ms
                attempt.failures = 0

    def of_link(self, link: int) -> Attempt | None:
        """Give the attempt that made this connection."""
        return next((a for a in self.attempts.values() if a.link == link), None)

    def lost(self, attempt: Attempt, reason: str, now_ms: int) -> None:
        """Note that a connection failed or ended.

        One that had lasted is dialled again at once. One that ends as soon as it is made (two nodes
        that cannot agree, and find out after their greetings) is dialled more and more rarely.
        """
        greeted_ms, attempt.greeted_ms = attempt.greeted_ms, None
        attempt.link = None
        attempt.last_error = reason
        if greeted_ms is None:
            attempt.failed_total += 1
        elif now_ms - greeted_ms >= STABLE_MS:
            attempt.failures = 0
            attempt.due_ms = now_ms
            return
        attempt.failures += 1
        wait = backoff_ms(FIRST_RETRY_MS, attempt.failures, self._jitter)
        attempt.due_ms = now_ms + min(wait, self._retry_max_ms)

    def connected(self, attempt: Attempt, now_ms: int) -> None:
        """Note that the peer has greeted on this connection."""
        attempt.greeted_ms = now_ms
        attempt.last_error = ""

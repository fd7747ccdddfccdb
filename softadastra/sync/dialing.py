"""When to dial whom: every known address that is not connected, with backoff, for ever.

There are two kinds of addresses, and the second one never takes anything from the first:

- An *attempt* is what people named, or what has proven to be the peer's: who answered there has
  greeted by that name. Each peer has one.
- A *candidate* is what somebody on the network says, as discovery finds it. A peer has a few, tried
  in turn. A name costs a liar nothing, so there is a limit to how many there are, to how often one
  of them is dialled, and to how many connections are made for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from softadastra.sync.session import backoff_ms
from softadastra.sync.settings import CONNECTED_MAX
from softadastra.types import Peer

__all__ = ["Attempt", "Candidate", "Dialer"]

FIRST_RETRY_MS: Final = 100
"""A restarting peer is back soon; a connection refused on a LAN costs a millisecond."""
STABLE_MS: Final = 1_000
"""A connection that has worked for so long is dialled again at once when it is lost."""

CANDIDATES_MAX: Final = 256
"""Peers that were found and may be dialled: as many as a node is to know."""
CANDIDATE_INTERVAL_MS: Final = 100
"""At most ten candidates a second are dialled: a full house of 64 peers takes six seconds, and a
flood of forged names makes no more traffic than that."""
ANNOUNCED_AGAIN_MS: Final = 1_000
"""A peer that announces itself again is dialled at once, but so long after the last time."""


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
    ended_ms: int = 0
    """When the last connection, or attempt at one, ended."""
    is_learned: bool = False
    """Whether nobody named it: it was found, and proved to be the peer's. It is tried more and more
    rarely, down to once a minute: the peer may be in another network, and whoever is found again is
    tried at once."""

    def hurry(self, now_ms: int) -> None:
        """Try it soon: the peer may be there."""
        if self.link is None:
            self.due_ms = min(self.due_ms, max(now_ms, self.ended_ms + ANNOUNCED_AGAIN_MS))

    def rest(self, until_ms: int) -> None:
        """Try it no sooner: the peer is connected in another way, so nothing is wrong with it."""
        self.due_ms = max(self.due_ms, until_ms)
        self.last_error = ""


@dataclass(slots=True)
class Candidate:
    """A peer that was found: the addresses that it is said to have, and whose turn it is."""

    addresses: tuple[Peer, ...]
    """Invariant: not empty, and all of one node id."""
    attempt: Attempt
    is_withdrawn: bool = False
    """Whether it is forgotten as soon as its connection ends."""

    def replace(self, addresses: tuple[Peer, ...], now_ms: int) -> None:
        """Take other addresses, or the same ones once more; what is new is tried first."""
        fresh = [address for address in addresses if address not in self.addresses]
        self.addresses = addresses
        self.is_withdrawn = False
        if fresh:
            self.attempt.failures = 0
        if self.attempt.link is None and (fresh or self.attempt.peer not in addresses):
            self.attempt.peer = (*fresh, *addresses)[0]
        self.attempt.hurry(now_ms)

    def turn(self, avoided: Peer | None) -> bool:
        """Go on to the next address, but not to one that is dialled anyway.

        Returns:
            Whether there is one.
        """
        left = [address for address in self.addresses if address != avoided]
        if not left:
            return False
        current = self.attempt.peer
        place = left.index(current) + 1 if current in left else 0
        self.attempt.peer = left[place % len(left)]
        return True


class Dialer:
    """The addresses to be connected to.

    Args:
        retry_max_ms: the longest wait between two attempts at what people named.
        jitter: gives a number from 0 to 1.
    """

    __slots__ = (
        "_barred",
        "_candidate_ms",
        "_jitter",
        "_left_alone",
        "_retry_max_ms",
        "attempts",
        "candidates",
    )

    def __init__(self, *, retry_max_ms: int, jitter: Callable[[], float]) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.candidates: dict[str, Candidate] = {}
        self._left_alone: set[str] = set()
        """Whom people have disconnected: not dialled because somebody finds him."""
        self._barred: dict[Peer | str, int] = {}
        """Addresses, and node ids with all of theirs, that are not dialled before this time."""
        self._candidate_ms = 0
        """When the next candidate may be dialled."""
        self._retry_max_ms = retry_max_ms
        self._jitter = jitter

    def add(self, peer: Peer, now_ms: int, *, is_learned: bool = False) -> None:
        """Dial this address from now on; a known peer's other address replaces the old one."""
        self._left_alone.discard(peer.node_id)
        known = self.attempts.get(peer.node_id)
        if known is None or known.peer != peer:
            failed = known.failed_total if known else 0
            attempt = Attempt(peer, due_ms=now_ms, failed_total=failed, is_learned=is_learned)
            self.attempts[peer.node_id] = attempt
            return
        known.is_learned = known.is_learned and is_learned
        if known.link is None:
            known.due_ms = now_ms
            known.failures = 0

    def propose(self, addresses: Sequence[Peer], now_ms: int) -> bool:
        """Let these addresses of one peer be tried, too, whenever it is not connected.

        They replace what was proposed for it before. One that is new is tried first, and soon.

        Returns:
            Whether they are taken; not when there is no room, or when people have disconnected it.
        """
        node_id = addresses[0].node_id
        if node_id in self._left_alone:
            return False
        attempt = self.attempts.get(node_id)
        if attempt is not None and attempt.peer in addresses:
            attempt.hurry(now_ms)
        known = self.candidates.get(node_id)
        if known is not None:
            known.replace(tuple(addresses), now_ms)
        elif sum(not c.is_withdrawn for c in self.candidates.values()) < CANDIDATES_MAX:
            attempt = Attempt(addresses[0], due_ms=now_ms, is_learned=True)
            self.candidates[node_id] = Candidate(tuple(addresses), attempt)
        else:
            return False
        return True

    def withdraw(self, node_id: str) -> None:
        """Try the found addresses of a peer no more; a connection to one of them goes on."""
        known = self.candidates.get(node_id)
        if known is None:
            return
        known.is_withdrawn = known.attempt.link is not None
        if not known.is_withdrawn:
            del self.candidates[node_id]

    def prove(self, attempt: Attempt) -> None:
        """Take the address of a candidate, whose peer has greeted there, for the peer's own."""
        node_id = attempt.peer.node_id
        known = self.attempts.get(node_id)
        proven = Attempt(attempt.peer, attempt.link, is_learned=True)
        proven.greeted_ms = attempt.greeted_ms
        proven.failed_total = known.failed_total if known else 0
        self.attempts[node_id] = proven
        attempt.link = attempt.greeted_ms = None
        self._end_turn(self.candidates[node_id])

    def bar(self, what: Peer | str, until_ms: int) -> None:
        """Do not dial an address, or a node id wherever it is, before this time."""
        self._barred[what] = until_ms

    def unbar(self, node_id: str) -> None:
        """Dial a node id again, and all of its addresses."""
        self._barred = {
            what: until_ms
            for what, until_ms in self._barred.items()
            if node_id != (what.node_id if isinstance(what, Peer) else what)
        }

    def remove(self, node_id: str) -> list[int]:
        """Dial this peer no more, whoever finds it, until it is added by hand.

        Returns:
            Its connections, made or being made.
        """
        self._left_alone.add(node_id)
        attempts = [attempt for attempt in self._attempts() if attempt.peer.node_id == node_id]
        self.attempts.pop(node_id, None)
        self.candidates.pop(node_id, None)
        return [attempt.link for attempt in attempts if attempt.link is not None]

    def clear(self) -> None:
        """Dial nobody any more."""
        self.attempts.clear()
        self.candidates.clear()
        self._left_alone.clear()

    def is_left_alone(self, node_id: str) -> bool:
        """Whether people have disconnected this peer, so that nobody dials it."""
        return node_id in self._left_alone

    def is_found(self, attempt: Attempt) -> bool:
        """Whether an attempt is one at a candidate."""
        candidate = self.candidates.get(attempt.peer.node_id)
        return candidate is not None and candidate.attempt is attempt

    def due(self, now_ms: int, connected: Collection[str]) -> list[Attempt]:
        """Give the addresses to dial now: not connected either way, and not being dialled.

        At most one of them is a candidate; the next one comes after CANDIDATE_INTERVAL_MS.
        """
        if self._barred:
            self._barred = {what: at_ms for what, at_ms in self._barred.items() if at_ms > now_ms}
        due = [
            attempt
            for node_id, attempt in self.attempts.items()
            if attempt.link is None and self._due_ms(attempt) <= now_ms and node_id not in connected
        ]
        if now_ms >= self._candidate_ms:
            waiting = [a for a in self._waiting(connected) if self._due_ms(a) <= now_ms]
            if waiting:
                due.append(min(waiting, key=self._due_ms))
                self._candidate_ms = now_ms + CANDIDATE_INTERVAL_MS
        return due

    def deadline(self, connected: Collection[str]) -> int | None:
        """Give when the next address is due; None when none will be."""
        times = [
            self._due_ms(attempt)
            for node_id, attempt in self.attempts.items()
            if attempt.link is None and node_id not in connected
        ]
        times += [max(self._due_ms(a), self._candidate_ms) for a in self._waiting(connected)]
        return min(times, default=None)

    def of_peer(self, node_id: str) -> Attempt | None:
        """Give how dialling a peer goes; of two ways the one that is under way."""
        candidate = self.candidates.get(node_id)
        known = self.attempts.get(node_id)
        if known is None or (candidate and candidate.attempt.link is not None):
            return candidate.attempt if candidate else known
        return known

    def hurry(self, now_ms: int) -> None:
        """Dial all who are waited for now: what was wrong with them may be mended."""
        for attempt in self._attempts():
            if attempt.link is None:
                attempt.due_ms = now_ms
                attempt.failures = 0

    def of_link(self, link: int) -> Attempt | None:
        """Give the attempt that made this connection."""
        return next((attempt for attempt in self._attempts() if attempt.link == link), None)

    def lost(self, attempt: Attempt, reason: str, now_ms: int) -> None:
        """Note that a connection failed or ended.

        One that had lasted is dialled again at once. One that ends as soon as it is made (two nodes
        that cannot agree, and find out after their greetings) is dialled more and more rarely.
        """
        greeted_ms, attempt.greeted_ms = attempt.greeted_ms, None
        attempt.link = None
        attempt.last_error = reason
        attempt.ended_ms = now_ms
        is_lasting = greeted_ms is not None and now_ms - greeted_ms >= STABLE_MS
        if greeted_ms is None:
            attempt.failed_total += 1
        attempt.failures = 0 if is_lasting else attempt.failures + 1
        attempt.due_ms = now_ms if is_lasting else now_ms + self._wait_ms(attempt)
        if self.is_found(attempt):
            self._end_turn(self.candidates[attempt.peer.node_id])

    def connected(self, attempt: Attempt, now_ms: int) -> None:
        """Note that the peer has greeted on this connection."""
        attempt.greeted_ms = now_ms
        attempt.last_error = ""

    def _attempts(self) -> Iterator[Attempt]:
        yield from self.attempts.values()
        for candidate in self.candidates.values():
            yield candidate.attempt

    def _due_ms(self, attempt: Attempt) -> int:
        """Give when an attempt is due, also when its peer is shut out."""
        if not self._barred:
            return attempt.due_ms
        peer = attempt.peer
        barred = (self._barred.get(peer, 0), self._barred.get(peer.node_id, 0))
        return max(attempt.due_ms, *barred)

    def _waiting(self, connected: Collection[str]) -> list[Attempt]:
        """Give the candidates that may be dialled when they are due."""
        if not self.candidates:
            return []
        links = sum(c.attempt.link is not None for c in self.candidates.values())
        # Named peers are dialled anyway.
        if len(connected) + links >= CONNECTED_MAX:
            return []
        waiting = []
        for node_id, candidate in self.candidates.items():
            if candidate.attempt.link is not None or node_id in connected:
                continue
            known = self.attempts.get(node_id)
            if candidate.attempt.peer in self._barred:
                # Another one of its addresses may be the true one.
                candidate.turn(avoided=candidate.attempt.peer)
            if known is None or known.peer != candidate.attempt.peer or candidate.turn(known.peer):
                waiting.append(candidate.attempt)
        return waiting

    def _wait_ms(self, attempt: Attempt) -> int:
        """Give how long to wait after a failure."""
        failures = attempt.failures
        if self.is_found(attempt):
            # All addresses of a candidate once are one round.
            addresses = self.candidates[attempt.peer.node_id].addresses
            failures, left = divmod(failures, len(addresses))
            if left:
                return FIRST_RETRY_MS
        wait_ms = backoff_ms(FIRST_RETRY_MS, failures, self._jitter)
        return wait_ms if attempt.is_learned else min(wait_ms, self._retry_max_ms)

    def _end_turn(self, candidate: Candidate) -> None:
        """Let the next address have its turn; or forget a candidate that was withdrawn."""
        if candidate.is_withdrawn:
            del self.candidates[candidate.attempt.peer.node_id]
        else:
            candidate.turn(avoided=None)

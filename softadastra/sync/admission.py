"""Who may stay connected: how many there can be, and who is shut out for what it sent.

- 64 peers are connected and 256 are known, at most. The next one is told "busy" and comes again
  later. Whom people have named counts, too, but is never turned away: it takes the place of the one
  that nobody named and that came last.
- Who sends three bad messages in a minute is shut out (`exclusions.py`), and not dialled meanwhile.
- What is refused is told 16 times a minute at most, with the number of what was not told: whoever
  knocks fills no log.
"""

from __future__ import annotations

from typing import Final

from softadastra.sync.connections import Connections
from softadastra.sync.exclusions import Culprit, Exclusion, Known
from softadastra.sync.greeting import Refusal, farewell
from softadastra.sync.members import Members
from softadastra.sync.messages import Hello, RejectReason
from softadastra.sync.notices import Level, Notices
from softadastra.sync.session import Session
from softadastra.sync.settings import EngineOptions, Now
from softadastra.types import PeerSource

__all__ = ["REFUSALS_TOLD_MAX", "TELL_INTERVAL_MS", "Admission"]

REFUSALS_TOLD_MAX: Final = 16
"""In TELL_INTERVAL_MS: about a screen of a log."""
TELL_INTERVAL_MS: Final = 60_000


class Admission:
    """Lets in, turns away and shuts out the peers of one node.

    Args:
        options: settings.
        members: who is known.
        connections: who is connected.
        notices: where to tell what happens.
    """

    def __init__(
        self, options: EngineOptions, members: Members, connections: Connections, notices: Notices
    ) -> None:
        self.exclusions = connections.exclusions
        self._options = options
        self._members = members
        self._connections = connections
        self._notices = notices
        self._told_since_ms = 0
        self._told = 0
        self._untold = 0

    def refusal(self, session: Session, hello: Hello, now: Now) -> Refusal | None:
        """Say why a peer whose greeting is right cannot come in now; None when it can.

        It may make room: then another one is told "busy".
        """
        peer = hello.node_id
        culprit = self._culprit(session, peer)
        exclusion = self.exclusions.of(culprit, now.mono_ms, hello.nonce)
        if exclusion is not None:
            return Refusal(RejectReason.BUSY, exclusion.words)
        if self._is_named(peer) or peer in self._connections.active:
            self._make_room(peer, now)
            return None
        known = sum(member.is_near for member in self._members)
        is_met = (member := self._members.get(peer)) is not None and member.is_near
        if not is_met and known >= self._options.known_max:
            words = f"{known} peers are known here, which is all that can be: forget one of them"
            return Refusal(RejectReason.BUSY, words)
        connected = len(self._connections.active)
        if connected >= self._options.connected_max:
            words = f"{connected} peers are connected here, which is all that can be"
            return Refusal(RejectReason.BUSY, words)
        return None

    def offended(self, session: Session, words: str, now: Now) -> None:
        """Take in that a bad message came over a connection, which is about to be dropped."""
        if session.peer is None and not session.dialled and not session.proved:
            return
        attempt = self._connections.dialer.of_link(session.link)
        node_id = attempt.peer.node_id if attempt else session.peer_id
        culprit = self._culprit(session, node_id)
        nonce = session.peer.nonce if session.peer else None
        excluded_ms = self.exclusions.offend(culprit, words, now.mono_ms, nonce)
        if excluded_ms is None:
            return
        for other in list(self._connections.sessions.values()):
            is_it = other.proved or (other.peer and other.peer.nonce == nonce)
            if other is not session and is_it and self._culprit(other, other.peer_id) == culprit:
                self._connections.drop(other, words, now, farewell(words, None))
        until_ms = now.mono_ms + excluded_ms
        if attempt is not None:
            self._connections.dialer.bar(attempt.peer, until_ms)
        if culprit.by is Known.PROVED:
            self._connections.dialer.bar(culprit.node_id, until_ms)
        facts = {"peer": culprit.node_id, "place": culprit.place, "excluded_ms": excluded_ms}
        self._notices.note(Level.WARNING, "peer.excluded", reason=words, **facts)

    def pardon(self, node_id: str) -> None:
        """Hear and dial a peer again, because people ask for it."""
        self.exclusions.pardon(node_id)
        self._connections.dialer.unbar(node_id)

    def excluded(self, now: Now) -> dict[str, Exclusion]:
        """Give who is shut out, by the name that it has, or that it took."""
        return {
            culprit.node_id: exclusion for culprit, exclusion in self.exclusions.all(now.mono_ms)
        }

    def tell_refused(self, session: Session, words: str, now: Now) -> None:
        """Tell that a connection is dropped, unless that was told often enough of late."""
        if now.mono_ms - self._told_since_ms >= TELL_INTERVAL_MS:
            self._told_since_ms, self._told = now.mono_ms, 0
        self._untold += 1
        if self._told == REFUSALS_TOLD_MAX:
            return
        self._told += 1
        count, self._untold = self._untold, 0
        facts = {"peer": self._connections.name(session), "count": count}
        self._notices.note(Level.WARNING, "peer.refused", reason=words, **facts)

    def _culprit(self, session: Session, node_id: str) -> Culprit:
        """Name who is at the other end, by what it cannot forge."""
        if session.proved:
            return Culprit(Known.PROVED, session.proved, "")
        attempt = self._connections.dialer.of_link(session.link)
        if attempt is not None:
            return Culprit(Known.DIALLED, node_id, f"{attempt.peer.host}:{attempt.peer.port}")
        return Culprit(Known.CLAIMED, node_id, session.host)

    def _is_named(self, node_id: str) -> bool:
        """Whether people have named a peer."""
        attempt = self._connections.dialer.attempts.get(node_id)
        member = self._members.get(node_id)
        return (attempt is not None and not attempt.is_learned) or (
            member is not None and bool(member.host) and member.source is PeerSource.MANUAL
        )

    def _make_room(self, peer: str, now: Now) -> None:
        """Let the last one go that nobody named, when a named peer finds no room."""
        active = self._connections.active
        if peer in active or len(active) < self._options.connected_max:
            return
        others = [node_id for node_id in active if not self._is_named(node_id)]
        if others:
            words = f"a peer that was named needs the place of {others[-1]!r}"
            refusal = Refusal(RejectReason.BUSY, words)
            for session in self._connections.of_name(others[-1]):
                self.tell_refused(session, words, now)
                self._connections.drop(session, words, now, farewell(words, refusal))

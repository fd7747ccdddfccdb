"""The connections: which there are, and which one carries the sync with each peer.

Both sides of a pair may dial. Then there are two connections, and both nodes choose the same
one by the same rule: that of the smaller node id. The dialler of the other one closes it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from softadastra.store.dots import DotSet
from softadastra.sync.dialing import Dialer
from softadastra.sync.exclusions import Exclusions
from softadastra.sync.greeting import Refusal, duplicate_of, farewell
from softadastra.sync.messages import Bye, Message
from softadastra.sync.notices import Level, Notices
from softadastra.sync.patience import Patience
from softadastra.sync.session import Session
from softadastra.sync.settings import Now
from softadastra.sync.traffic import Traffic

__all__ = ["Connections", "Ended"]

CONTEST_MS = 2_000
"""How long a process has to show that it is alive when another one of its name greets. Nearly
always its connection is found closed at the first question."""
LOCATE_INTERVAL_MS = 30_000
"""How long after nobody was to be found at the named address of a peer that is connected it is
dialled again: it may be behind a router that lets nobody in."""
HAVE_TICKS = 5
"""How many tick intervals changes gather before peers are told of them."""
RELAY_TICKS = 20
"""How many tick intervals others have at least to bring a peer what it lacks: longer than it takes
a peer that is near and has time to tell that it got it."""
NONE: Final = DotSet()


class Ended(NamedTuple):
    """Why and when there was no connection with a peer any more."""

    reason: str
    at: Now
    is_refusal: bool = False
    """Whether this node has refused it since; the peer is there then, and has to change."""


class Connections:
    """All connections of one node.

    Args:
        node_id: this node.
        dialer: the addresses that are dialled.
        notices: where to tell what happens.
        tick_interval_ms: see ClientOptions.
    """

    def __init__(
        self, node_id: str, dialer: Dialer, notices: Notices, *, tick_interval_ms: int
    ) -> None:
        self.dialer = dialer
        self.sessions: dict[int, Session] = {}
        self.active: dict[str, int] = {}
        """Node id -> the one connection that carries the sync with it."""
        self.ends: dict[str, Ended] = {}
        """Node id -> how the last connection ended, or was refused, with a peer that was here in
        this life and is not connected. What is dialled has its own: see `Attempt`."""
        self.since: dict[str, Now] = {}
        """Node id -> when it was connected, of those who are."""
        self._past: dict[str, Traffic] = {}
        """Node id -> what went over connections with it that have ended; "" for those without."""
        self.exclusions = Exclusions()
        """Who is shut out."""
        self.drops: list[int] = []
        """Connections to close, after the farewells."""
        self.farewells: list[tuple[int, Message]] = []
        self._node_id = node_id
        self._notices = notices
        self.have_delay_ms = HAVE_TICKS * tick_interval_ms
        self._relay_delay_ms = RELAY_TICKS * tick_interval_ms

    def of_peer(self, node_id: str) -> Session | None:
        """Give the connection that carries the sync with a peer."""
        return self.sessions.get(self.active.get(node_id, -1))

    @property
    def settled(self) -> set[str]:
        """Whom not to dial: those who are connected, unless it is in doubt who that is."""
        return {
            name for name, link in self.active.items() if not self._is_doubted(self.sessions[link])
        }

    def _is_doubted(self, session: Session) -> bool:
        """Whether a peer has only said its name, and people have named an address to ask for it.

        Without security a name costs nothing, and whoever takes it first would keep its owner out.
        """
        attempt = self.dialer.attempts.get(session.peer_id)
        is_named = attempt is not None and not attempt.is_learned
        return is_named and not session.is_located and not session.proved

    def is_carrying(self, session: Session) -> bool:
        """Whether this connection carries the sync with its peer."""
        return self.active.get(session.peer_id) == session.link

    def name(self, session: Session) -> str:
        """Name who is, or is expected, at the other end; empty when nobody knows yet."""
        attempt = self.dialer.of_link(session.link)
        return attempt.peer.node_id if attempt else session.peer_id

    def of_name(self, node_id: str) -> list[Session]:
        """Give all connections whose peer has greeted by a name."""
        return [session for session in self.sessions.values() if session.peer_id == node_id]

    def up(self, link: int, *, dialled: bool, now: Now, proved: str = "", host: str = "") -> None:
        """A connection works; its greeting is to come.

        Args:
            link: its number.
            dialled: whether this side did.
            now: the time.
            proved: whose key the peer has proved to have; empty without security.
            host: from where a peer has dialled.
        """
        self.sessions[link] = Session(
            link,
            dialled,
            now.mono_ms,
            now.mono_ms,
            Patience(self._relay_delay_ms),
            hello_due=dialled,
            proved=proved,
            host=host,
        )

    def down(self, link: int, reason: str, now: Now) -> None:
        """A connection failed or ended. What it carried is sent again on the next one."""
        session = self.sessions.pop(link, None)
        if session is not None:
            self._past.setdefault(session.peer_id, Traffic()).add(session.traffic)
        was_active = session is not None and session.is_active
        attempt = self.dialer.of_link(link)
        if attempt is not None:
            self.dialer.lost(attempt, reason, now.mono_ms)
            if self.active.get(attempt.peer.node_id, link) != link:
                attempt.rest(now.mono_ms + LOCATE_INTERVAL_MS)
            if not was_active:
                peer = attempt.peer.node_id
                self._notices.note(Level.DEBUG, "dial.failed", peer=peer, reason=reason)
        if session is None or session.peer is None or self.active.get(session.peer_id) != link:
            return
        peer = session.peer_id
        self.exclusions.vouch(peer, session.peer.nonce, now.mono_ms - session.up_ms)
        others = [s.link for s in self.sessions.values() if s.peer_id == peer]
        if others:
            self.active[peer] = others[-1]
            return
        del self.active[peer]
        if attempt is None and (named := self.dialer.attempts.get(peer)) is not None:
            named.hurry(now.mono_ms)
        self.since.pop(peer, None)
        self.ends[peer] = Ended(reason, now)
        self._neighbours_changed(peer, now)
        facts = {"peer": peer, "connection": session.connection, "reason": reason}
        self._notices.note(Level.INFO, "peer.lost", **facts)

    def drop(
        self, session: Session, reason: str, now: Now, farewell: Message | None = None
    ) -> None:
        """End a connection, with a last message or without."""
        if farewell is not None:
            self.farewells.append((session.link, farewell))
        self.drops.append(session.link)
        self.down(session.link, reason, now)

    def elect(self, session: Session, now: Now) -> bool:
        """Choose the connection for a peer that has just greeted.

        Returns:
            Whether the peer was not connected before.
        """
        assert session.peer is not None
        peer = session.peer.node_id
        attempt = self.dialer.of_link(session.link)
        session.is_located |= attempt is not None and not attempt.is_learned
        rival = self.of_peer(peer)
        if rival is session:
            return False
        if rival is None or rival.peer is None:
            self.active[peer] = session.link
            self.ends.pop(peer, None)
            self.since[peer] = now
            self._neighbours_changed(peer, now)
            return True
        if rival.peer.nonce != session.peer.nonce:
            # Another process of this name: it was restarted, or there are two.
            if session.is_located and not rival.is_located:
                self._replace(rival, session, now)
            else:
                self._contest(rival, session, now)
            return False
        session.is_located = rival.is_located = session.is_located or rival.is_located
        if rival.dialled != session.dialled and rival.dialled == (self._node_id < peer):
            if session.dialled:
                self.drop(session, "connected the other way", now)
            return False
        if not (rival.dialled or session.dialled or session.proved):
            # It has connected anew; or somebody says its greeting again, which he has heard.
            self._contest(rival, session, now)
            return False
        self.active[peer] = session.link
        # Of one process and dialled by the peer: the peer closes it, by the same rule.
        if rival.dialled or not session.dialled:
            self.drop(rival, "connected anew", now)
        return False

    def contest(self, session: Session, now: Now) -> bool:
        """Settle which of two processes of one name this node talks to.

        Returns:
            Whether the other one is alive, so that this one is to be refused.
        """
        assert session.contested_ms is not None
        rival = self.of_peer(session.peer_id)
        if rival is None or rival is session:
            session.contested_ms = None
        elif rival.dialled and rival.peer and rival.peer.nonce == session.peer_nonce:
            # Meanwhile it was reached at its address.
            session.contested_ms = None
            self.elect(session, now)
        elif rival.answered_ms >= session.contested_ms:
            return True
        elif now.mono_ms - session.contested_ms >= CONTEST_MS:
            session.contested_ms = None
            self.active[session.peer_id] = session.link
            self.drop(rival, "connected anew", now)
        return False

    def _contest(self, rival: Session, session: Session, now: Now) -> None:
        """Ask whether the one that is connected by a name is alive, as another one greets by it."""
        if self._is_doubted(rival):
            self.dialer.attempts[session.peer_id].hurry(now.mono_ms)
        session.contested_ms = rival.question_ms = now.mono_ms

    def _replace(self, rival: Session, session: Session, now: Now) -> None:
        """Believe who is where people said, not who came by himself and says the same name."""
        self.active[session.peer_id] = session.link
        refusal = duplicate_of(session.peer_id)
        self.drop(rival, refusal.words, now, farewell(refusal.words, refusal))

    def turned_away(self, node_id: str, refusal: Refusal, now: Now) -> None:
        """Note that somebody who says that he is a known peer was refused."""
        if node_id not in self.active:
            known = self.ends.get(node_id)
            since = known.at if known else now
            self.ends[node_id] = Ended(refusal.told, since, is_refusal=True)

    def forget(self, node_id: str) -> None:
        """Forget a peer; a total of what went over connections never falls."""
        self.ends.pop(node_id, None)
        past = self._past.pop(node_id, None)
        if past is not None:
            self._past.setdefault("", Traffic()).add(past)

    def traffic(self) -> dict[str, Traffic]:
        """Sum up what went over the connections with each peer; "" has what is nobody's."""
        totals: dict[str, Traffic] = {}
        for peer, past in self._past.items():
            totals.setdefault(peer, Traffic()).add(past)
        for session in self.sessions.values():
            totals.setdefault(session.peer_id, Traffic()).add(session.traffic)
        return totals

    def sent(self, link: int, size_bytes: int) -> None:
        """Note that the transport took a message."""
        session = self.sessions.get(link)
        if session is not None:
            session.traffic.bytes_out += size_bytes

    def disconnect(self, node_id: str, now: Now) -> None:
        """Stop dialling a peer and end the connection with it."""
        self.drops += self.dialer.remove(node_id)
        for session in self.of_name(node_id):
            self.drop(session, "disconnected here", now, Bye())

    def close(self, now: Now) -> None:
        """Take leave of every peer."""
        for session in list(self.sessions.values()):
            self.drop(session, "closed here", now, Bye() if session.is_active else None)

    def _neighbours_changed(self, neighbour: str, now: Now) -> None:
        """Let all peers be told soon to whom this node is connected; the neighbour knows it."""
        for session in self.sessions.values():
            session.tell_have_by(now.mono_ms + self.have_delay_ms)
            session.has_new_neighbours |= session.peer_id != neighbour

    def is_joined(self, session: Session, node_id: str) -> bool:
        """Whether a peer is connected to a node: one of them says so, and the peer not that it was.

        Who sends its own writes has told before who its neighbours are; these may not have yet.
        """
        if node_id in session.neighbours:
            return True
        other = self.of_peer(node_id)
        is_told = other is not None and session.peer_id in other.neighbours
        return is_told and node_id not in session.parted_from

    def arrivals_from(
        self, source: Session, writes: Collection[tuple[int, int, str]], now_ms: int
    ) -> None:
        """Let know soon that writes are here now: who may be about to send them, too.

        Those are who may get them from their origin as well, and who offers what came.

        Args:
            source: who brought them.
            writes: origin number, a write of it that came, node id of the origin.
            now_ms: the time.
        """
        for session in self.sessions.values():
            if session is source:
                continue
            shared = [
                number
                for number, n, writer in writes
                if self.is_joined(session, writer) or n in session.known.get(number, NONE)
            ]
            if shared:
                session.tell_arrivals_by(shared, now_ms + self.have_delay_ms)

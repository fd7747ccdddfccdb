"""What a connection has to say beside data: greetings, acknowledgements, signs of life, haves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from softadastra.store.replica import Replica
from softadastra.sync.connections import Connections
from softadastra.sync.delivery import have_of
from softadastra.sync.fields import HAVES_MAX
from softadastra.sync.histories import lives_from, lives_told, named_beyond
from softadastra.sync.membership import Membership
from softadastra.sync.messages import PROTOCOL, Ack, Have, Hello, Message, Ping, Pong, Report
from softadastra.sync.session import Session
from softadastra.sync.settings import EngineOptions, Now
from softadastra.sync.snapshots import Snapshots

__all__ = ["Answers"]

HAVE_INTERVAL_MS: Final = 30_000
"""Anti-entropy: how often peers tell what they have when nothing changes, +-30 %."""

PING_AHEAD_MS: Final = 500
"""When one peer is asked whether it is there, so are those that would be so soon after. Each of 32
nodes was woken 40 times a second by its own questions, those of others, and the answers."""


class Answers:
    """Says what is due on each connection.

    Args:
        replica: what this node has.
        options: settings.
        connections: who is connected.
        membership: what is known of others.
        snapshots: those that are under way.
        nonce: drawn when the node opens.
        jitter: gives a number from 0 to 1, uniformly.
    """

    def __init__(
        self,
        replica: Replica,
        options: EngineOptions,
        connections: Connections,
        membership: Membership,
        snapshots: Snapshots,
        *,
        nonce: int,
        jitter: Callable[[], float],
    ) -> None:
        self._replica = replica
        self._options = options
        self._connections = connections
        self._membership = membership
        self._snapshots = snapshots
        self._nonce = nonce
        self._jitter = jitter

    def asks_ahead_ms(self, now: Now) -> int:
        """Give how much earlier than they are due peers are asked now: with one that is due."""
        for session in self._connections.sessions.values():
            if session.peer is not None and now.mono_ms >= session.ping_ms:
                return PING_AHEAD_MS
        return 0

    def to(self, session: Session, now: Now, ahead_ms: int = 0) -> list[Message]:
        """Give what is due on a connection, and note that it is said.

        Args:
            session: the connection.
            now: the time.
            ahead_ms: see `asks_ahead_ms`.
        """
        messages: list[Message] = []
        if session.hello_due:
            session.hello_due = False
            session.number_greeted = session.number_told = self._first_number(session.link)
            messages.append(self._hello(session, now))
        if session.peer is None:
            return messages
        if session.acks_due or (session.ack_ms is not None and now.mono_ms >= session.ack_ms):
            have = have_of(self._replica, session.ack_origins)
            messages.append(Ack(session.acks_due, have, self._options.window))
            session.acks_due, session.ack_origins, session.ack_ms = [], set(), None
        if session.pong_due is not None:
            messages.append(Pong(session.pong_due))
            session.pong_due = None
        if now.mono_ms >= session.have_ms and self._connections.is_carrying(session):
            messages.append(self._have(session, now))
        if now.mono_ms + ahead_ms >= session.ping_ms:
            session.pinged_ms = now.mono_ms
            messages.append(Ping(now.mono_ms))
        return messages

    def _have(self, session: Session, now: Now) -> Have:
        reports: dict[str, Report] = {}
        if now.mono_ms >= session.known_ms:
            session.known_ms = now.mono_ms + int(HAVE_INTERVAL_MS * (0.7 + 0.6 * self._jitter()))
            reports, session.reports_begin = self._membership.reports(
                session.peer_id, session.neighbours, session.reports_begin, now
            )
        session.have_ms = session.known_ms
        session.has_new_neighbours = False
        session.number_told += 1
        return Have(
            session.number_told,
            have_of(self._replica),
            named_beyond(self._replica),
            lives_from(self._replica, session.lives_told),
            self._replica.digest,
            frozenset(self._connections.active),
            reports,
        )

    def _first_number(self, link: int) -> int:
        """Give a connection the number of its greeting: no other one has it, nor those behind it.

        Also of a former life of this node, whose nonce was another one.
        """
        return (self._nonce + link * 2 * HAVES_MAX) % (1 << 63)

    def _hello(self, session: Session, now: Now) -> Hello:
        me = self._replica.origins[self._replica.me]
        return Hello(
            protocols=(PROTOCOL, PROTOCOL),
            features=frozenset(),
            cluster=self._options.cluster,
            node_id=me.node_id,
            incarnation=me.incarnation,
            nonce=self._nonce,
            wall_ms=now.wall_ms,
            policies=self._replica.policies.names,
            have=have_of(self._replica),
            named=named_beyond(self._replica),
            lives=lives_told(self._replica),
            digest=self._replica.digest,
            credit=self._options.window,
            neighbours=frozenset(self._connections.active),
            resume=self._snapshots.resume(self._connections.name(session)),
            number=session.number_told,
        )

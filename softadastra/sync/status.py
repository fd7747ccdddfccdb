"""What the engine's state looks like to people: the outbox, and how each peer stands."""

from __future__ import annotations

from softadastra.sync.dialing import Attempt
from softadastra.sync.engine import Engine, Now
from softadastra.sync.members import Member
from softadastra.sync.outbox import Confirmed, count
from softadastra.sync.session import Session
from softadastra.types import PeerState, PeerStatus, PeerSync, SyncState

__all__ = ["peer_statuses", "sync_state"]


def sync_state(engine: Engine) -> SyncState:
    """Count this node's own writes by how far they have come."""
    me = engine.replica.me
    accepted = [m for m in engine.members.values() if m.accepted]
    counts = count(
        top=engine.replica.top,
        floor=engine.floor,
        released=engine.last_sendable,
        members=[
            Confirmed(engine.confirmed(m.node_id), m.node_id in engine.faulted) for m in accepted
        ],
        flights=[found for session in engine.sessions.values() for found in session.flying(me)],
    )
    return SyncState(
        outbox_size=counts.outbox,
        queued_count=counts.queued,
        in_flight_count=counts.in_flight,
        acknowledged_count=counts.acknowledged,
        failed_count=counts.failed,
        held_count=counts.held,
        total_retries=engine.forgotten_retries + sum(m.retries for m in engine.members.values()),
        last_submitted_version=engine.replica.top,
        last_applied_remote_version=engine.replica.last_remote,
        per_peer={
            m.node_id: PeerSync(
                lag=max(0, engine.replica.top - engine.confirmed(m.node_id)),
                in_flight=in_flight(session_of(engine, m.node_id), me),
                acknowledged=engine.confirmed(m.node_id),
                retries=m.retries,
            )
            for m in accepted
        },
    )


def peer_statuses(engine: Engine, now: Now) -> list[PeerStatus]:
    """Give every known peer, by name."""
    return [peer_status(engine, engine.members[node_id], now) for node_id in sorted(engine.members)]


def peer_status(engine: Engine, member: Member, now: Now) -> PeerStatus:
    """Give how one peer stands."""
    session = session_of(engine, member.node_id)
    attempt = engine.dialer.attempts.get(member.node_id)
    return PeerStatus(
        node_id=member.node_id,
        host=member.host,
        port=member.port,
        state=state_of(engine, member, session, attempt, now),
        source=member.source,
        lag=max(0, engine.replica.top - member.confirmed),
        in_flight=in_flight(session, engine.replica.me),
        retries=member.retries,
        last_seen_ms=engine.heard_wall_ms.get(member.node_id),
        last_error=attempt.last_error if attempt else "",
        clock_skew_ms=session.skew_ms if session else None,
    )


def state_of(
    engine: Engine, member: Member, session: Session | None, attempt: Attempt | None, now: Now
) -> PeerState:
    """Name a peer's state."""
    if member.node_id in engine.faulted:
        return PeerState.FAULTED
    if session is not None:
        since = session.unanswered_ms
        is_late = since is not None and now.mono_ms - since > engine.options.ack_timeout_ms
        return PeerState.STALE if is_late else PeerState.CONNECTED
    if attempt is not None and attempt.link is not None:
        return PeerState.CONNECTING
    return PeerState.STALE if member.node_id in engine.heard_wall_ms else PeerState.AVAILABLE


def session_of(engine: Engine, node_id: str) -> Session | None:
    """Give the connection that carries the sync with a peer."""
    return engine.sessions.get(engine.active.get(node_id, -1))


def in_flight(session: Session | None, origin: int) -> int:
    """Count the writes of an origin that are sent over a connection and unconfirmed."""
    return sum(last - first + 1 for first, last in session.flying(origin)) if session else 0

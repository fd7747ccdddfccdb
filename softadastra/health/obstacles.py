"""What keeps a write from a peer, the first thing first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from softadastra.findings import Cause, Finding
from softadastra.health.moment import Moment
from softadastra.health.standing import next_ms, since_ms
from softadastra.store.changes import OWN
from softadastra.sync.members import Member
from softadastra.sync.messages import RejectReason
from softadastra.sync.session import Flight, Session
from softadastra.sync.status import last_error

__all__ = ["obstacles", "out_of_touch"]

REJECTIONS: Final[Mapping[RejectReason, Cause]] = {
    RejectReason.DIFFERENT_CLUSTER: Cause.DIFFERENT_CLUSTER,
    RejectReason.PROTOCOL: Cause.PROTOCOL,
    RejectReason.UNAUTHORIZED: Cause.UNAUTHORIZED,
    RejectReason.DUPLICATE_IDENTITY: Cause.DUPLICATE_IDENTITY,
    RejectReason.POLICY_MISMATCH: Cause.POLICY_MISMATCH,
    RejectReason.BUSY: Cause.BUSY,
}


def obstacles(moment: Moment, member: Member, origin: int, n: int) -> Iterator[Finding]:
    """Give why a peer does not have a write yet; never nothing.

    Args:
        moment: when.
        member: the peer, which does not have it as far as is known.
        origin: who made the write, by number.
        n: its number.
    """
    session = moment.engine.connections.of_peer(member.node_id)
    absence = out_of_touch(moment, member)
    if absence is not None:
        yield absence
    elif session is not None:
        yield from delays(moment, session, origin, n)


def out_of_touch(moment: Moment, member: Member) -> Finding | None:
    """Give why nothing goes between a peer and this node; None: they are connected."""
    if not moment.is_writing:
        return Finding(cause=Cause.NOT_WRITING)
    if not moment.is_online:
        return Finding(cause=Cause.OFFLINE)
    if moment.engine.connections.of_peer(member.node_id) is None:
        return away(moment, member)
    return None


def away(moment: Moment, member: Member) -> Finding:
    """Give why a peer is not connected."""
    engine, peer = moment.engine, member.node_id
    attempt = engine.dialer.of_peer(peer)
    exclusion = moment.excluded.get(peer)
    if exclusion is not None:
        return Finding(
            cause=Cause.SHUT_OUT,
            peer=peer,
            since_ms=since_ms(engine, peer),
            next_ms=moment.now.wall_ms + exclusion.left_ms,
            detail=exclusion.reason,
        )
    words = last_error(engine, peer, attempt)
    return Finding(
        cause=cause_of_absence(moment, peer, words),
        peer=peer,
        since_ms=since_ms(engine, peer),
        next_ms=next_ms(moment, peer, None),
        attempts=attempt.failures if attempt else 0,
        detail=words,
    )


def cause_of_absence(moment: Moment, peer: str, words: str) -> Cause:
    """Name why a peer is not connected."""
    dialer = moment.engine.dialer
    attempt = dialer.of_peer(peer)
    kind, colon, rest = words.partition(": ")
    if colon and kind in ("rejected", "refused"):
        name = rest.partition(": ")[0].upper()
        if name in RejectReason.__members__:
            return REJECTIONS[RejectReason[name]]
    if colon and kind == "auth_failed":
        return Cause.AUTH_FAILED
    if attempt is None:
        return Cause.LEFT_ALONE if dialer.is_left_alone(peer) else Cause.NO_ADDRESS
    if not words and attempt.link is not None:
        return Cause.CONNECTING
    return Cause.DISCONNECTED


def delays(moment: Moment, session: Session, origin: int, n: int) -> Iterator[Finding]:
    """Give why a connected peer does not have a write yet."""
    engine, peer = moment.engine, session.peer_id
    delivery = engine.delivery
    if session.parted_ms is not None:
        since = moment.wall_ms(session.parted_ms)
        yield Finding(cause=Cause.PARTED, peer=peer, since_ms=since)
        return
    flights = list(session.flights.values())
    if peer in delivery.faulted and flights:
        yield sent(moment, Cause.FAULTED, peer, max(flights, key=lambda f: f.attempts))
    elif (since_mono := session.unanswered_ms) is not None and (
        moment.now.mono_ms - since_mono > engine.options.ack_timeout_ms
    ):
        since = moment.wall_ms(since_mono)
        next_send = next_ms(moment, peer, session)
        yield Finding(cause=Cause.UNANSWERED, peer=peer, since_ms=since, next_ms=next_send)
    carrier = next((f for f in flights if carries(f, origin, n)), None)
    if carrier is not None:
        yield sent(moment, Cause.IN_FLIGHT, peer, carrier)
    else:
        yield waiting(moment, session, origin, n)


def sent(moment: Moment, cause: Cause, peer: str, flight: Flight) -> Finding:
    """Tell of a batch that is on its way."""
    return Finding(
        cause=cause,
        peer=peer,
        since_ms=moment.wall_ms(flight.sent_ms),
        next_ms=max(moment.wall_ms(flight.due_ms), moment.now.wall_ms),
        attempts=flight.attempts,
    )


def carries(flight: Flight, origin: int, n: int) -> bool:
    """Whether a batch on its way brings a write."""
    return any(number == origin and first <= n <= last for number, (first, last) in flight.covers)


def waiting(moment: Moment, session: Session, origin: int, n: int) -> Finding:
    """Give what a write waits for that is not on its way to a connected peer."""
    engine, peer, now_ms = moment.engine, session.peer_id, moment.now.mono_ms
    delivery, replica = engine.delivery, engine.replica
    if origin == OWN and n > delivery.last_sendable:
        held = replica.top - delivery.last_sendable
        return Finding(cause=Cause.HELD, writes=held)
    if not moment.auto_tick:
        return Finding(cause=Cause.UNTICKED)
    if peer in delivery.snapshots.serving:
        return Finding(cause=Cause.SNAPSHOT, peer=peer)
    if delivery.snapshots.is_needed(replica, session):
        due = moment.wall_ms(max(session.snapshot_ms, now_ms))
        return Finding(cause=Cause.SNAPSHOT_DUE, peer=peer, next_ms=due)
    if session.blocked_ms is not None and session.blocked_ms > now_ms:
        due = moment.wall_ms(session.blocked_ms)
        return Finding(cause=Cause.CONNECTION_FULL, peer=peer, next_ms=due)
    if len(session.flights) >= min(engine.options.window, session.credit):
        oldest = min((flight.sent_ms for flight in session.flights.values()), default=now_ms)
        return Finding(
            cause=Cause.WINDOW_FULL,
            peer=peer,
            since_ms=moment.wall_ms(oldest),
            batches=len(session.flights),
        )
    due_ms = session.patience.due_ms(origin)
    if due_ms is not None and not session.patience.is_over(origin, now_ms, session.oldest_sent_ms):
        writer = replica.origins[origin].node_id
        left_ms = moment.wall_ms(due_ms) if due_ms > now_ms else None
        return Finding(cause=Cause.LEFT_TO_OTHERS, peer=peer, next_ms=left_ms, detail=writer)
    return Finding(cause=Cause.QUEUED, peer=peer)

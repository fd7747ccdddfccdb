"""What the engine's state looks like to people: the outbox, and how each peer stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from softadastra.store.changes import Lost
from softadastra.store.clock import milliseconds
from softadastra.store.dots import DotSet
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, Sibling, shown, siblings_of
from softadastra.store.values import unpack_value
from softadastra.sync.collection import Known
from softadastra.sync.dialing import Attempt
from softadastra.sync.engine import Engine
from softadastra.sync.exclusions import Exclusion
from softadastra.sync.members import Member, found_at
from softadastra.sync.outbox import Confirmed, count
from softadastra.sync.session import Session
from softadastra.sync.settings import Now
from softadastra.types import (
    Conflict,
    ConflictingValue,
    PeerSource,
    PeerState,
    PeerStatus,
    PeerSync,
    SyncState,
    TombstoneHold,
)

__all__ = [
    "conflicting_value",
    "conflicts",
    "holders",
    "last_error",
    "lost_by_key",
    "lost_conflict",
    "open_conflict",
    "peer_status",
    "peer_statuses",
    "shown_members",
    "standing_ids",
    "sync_state",
    "tombstone_holds",
]

NOTHING = DotSet()


def sync_state(engine: Engine) -> SyncState:
    """Count this node's own writes by how far they have come."""
    me, top, faulted = engine.replica.me, engine.replica.top, engine.delivery.faulted
    accepted = [member for member in engine.members if member.accepted]
    sessions = engine.connections.sessions.values()
    counts = count(
        top=top,
        floor=engine.floor,
        released=engine.delivery.last_sendable,
        members=[Confirmed(engine.served(m), m.node_id in faulted) for m in accepted],
        flights=[flight for session in sessions for flight in session.flying(me)],
    )
    return SyncState(
        outbox_size=counts.outbox,
        queued_count=counts.queued,
        in_flight_count=counts.in_flight,
        acknowledged_count=counts.acknowledged,
        failed_count=counts.failed,
        held_count=counts.held,
        total_retries=engine.members.forgotten_retries + sum(m.retries for m in engine.members),
        last_submitted_version=top,
        last_applied_remote_version=engine.replica.last_remote,
        per_peer={
            member.node_id: PeerSync(
                lag=max(0, top - engine.served(member)),
                in_flight=in_flight(engine.connections.of_peer(member.node_id), me),
                acknowledged=engine.served(member),
                retries=member.retries,
            )
            for member in accepted
        },
    )


def conflicts(replica: Replica) -> list[Conflict]:
    """Give the keys that have several values, by name, then those where a write lost."""
    waiting = [open_conflict(replica, key) for key in sorted(replica.conflicted)]
    return waiting + [lost_conflict(replica, *row) for row in sorted(lost_by_key(replica).items())]


def open_conflict(replica: Replica, key: str) -> Conflict:
    """Give a key that has several values."""
    siblings = sorted(
        shown(siblings_of(replica.entries[key])),
        key=lambda s: (bool(s[4]), replica.rank(s)),
        reverse=True,
    )
    return _conflict(replica, key, siblings, is_open=True)


def lost_conflict(replica: Replica, key: str, items: Sequence[Lost]) -> Conflict:
    """Give a key where these writes lost: what won, then what lost, the latest first."""
    siblings = [items[-1].winner, *(item.loser for item in reversed(items))]
    return _conflict(replica, key, siblings, is_open=False)


def lost_by_key(replica: Replica) -> dict[str, list[Lost]]:
    """Give the writes that lost, the latest last, by their keys."""
    lost: dict[str, list[Lost]] = {}
    for item in replica.lost:
        lost.setdefault(item.key, []).append(item)
    return lost


def standing_ids(replica: Replica, key: str) -> list[str]:
    """Give the sync ids of the writes of a key that a write would supersede now."""
    return [sync_id_of(replica, s) for s in shown(siblings_of(replica.entries.get(key)))]


def sync_id_of(replica: Replica, sibling: Sibling) -> str:
    """Name a write for people."""
    return f"{replica.origins[sibling[0]].node_id}-{sibling[1]}"


def _conflict(
    replica: Replica, key: str, siblings: Iterable[Sibling], *, is_open: bool
) -> Conflict:
    return Conflict(
        key=key,
        policy=replica.policies.of(key).value,
        is_open=is_open,
        values=tuple(conflicting_value(replica, sibling) for sibling in siblings),
    )


def conflicting_value(replica: Replica, sibling: Sibling) -> ConflictingValue:
    """Show a sibling to people."""
    number, _, stamp, version, packed, _ = sibling
    return ConflictingValue(
        value=unpack_value(packed) if packed else None,
        is_removed=not packed,
        origin=replica.origins[number].node_id,
        sync_id=sync_id_of(replica, sibling),
        version=version,
        timestamp_ms=milliseconds(stamp),
    )


def peer_statuses(engine: Engine, now: Now) -> list[PeerStatus]:
    """Give every known peer and everyone who was found, by name."""
    excluded = engine.admission.excluded(now)
    return [
        peer_status(engine, member, excluded.get(member.node_id), now)
        for member in shown_members(engine)
    ]


def shown_members(engine: Engine) -> list[Member]:
    """Give all members, and everyone who was found as the member that he would be, by name."""
    shown = {member.node_id: member for member in engine.members}
    for node_id, candidate in engine.dialer.candidates.items():
        member = shown.get(node_id, Member(node_id=node_id, source=PeerSource.INBOUND))
        if not member.host:
            # Nothing better is known than what discovery says, until it was tried; but who has
            # dialled is where it came from, and anybody can say that it is elsewhere.
            session = engine.connections.of_peer(node_id)
            host = session.host if session is not None else ""
            places = [at for at in candidate.addresses if not host or is_same(at.host, host)]
            shown[node_id] = (
                found_at(member, places[0]) if places else replace(member, source=PeerSource.MDNS)
            )
    return [member for _, member in sorted(shown.items())]


def is_same(host: str, other: str) -> bool:
    """Whether two numeric addresses are one; an interface may be named in either, or in none."""
    return host.partition("%")[0] == other.partition("%")[0]


def peer_status(
    engine: Engine, member: Member, exclusion: Exclusion | None, now: Now
) -> PeerStatus:
    """Give how one peer stands."""
    session = engine.connections.of_peer(member.node_id)
    attempt = engine.dialer.of_peer(member.node_id)
    heard = engine.membership.heard.get(member.node_id)
    if session is not None:
        # What was sent under its name, by somebody else.
        exclusion = None
    return PeerStatus(
        node_id=member.node_id,
        host=member.host,
        port=member.port,
        state=(PeerState.FAULTED if exclusion else state_of(engine, member, session, attempt, now)),
        source=member.source,
        lag=max(0, engine.replica.top - member.confirmed),
        in_flight=in_flight(session, engine.replica.me),
        retries=member.retries,
        last_seen_ms=heard.wall_ms if heard else None,
        last_error=exclusion.words if exclusion else last_error(engine, member.node_id, attempt),
        clock_skew_ms=session.skew_ms if session else None,
    )


def last_error(engine: Engine, node_id: str, attempt: Attempt | None) -> str:
    """Give why the last connection with a peer ended, or the last attempt at one."""
    ended = engine.connections.ends.get(node_id)
    if ended is not None and ended.is_refusal:
        # It is there, and an attempt to reach it says less.
        return ended.reason
    if attempt is not None:
        return attempt.last_error
    return ended.reason if ended is not None else ""


def holders(engine: Engine, now: Now) -> dict[str, Known]:
    """Give who holds back collection, by name, with what each is known to have."""
    membership = engine.membership
    active = [
        member
        for member in engine.members
        if membership.holds_back(member, now.wall_ms) or membership.is_awaited(member, now.wall_ms)
    ]
    # After a restart nothing is known but what it confirmed of our own writes.
    return {
        member.node_id: membership.collector.known.get(
            member.node_id, {engine.replica.me: DotSet(member.confirmed)}
        )
        for member in sorted(active, key=lambda member: member.node_id)
    }


def tombstone_holds(replica: Replica, known: Mapping[str, Known]) -> list[TombstoneHold]:
    """Give which members hold back how many tombstones.

    Reads without the lock: what each of a million states is takes a while, and each is one object
    that does not change. So it tells of no single moment, while writes go on.

    Args:
        replica: what this node has.
        known: as `holders` gave it.
    """
    if not known:
        return []
    # One call into C: no other thread changes the table meanwhile.
    states = map(replica.entries.get, list(replica.tombstones))
    lone: dict[int, list[tuple[int, int]]] = {}
    """Origin number -> number and stamp of each remove that stands alone for its key."""
    joint: list[tuple[Sibling, ...]] = []
    for state in states:
        if isinstance(state, KeyState):
            if not any(sibling[4] for sibling in state.siblings):
                joint.append(state.siblings)
        elif state is not None and not state[4]:
            lone.setdefault(state[0], []).append((state[1], state[2]))
    holds: list[TombstoneHold] = []
    for peer, has in known.items():
        held = [stamp for origin, rows in lone.items() for stamp in lacked(rows, has.get(origin))]
        held += [
            min(stamp for _, _, stamp, *_ in siblings)
            for siblings in joint
            if any(n not in has.get(origin, NOTHING) for origin, n, *_ in siblings)
        ]
        if held:
            hold = TombstoneHold(peer=peer, count=len(held), since_ms=milliseconds(min(held)))
            holds.append(hold)
    return holds


def lacked(rows: list[tuple[int, int]], dots: DotSet | None) -> list[int]:
    """Give the stamps of the writes, as (number, stamp), that are not in a set."""
    base = 0 if dots is None else dots.base
    behind = [(n, stamp) for n, stamp in rows if n > base]
    return [stamp for n, stamp in behind if dots is None or n not in dots]


def state_of(
    engine: Engine, member: Member, session: Session | None, attempt: Attempt | None, now: Now
) -> PeerState:
    """Name a peer's state."""
    if member.node_id in engine.delivery.faulted:
        return PeerState.FAULTED
    if session is not None:
        since = session.unanswered_ms
        is_late = since is not None and now.mono_ms - since > engine.options.ack_timeout_ms
        return PeerState.STALE if is_late else PeerState.CONNECTED
    if member.is_met and not engine.membership.holds_back(member, now.wall_ms):
        return PeerState.SUSPENDED
    if attempt is not None and attempt.link is not None:
        return PeerState.CONNECTING
    is_known = member.node_id in engine.membership.heard
    return PeerState.STALE if is_known else PeerState.AVAILABLE


def in_flight(session: Session | None, origin: int) -> int:
    """Count the writes of an origin that are sent over a connection and unconfirmed."""
    return sum(last - first + 1 for first, last in session.flying(origin)) if session else 0

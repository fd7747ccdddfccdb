"""Why a key is not the same everywhere: what stands for it here, and who does not have that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from softadastra.explanation import KeyExplanation, KeyWrite
from softadastra.findings import Cause, Finding
from softadastra.health.moment import Moment
from softadastra.health.obstacles import obstacles
from softadastra.health.refusing import refused
from softadastra.health.standing import ahead
from softadastra.store.clock import milliseconds
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, siblings_of
from softadastra.sync.members import Member
from softadastra.sync.status import shown_members

__all__ = ["explain_key"]


def explain_key(moment: Moment, key: str) -> KeyExplanation:
    """Explain how a key stands, here and at each peer. Costs the peers, not the keys."""
    replica = moment.engine.replica
    siblings = sorted(siblings_of(replica.entries.get(key)), key=replica.rank, reverse=True)
    members = shown_members(moment.engine)
    found = [
        *here(replica, key, siblings),
        *([] if moment.refusal is None else [refused(moment.refusal)]),
        *elsewhere(moment, siblings, members),
        *arriving(moment, members),
    ]
    return KeyExplanation(
        key=key,
        observed_ms=moment.now.wall_ms,
        policy=replica.policies.of(key).value,
        writes=tuple(key_write(moment, sibling, members) for sibling in siblings),
        findings=tuple(dict.fromkeys(found)),
    )


def name_of(replica: Replica, sibling: Sibling) -> str:
    """Name a write for people."""
    return f"{replica.origins[sibling[0]].node_id}-{sibling[1]}"


def key_write(moment: Moment, sibling: Sibling, members: Sequence[Member]) -> KeyWrite:
    """Show a write that stands for a key, and who does not have it."""
    origin, n, stamp, version, packed, _ = sibling
    replica = moment.engine.replica
    had = {member.node_id: moment.has(member, origin, n) for member in members}
    return KeyWrite(
        sync_id=name_of(replica, sibling),
        origin=replica.origins[origin].node_id,
        version=version,
        timestamp_ms=milliseconds(stamp),
        is_removed=not packed,
        lacked_by=tuple(peer for peer, has in had.items() if has is False),
        unknown_of=tuple(peer for peer, has in had.items() if has is None),
    )


def here(replica: Replica, key: str, siblings: Sequence[Sibling]) -> Iterator[Finding]:
    """Give how a key stands on this node."""
    if siblings:
        shown = next((sibling for sibling in siblings if sibling[4]), siblings[0])
        yield Finding(
            cause=Cause.PRESENT if shown[4] else Cause.REMOVED,
            since_ms=milliseconds(shown[2]),
            detail=name_of(replica, shown),
        )
    else:
        yield Finding(cause=Cause.ABSENT)
    if key in replica.conflicted:
        policy = replica.policies.of(key).value
        yield Finding(cause=Cause.CONFLICT, writes=len(siblings), detail=policy)
    for lost in reversed(replica.lost):
        if lost.key == key:
            made = milliseconds(lost.loser[2])
            yield Finding(cause=Cause.LOST, since_ms=made, detail=name_of(replica, lost.loser))


def elsewhere(
    moment: Moment, siblings: Sequence[Sibling], members: Sequence[Member]
) -> Iterator[Finding]:
    """Give which peers have the key as it is here, and why the others do not."""
    if not members:
        yield Finding(cause=Cause.ALONE)
    if not siblings:
        return
    replica = moment.engine.replica
    having: list[str] = []
    unheard: list[Finding] = []
    for member in members:
        peer = member.node_id
        lacked = [s for s in siblings if moment.has(member, s[0], s[1]) is not True]
        if not lacked:
            having.append(peer)
            continue
        origin, n, *_ = lacked[0]
        reasons = list(obstacles(moment, member, origin, n))
        if member.is_met and moment.engine.membership.is_suspended(member, moment.now.wall_ms):
            reasons.append(
                Finding(
                    cause=Cause.SUSPENDED,
                    peer=peer,
                    since_ms=moment.engine.membership.heard_ms(member),
                )
            )
        if any(moment.has(member, s[0], s[1]) is False for s in lacked):
            name = name_of(replica, lacked[0])
            yield Finding(cause=Cause.LACKS_KEY, peer=peer, detail=name)
            yield from reasons
        else:
            unheard += [Finding(cause=Cause.UNHEARD, peer=peer), *reasons]
    yield from unheard
    if having:
        yield Finding(cause=Cause.HAVE_IT, peers=tuple(having))


def arriving(moment: Moment, members: Sequence[Member]) -> Iterator[Finding]:
    """Give which peers have writes that are not here: one of the key may be among them."""
    for member in members:
        known = moment.known(member.node_id)
        writes = 0 if known is None else ahead(moment.engine, known)
        if writes:
            yield Finding(cause=Cause.IS_AHEAD, peer=member.node_id, writes=writes)

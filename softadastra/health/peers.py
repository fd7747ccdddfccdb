"""Why a peer is not in step with this node, and what it holds back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from softadastra.explanation import PeerExplanation
from softadastra.findings import Cause, Finding
from softadastra.health.moment import Moment
from softadastra.health.obstacles import obstacles, out_of_touch
from softadastra.health.refusing import refused
from softadastra.health.standing import lag_since_ms, peer_vitals
from softadastra.store.changes import OWN
from softadastra.store.clock import DRAG_MAX_MS
from softadastra.store.dots import DotSet, subtract
from softadastra.sync.members import Member
from softadastra.types import TombstoneHold
from softadastra.vitals import PeerVitals

__all__ = ["explain_peer"]

SKEW_MAX_MS: Final = DRAG_MAX_MS
"""A clock that is further off than this does not drag ours along any more, and its writes win or
lose conflicts by that."""
NOTHING = DotSet()


def explain_peer(moment: Moment, member: Member, hold: TombstoneHold | None) -> PeerExplanation:
    """Explain how a peer stands.

    Args:
        moment: when.
        member: the peer.
        hold: what it holds back, if it does.
    """
    vitals = peer_vitals(moment, member, moment.engine.connections.traffic())
    found = [*missing(moment, member, vitals), *circumstances(moment, member, vitals)]
    if hold is not None:
        found.append(
            Finding(
                cause=Cause.HOLDS_TOMBSTONES,
                peer=member.node_id,
                writes=hold.count,
                since_ms=hold.since_ms,
            )
        )
    if not found:
        found = [Finding(cause=Cause.IN_STEP, peer=member.node_id, since_ms=vitals.since_ms)]
    if moment.refusal is not None:
        found.append(refused(moment.refusal))
    return PeerExplanation(
        observed_ms=moment.now.wall_ms, peer=vitals, findings=tuple(dict.fromkeys(found))
    )


def missing(moment: Moment, member: Member, vitals: PeerVitals) -> Iterator[Finding]:
    """Give what the peer and this node lack of each other, and why."""
    engine, peer = moment.engine, member.node_id
    lacked = first_lacked(moment, member)
    if vitals.lag:
        since = lag_since_ms(engine, member)
        yield Finding(cause=Cause.LACKS, peer=peer, writes=vitals.lag, since_ms=since)
    if vitals.others_lag:
        yield Finding(cause=Cause.LACKS_OTHERS, peer=peer, writes=vitals.others_lag)
    if lacked is not None:
        yield from obstacles(moment, member, *lacked)
        held = engine.replica.top - engine.delivery.last_sendable
        if held:
            yield Finding(cause=Cause.HELD, writes=held)
    else:
        absence = out_of_touch(moment, member)
        if absence is not None:
            yield absence
    if vitals.ahead:
        yield Finding(cause=Cause.IS_AHEAD, peer=peer, writes=vitals.ahead)
    if vitals.ahead is None:
        yield Finding(cause=Cause.UNHEARD, peer=peer)


def first_lacked(moment: Moment, member: Member) -> tuple[int, int] | None:
    """Give the first write that a peer lacks, own ones first, as origin number and n."""
    replica = moment.engine.replica
    if member.confirmed < replica.top:
        return OWN, member.confirmed + 1
    known = moment.known(member.node_id)
    if known is None:
        return None
    for number, log in replica.haves():
        ranges = subtract(log.ranges(), known.get(number, NOTHING))
        first = next(ranges, None) if number != OWN else None
        if first is not None:
            return number, first[0]
    return None


def circumstances(moment: Moment, member: Member, vitals: PeerVitals) -> Iterator[Finding]:
    """Give what else is to be known of a peer."""
    engine, peer = moment.engine, member.node_id
    if peer in engine.delivery.snapshots.unequal:
        yield Finding(cause=Cause.DIGEST_DIFFERED, peer=peer)
    if member.is_met and engine.membership.is_suspended(member, moment.now.wall_ms):
        yield Finding(cause=Cause.SUSPENDED, peer=peer, since_ms=vitals.last_seen_ms)
    if vitals.relayed_by:
        yield Finding(cause=Cause.RELAYED, peer=peer, peers=vitals.relayed_by)
    skew = vitals.clock_skew_ms
    if skew is not None and abs(skew) > SKEW_MAX_MS:
        yield Finding(cause=Cause.CLOCK_SKEWED, peer=peer, skew_ms=skew)

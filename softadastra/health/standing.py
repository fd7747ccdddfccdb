"""How a peer stands with the node: its vitals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from softadastra.health.moment import Moment
from softadastra.store.changes import OWN
from softadastra.store.clock import milliseconds
from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.siblings import siblings_of
from softadastra.sync.collection import Known
from softadastra.sync.engine import Engine
from softadastra.sync.members import Member
from softadastra.sync.session import Session
from softadastra.sync.status import peer_status
from softadastra.sync.traffic import Traffic
from softadastra.vitals import PeerVitals, TrafficTotals

__all__ = ["lag_since_ms", "next_ms", "peer_vitals", "relays_to", "since_ms", "totals"]

ROWS_READ = 64
"""Where nothing tells when a write was made, so many behind it are asked."""
NOTHING = DotSet()


def peer_vitals(moment: Moment, member: Member, traffic: Mapping[str, Traffic]) -> PeerVitals:
    """Give how a peer stands.

    Args:
        moment: when.
        member: the peer.
        traffic: what went over connections, by peer, as `Connections.traffic` gave it.
    """
    engine, peer = moment.engine, member.node_id
    status = peer_status(engine, member, moment.excluded.get(peer), moment.now)
    session = engine.connections.of_peer(peer)
    known = moment.known(peer)
    since = lag_since_ms(engine, member)
    return PeerVitals(
        node_id=peer,
        host=status.host,
        port=status.port,
        state=status.state,
        source=status.source,
        since_ms=since_ms(engine, peer),
        last_seen_ms=(engine.membership.heard_ms(member) or None) if member.is_met else None,
        lag=status.lag,
        lag_ms=0 if since is None else max(0, moment.now.wall_ms - since),
        others_lag=None if known is None else lacked(engine, known),
        ahead=None if known is None else ahead(engine, known),
        in_flight=status.in_flight,
        batches_in_flight=len(session.flights) if session else 0,
        retries=status.retries,
        last_error=status.last_error,
        next_ms=next_ms(moment, peer, session),
        round_trip_ms=session.round_trip_ms if session else None,
        confirmation_ms=session.confirmation_ms if session else None,
        clock_skew_ms=status.clock_skew_ms,
        relayed_by=() if session else relays_to(engine, peer),
        traffic=totals([traffic[peer]] if peer in traffic else []),
    )


def totals(counted: Iterable[Traffic]) -> TrafficTotals:
    """Give what was counted, all of it together, as a value."""
    total = Traffic()
    for traffic in counted:
        total.add(traffic)
    return TrafficTotals(
        bytes_in=total.bytes_in,
        bytes_out=total.bytes_out,
        batches_in=total.batches_in,
        batches_out=total.batches_out,
        writes_in=total.writes_in,
        writes_out=total.writes_out,
    )


def since_ms(engine: Engine, peer: str) -> int | None:
    """Give the wall clock since when a peer is connected, or is not; None: never in this life."""
    connections = engine.connections
    if peer in connections.since:
        return connections.since[peer].wall_ms
    ended = connections.ends.get(peer)
    return ended.at.wall_ms if ended is not None else None


def next_ms(moment: Moment, peer: str, session: Session | None) -> int | None:
    """Give the wall clock when a peer is dialled, or sent something again."""
    if session is not None:
        due = min((flight.due_ms for flight in session.flights.values()), default=None)
    else:
        attempt = moment.engine.dialer.of_peer(peer)
        due = None if attempt is None or attempt.link is not None else attempt.due_ms
    return None if due is None else max(moment.wall_ms(due), moment.now.wall_ms)


def relays_to(engine: Engine, peer: str) -> tuple[str, ...]:
    """Give the connected peers that say that they are connected to another one."""
    sessions = [engine.connections.of_peer(node_id) for node_id in engine.connections.active]
    return tuple(sorted(s.peer_id for s in sessions if s is not None and peer in s.neighbours))


def lag_since_ms(engine: Engine, member: Member) -> int | None:
    """Give the wall clock when the first own write was made that a peer lacks; None: it lacks none.

    See `PeerVitals.lag_ms` for how exact that is.
    """
    first = member.confirmed + 1
    log = engine.replica.logs[OWN]
    if first > log.base:
        return None
    for number, stamp in own_siblings(engine, first):
        if number == first:
            return milliseconds(stamp)
    marked = engine.timeline.stamp_of(first)
    if marked is not None:
        return milliseconds(marked)
    rows = range(first, min(log.base, first + ROWS_READ) + 1)
    later = [stamp for n in rows for _, stamp in own_siblings(engine, n)]
    return milliseconds(min(later, default=engine.replica.clock))


def own_siblings(engine: Engine, n: int) -> list[tuple[int, int]]:
    """Give number and stamp of the own writes that stand for the key of an own write."""
    replica = engine.replica
    key = replica.logs[OWN].key(n)
    state = None if key is None else replica.entries.get(key)
    return [(number, stamp) for origin, number, stamp, *_ in siblings_of(state) if origin == OWN]


def lacked(engine: Engine, known: Known) -> int:
    """Count the writes of others that are here and that a peer is not known to have."""
    replica = engine.replica
    return sum(
        size(subtract(log.ranges(), known.get(number, NOTHING)))
        for number, log in replica.haves()
        if number != OWN and (log.beyond or log.base > known.get(number, NOTHING).base)
    )


def ahead(engine: Engine, known: Known) -> int:
    """Count the writes that a peer has and that are not here."""
    total = 0
    for number, dots in known.items():
        log = engine.replica.logs.get(number)
        base = log.base if log is not None else 0
        if dots.top > base:
            here = DotSet(base, log.ranges_beyond()) if log is not None else NOTHING
            total += size(subtract(dots.ranges(), here))
    return total


def size(ranges: Iterator[Range]) -> int:
    """Count the writes in ranges."""
    return sum(last - first + 1 for first, last in ranges)

"""The journey of one write: its steps on all nodes, in an order that keeps to cause and effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from softadastra.tracing.causality import Order, order
from softadastra.tracing.lines import Event
from softadastra.tracing.logs import Batch, Logs, Point, batch_of, batches_of
from softadastra.tracing.skew import skews
from softadastra.tracing.sync_ids import SyncId, covers

__all__ = ["Journey", "Stage", "Step", "Traveller", "journey_of"]


class Stage(StrEnum):
    """What becomes of a write at one node, in the order in which it usually does."""

    ACCEPTED = "accepted"
    DURABLE = "durable"
    RELEASED = "released"
    SENT = "sent"
    RETRIED = "retried"
    FAULTED = "faulted"
    CUT = "cut"
    """A connection ended with a batch on its way that brings the write."""
    RECEIVED = "received"
    MERGED = "merged"
    """It is durable at a node that did not have it."""
    REPEATED = "repeated"
    """It came to a node that had it."""
    JOINED = "joined"
    """The end of a snapshot: the node counts as having it, and it is obsolete."""
    LOST = "lost"
    """Another write, which did not know of it, takes its place."""
    WON = "won"
    CONFLICTED = "conflicted"
    """It is kept beside another one, until somebody settles that."""
    DROPPED = "dropped"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    PRUNED = "pruned"
    COLLECTED = "collected"
    NOTED = "noted"
    """Another event names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of the journey."""

    node_id: str
    stage: Stage
    event: str
    ts: int
    """The node's own wall clock, in milliseconds since 1970."""
    at_ms: int | None
    """About how long after the first step, as far as messages tell how far the clocks are apart."""
    lamport: int
    """Higher than that of all that happened before."""
    causes: tuple[int, ...]
    """The places, in the journey, of the node's own step before and of what sent what came here."""
    peer: str = ""
    batches: tuple[int, ...] = ()
    connection: str = ""
    is_durable: bool | None = None
    """Of an accepted one: whether it was synced by then."""
    is_superseded: bool = False
    """Of a merged one: whether it came without a value of its own."""
    has_arrived: bool | None = None
    """Of a sent one: whether the log of its receiver shows it; None: there is no such log."""
    attempts: int = 1
    others: tuple[str, ...] = ()
    """The writes that it lost to, won over, or is in conflict with."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traveller:
    """A node that the write came by, or was sent to."""

    node_id: str
    has_log: bool
    skew_ms: int | None
    """How far its clock is ahead of the first node's; None: no message between them tells."""
    skew_within_ms: int | None
    """How far off that is at most; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What became of one write, as far as the logs tell."""

    sync_id: SyncId
    key: str | None
    """None: no log names it."""
    nodes: tuple[Traveller, ...]
    """In the order in which the write comes to them."""
    steps: tuple[Step, ...]
    remarks: tuple[str, ...]
    """What is to be known of the logs to read this rightly."""


STAGES: Final[Mapping[str, Stage]] = {
    "write.accepted": Stage.ACCEPTED,
    "wal.synced": Stage.DURABLE,
    "write.released": Stage.RELEASED,
    "batch.sent": Stage.SENT,
    "batch.retried": Stage.RETRIED,
    "peer.faulted": Stage.FAULTED,
    "peer.lost": Stage.CUT,
    "batch.received": Stage.RECEIVED,
    "batch.merged": Stage.MERGED,
    "snapshot.joined": Stage.JOINED,
    "conflict.lost": Stage.LOST,
    "conflict.found": Stage.CONFLICTED,
    "write.dropped": Stage.DROPPED,
    "batch.acknowledged": Stage.ACKNOWLEDGED,
    "batch.confirmed": Stage.CONFIRMED,
    "write.pruned": Stage.PRUNED,
    "write.collected": Stage.COLLECTED,
}


def journey_of(logs: Logs) -> Journey:
    """Put together the journey of the write that logs were read for.

    It has no steps when no log names the write.
    """
    points = logs.points()
    ordered = order(points)
    picked = list(_picked(points, ordered, logs.sync_id))
    senders: defaultdict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for delivery in ordered.deliveries:
        senders[delivery.receiver].append(delivery.sender)
    steps = _connected(list(_steps(picked, points, logs.sync_id)), picked, senders)
    names = _names(steps, logs.sync_id)
    clocks = skews(points, ordered.deliveries, steps[0].node_id) if steps else {}
    began = steps[0].ts if steps else 0
    timed = tuple(
        replace(step, at_ms=step.ts - began - clocks[step.node_id].ms)
        if step.node_id in clocks
        else step
        for step in steps
    )
    nodes = tuple(
        Traveller(
            node_id=name,
            has_log=name in points,
            skew_ms=clocks[name].ms if name in clocks else None,
            skew_within_ms=clocks[name].within_ms if name in clocks else None,
        )
        for name in names
    )
    key = next((key for place in picked if (key := _key(points, place)) is not None), None)
    remarks = tuple(_remarks(logs, timed, nodes, ordered))
    return Journey(sync_id=logs.sync_id, key=key, nodes=nodes, steps=timed, remarks=remarks)


_Place = tuple[int, str, int]
"""Lamport's number, node id, place among the node's points: sorted, causes come first."""


def _picked(
    points: Mapping[str, Sequence[Point]], ordered: Order, sync_id: SyncId
) -> Iterator[_Place]:
    """Give what belongs to the journey, in order."""
    carriers = set(_carriers(points, sync_id))
    connections = {(batch.sender, batch.connection) for batch in carriers}
    places = []
    for node_id, line in points.items():
        in_flight: set[Batch] = set()
        for index, point in enumerate(line):
            event = point.event
            if event is None:
                continue
            if event.name == "peer.lost":
                connection = str(event.fields.get("connection"))
                lost = {batch for batch in in_flight if batch.connection == connection}
                in_flight -= lost
                is_part = bool(lost) and (node_id, connection) in connections
            elif event.name in ("batch.acknowledged", "batch.confirmed"):
                landed = carriers.intersection(batches_of(event))
                in_flight -= landed
                is_part = bool(landed)
            elif event.name in ("batch.retried", "peer.faulted"):
                is_part = batch_of(event, is_sender=True) in carriers
            elif event.name == "batch.received":
                is_part = batch_of(event, is_sender=False) in carriers
            else:
                is_part = True
                if event.name == "batch.sent":
                    in_flight.add(batch_of(event, is_sender=True))
            if is_part:
                places.append((ordered.numbers[node_id][index], node_id, index))
    yield from sorted(places)


def _carriers(points: Mapping[str, Sequence[Point]], sync_id: SyncId) -> Iterator[Batch]:
    """Give the batches that bring the write."""
    for line in points.values():
        for point in line:
            if point.event is not None and covers(point.event.fields.get("sync_id"), sync_id):
                if point.event.name == "batch.sent":
                    yield batch_of(point.event, is_sender=True)
                elif point.event.name == "batch.merged":
                    yield batch_of(point.event, is_sender=False)


def _steps(
    picked: Iterable[_Place], points: Mapping[str, Sequence[Point]], sync_id: SyncId
) -> Iterator[Step]:
    carriers = set(_carriers(points, sync_id))
    arrived = {message for line in points.values() for p in line for message in p.takes}
    having: set[str] = set()
    for number, node_id, index in picked:
        event = points[node_id][index].event
        assert event is not None, "only what has an event is picked"
        step = _step(event, number, sync_id, carriers)
        if step.stage in (Stage.ACCEPTED, Stage.JOINED):
            having.add(node_id)
        elif step.stage is Stage.MERGED:
            if node_id in having:
                step = replace(step, stage=Stage.REPEATED)
            having.add(node_id)
        elif step.stage is Stage.SENT:
            batch = batch_of(event, is_sender=True)
            taken = bool({("batch", batch), ("merged", batch)} & arrived)
            is_known = taken or batch.receiver in points
            step = replace(step, has_arrived=taken if is_known else None)
        yield step


def _step(event: Event, number: int, sync_id: SyncId, carriers: set[Batch]) -> Step:
    fields = event.fields
    stage = STAGES.get(event.name, Stage.NOTED)
    others: tuple[str, ...] = ()
    if event.name == "conflict.lost":
        is_loser = covers(fields.get("sync_id"), sync_id)
        stage = Stage.LOST if is_loser else Stage.WON
        others = (str(fields.get("winner" if is_loser else "sync_id")),)
    elif event.name == "conflict.found":
        named = fields.get("sync_id")
        listed = named if isinstance(named, list) else [named]
        others = tuple(str(each) for each in listed if each != str(sync_id))
    numbers: tuple[int, ...] = ()
    if "batches" in fields:
        numbers = tuple(sorted({b.number for b in batches_of(event) if b in carriers}))
    elif isinstance(fields.get("batch"), int):
        numbers = (fields["batch"],)
    attempts = fields.get("attempts")
    return Step(
        node_id=event.node_id,
        stage=stage,
        event=event.name,
        ts=event.ts,
        at_ms=None,
        lamport=number,
        causes=(),
        peer=str(fields.get("peer", "")),
        batches=numbers,
        connection=str(fields.get("connection", "")),
        is_durable=bool(fields.get("durable")) if stage is Stage.ACCEPTED else None,
        is_superseded=covers(fields.get("superseded"), sync_id),
        attempts=attempts if isinstance(attempts, int) else 1,
        others=others,
        reason=str(fields.get("reason", "")),
    )


def _connected(
    steps: list[Step],
    picked: Sequence[_Place],
    senders: defaultdict[tuple[str, int], list[tuple[str, int]]],
) -> list[Step]:
    """Note with each step what came right before it."""
    places = {(node_id, index): place for place, (_, node_id, index) in enumerate(picked)}
    last: dict[str, int] = {}
    for place, (_, node_id, index) in enumerate(picked):
        causes = {places[sender] for sender in senders[node_id, index] if sender in places}
        if node_id in last:
            causes.add(last[node_id])
        steps[place] = replace(steps[place], causes=tuple(sorted(causes)))
        last[node_id] = place
    return steps


def _names(steps: Iterable[Step], sync_id: SyncId) -> list[str]:
    """Give the nodes of a journey, in the order in which it comes to them."""
    names: dict[str, None] = {}
    for step in steps:
        if not names and step.node_id != sync_id.node_id and step.peer == sync_id.node_id:
            names[sync_id.node_id] = None
        names[step.node_id] = None
        if step.stage is Stage.SENT:
            names[step.peer] = None
    return list(names)


def _key(points: Mapping[str, Sequence[Point]], place: _Place) -> str | None:
    event = points[place[1]][place[2]].event
    key = None if event is None else event.fields.get("key")
    return key if isinstance(key, str) else None


def _remarks(
    logs: Logs, steps: Sequence[Step], nodes: Iterable[Traveller], ordered: Order
) -> Iterator[str]:
    accepted = sum(step.stage is Stage.ACCEPTED for step in steps)
    if accepted > 1:
        yield (
            f"{logs.sync_id} was accepted {accepted} times: the logs are of several nodes of this"
            " name, or of one that was wiped, and their journeys are mixed"
        )
    elif steps and not accepted:
        yield f"no log shows where {logs.sync_id} was accepted"
    for node in nodes:
        if not node.has_log:
            yield f"no log of {node.node_id} was read"
        elif node.node_id not in logs.debugs:
            yield f"the log of {node.node_id} has no debug events, so most of its steps are missing"
    if ordered.contradictions:
        first = ordered.contradictions[0]
        yield (
            f"{len(ordered.contradictions)} messages were taken before they were sent, as one of"
            f" {first.sender[0]} by {first.receiver[0]}: parts of a log stand in a wrong order"
        )

"""What is kept of the logs of all nodes: the ends of messages, and all that concerns one write.

A log grows with each message, so most lines leave nothing but the names of the messages that they
send and take. Files are read one after the other; only then the parts of each node's log are put
in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from softadastra.tracing.lines import Event, parse_line
from softadastra.tracing.sync_ids import Span, SyncId, covers, parse_span

__all__ = ["Batch", "LogFile", "Logs", "Message", "Point"]

ROTATED = re.compile(r"^(.*?)(?:\.(\d{1,9})|-(\d{8,14}(?:-\d+)?))?(?:\.gz)?$", re.DOTALL | re.ASCII)
"""What logrotate makes of a name: "node.log.2.gz" (the highest is the oldest), or with dateext
"node.log-20261126"."""


class Batch(NamedTuple):
    """A batch, as both of its ends call it."""

    sender: str
    receiver: str
    connection: str
    number: int


Message: TypeAlias = tuple[str, Any]
"""A kind of message and its name: who has a place that sends it, and one that takes it, knows
which of the two came first."""


class Point(NamedTuple):
    """A line that counts: an event at its place in a node's log."""

    node_id: str
    ts: int
    sends: Message | None
    takes: tuple[Message, ...]
    event: Event | None
    """None: it concerns other writes, and is here for its messages alone."""
    identity: int
    """Equal for equal lines, as of a file that was read twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """What one file was found to hold."""

    name: str
    events: int
    foreign: int
    """Lines that are no events."""
    is_cut: bool
    """Whether its last line has no end."""


@dataclass(slots=True)
class Part:
    """The points of one node in one file."""

    file: str
    first_ts: int
    points: list[Point] = field(default_factory=list)


class Logs:
    """Takes in the logs of all nodes, in search of one write.

    Args:
        sync_id: the write.
    """

    def __init__(self, sync_id: SyncId) -> None:
        self.sync_id = sync_id
        self.files: list[LogFile] = []
        self.writes: dict[str, Span] = {}
        """Node id -> from which to which own write it logged."""
        self.debugs: set[str] = set()
        """The nodes that logged anything at debug."""
        self._parts: dict[str, list[Part]] = {}

    @property
    def node_ids(self) -> list[str]:
        """The nodes that logged anything, in order of their names."""
        return sorted(self._parts)

    def read(self, name: str, lines: Iterable[str]) -> None:
        """Take in a file.

        Args:
            name: its path.
            lines: its lines, from the first one on, each with its line end.
        """
        parts: dict[str, Part] = {}
        events = foreign = 0
        is_cut = False
        for text in lines:
            event = parse_line(text)
            if not isinstance(event, Event):
                is_cut = event.is_cut
                foreign += not (is_cut or text.isspace())
                continue
            events += 1
            part = parts.get(event.node_id)
            if part is None:
                part = parts[event.node_id] = Part(name, event.ts)
            self._note(event)
            point = point_of(event, self.sync_id, hash(text.rstrip()))
            if point is not None:
                part.points.append(point)
        for node_id, part in parts.items():
            self._parts.setdefault(node_id, []).append(part)
        self.files.append(LogFile(name=name, events=events, foreign=foreign, is_cut=is_cut))

    def _note(self, event: Event) -> None:
        if event.level == "debug":
            self.debugs.add(event.node_id)
        if event.name == "write.accepted":
            span = parse_span(str(event.fields.get("sync_id")))
            if span is not None:
                known = self.writes.get(span.node_id, span)
                first, last = min(known.first, span.first), max(known.last, span.last)
                self.writes[span.node_id] = Span(span.node_id, first, last)

    def points(self) -> Mapping[str, list[Point]]:
        """Give what is kept of each node's log, in its order; what two files have only once."""
        return {node_id: list(joined(parts)) for node_id, parts in self._parts.items()}


def joined(parts: Iterable[Part]) -> Iterator[Point]:
    """Put the parts of a node's log in their order: by rotation, else by the node's own clock."""
    begins: dict[str, int] = {}
    for part in parts:
        base = rotation(part.file)[0]
        begins[base] = min(part.first_ts, begins.get(base, part.first_ts))
    ordered = sorted(
        parts,
        key=lambda part: (begins[rotation(part.file)[0]], *rotation(part.file), part.first_ts),
    )
    seen: set[int] = set()
    for part in ordered:
        earlier = frozenset(seen) if len(ordered) > 1 else frozenset()
        for point in part.points:
            if point.identity not in earlier:
                seen.add(point.identity)
                yield point


def rotation(name: str) -> tuple[str, tuple[int, str, int]]:
    """Give what a file was called before it was rotated, and its place there, oldest first."""
    match = ROTATED.match(name)
    assert match, "every name matches"
    base, number, date = match.groups()
    if number is not None:
        return base, (1, "", -int(number))
    return base, (0, date, 0) if date is not None else (2, "", 0)


BATCH_EVENTS: Final = frozenset(
    {
        "batch.sent",
        "batch.retried",
        "batch.received",
        "batch.merged",
        "batch.acknowledged",
        "batch.confirmed",
        "peer.faulted",
    }
)
"""The events that concern a write when they are about a batch that brings it."""


def point_of(event: Event, sync_id: SyncId, identity: int) -> Point | None:
    """Give what is kept of an event; None when that is nothing."""
    fields = event.fields
    is_named = covers(fields.get("sync_id"), sync_id) or covers(fields.get("winner"), sync_id)
    sends: Message | None = None
    takes: tuple[Message, ...] = ()
    match event.name:
        case "batch.sent":
            sends = ("batch", batch_of(event, is_sender=True))
        case "batch.received":
            takes = (("batch", batch_of(event, is_sender=False)),)
        case "batch.merged":
            batch = batch_of(event, is_sender=False)
            takes = (("batch", batch),)
            # Of one that came twice nobody knows which time an acknowledgement is of.
            sends = None if fields.get("again") else ("merged", batch)
        case "batch.acknowledged":
            takes = tuple(("merged", batch) for batch in batches_of(event))
        case "have.told":
            sends = ("have", (event.node_id, fields.get("number")))
        case "have.heard":
            takes = (("have", (fields.get("peer"), fields.get("number"))),)
        case _:
            pass
    keeps = is_named or event.name == "peer.lost" or event.name in BATCH_EVENTS - NAMING
    if not (keeps or sends or takes):
        return None
    return Point(event.node_id, event.ts, sends, takes, event if keeps else None, identity)


NAMING: Final = frozenset({"batch.sent", "batch.merged"})
"""Those that name their writes."""


def batch_of(event: Event, *, is_sender: bool) -> Batch:
    """Name the batch that an event is about."""
    ends = (event.node_id, str(event.fields.get("peer")))
    sender, receiver = ends if is_sender else ends[::-1]
    number = event.fields.get("batch")
    return Batch(
        sender,
        receiver,
        str(event.fields.get("connection")),
        number if isinstance(number, int) else 0,
    )


def batches_of(event: Event) -> list[Batch]:
    """Name the batches of this node's that an event is about."""
    listed = event.fields.get("batches")
    if not isinstance(listed, list):
        return [batch_of(event, is_sender=True)]
    one = batch_of(event, is_sender=True)
    return [one._replace(number=number) for number in listed if isinstance(number, int)]

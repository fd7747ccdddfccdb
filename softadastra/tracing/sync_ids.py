"""What logs call writes: "node-a-17", and "node-a-1..64" for many."""

from __future__ import annotations

import re
from typing import NamedTuple

from softadastra.errors import InvalidArgumentError

__all__ = ["Span", "SyncId", "covers", "parse_span", "parse_sync_id"]

SPAN = re.compile(r"(.+)-(\d{1,20})(?:\.\.(\d{1,20}))?", re.DOTALL | re.ASCII)


class SyncId(NamedTuple):
    """One write: the n-th of a node."""

    node_id: str
    n: int

    def __str__(self) -> str:
        return f"{self.node_id}-{self.n}"


class Span(NamedTuple):
    """Consecutive writes of one node."""

    node_id: str
    first: int
    last: int


def parse_sync_id(text: str) -> SyncId:
    """Read the name of one write, as `put` gives it.

    Raises:
        InvalidArgumentError: it is none.
    """
    span = parse_span(text)
    if span is None or ".." in text[len(span.node_id) :]:
        raise InvalidArgumentError(
            f"{text!r} is no sync id: expected the node's id, a hyphen and a number, as node-a-17",
            sync_id=text,
        )
    return SyncId(span.node_id, span.first)


def parse_span(text: str) -> Span | None:
    """Read what a list of writes in a log has; None for anything else."""
    match = SPAN.fullmatch(text)
    return match and Span(match[1], int(match[2]), int(match[3] or match[2]))


def covers(named: object, sync_id: SyncId) -> bool:
    """Whether a field of an event names a write: as text, or in a list with ranges."""
    if isinstance(named, str):
        span = parse_span(named)
        return (
            span is not None
            and span.node_id == sync_id.node_id
            and span.first <= sync_id.n <= span.last
        )
    return isinstance(named, list) and any(
        isinstance(item, str) and covers(item, sync_id) for item in named
    )

"""One line of a log: an event of Softadastra, or what somebody else wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

__all__ = ["Event", "Line", "parse_line"]

COMMON: Final = ("event", "level", "node_id", "ts")
LEVELS: Final = frozenset({"debug", "info", "warning", "error"})
TS_MAX: Final = 1 << 53
"""Milliseconds; some 285,000 years. What is beyond is no time, and would overflow a date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that a node logged."""

    name: str
    level: str
    node_id: str
    ts: int
    """The wall clock of the node, in milliseconds since 1970."""
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is no event."""

    is_cut: bool
    """Whether it begins as one and has no end: the node was killed while it wrote, or writes."""


def parse_line(text: str) -> Event | Line:
    """Read a line; it has its line end, unless the file ends before it."""
    if not text.startswith("{"):
        return Line(is_cut=False)
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return Line(is_cut=not text.endswith("\n"))
    if not isinstance(members, dict):
        return Line(is_cut=False)
    name, level, node_id, ts = (members.pop(each, None) for each in COMMON)
    is_event = (
        isinstance(name, str)
        and isinstance(node_id, str)
        and node_id != ""
        and level in LEVELS
        and type(ts) is int
        and 0 <= ts < TS_MAX
    )
    if not is_event:
        return Line(is_cut=False)
    return Event(name=name, level=level, node_id=node_id, ts=ts, fields=MappingProxyType(members))

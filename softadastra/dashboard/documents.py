"""What the page is told, as JSON.

Values go as text that people read, never as JSON values: a browser has no 64-bit integers, and a
value that is a program's own HTML stays text. Long ones are cut, and say so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from softadastra.tagged_json import to_json
from softadastra.types import Change, Conflict, Entry, Event, Value
from softadastra.vitals import Rates, Vitals

__all__ = [
    "GLIMPSE_CHARACTERS",
    "VALUE_CHARACTERS",
    "change_document",
    "conflict_document",
    "encoded",
    "entry_document",
    "event_document",
    "value_document",
    "vitals_document",
]

Document = dict[str, object]
"""A JSON object."""

VALUE_CHARACTERS: Final = 64 * 1024
"""Of a value that is shown by itself: more than anybody reads in a page."""

GLIMPSE_CHARACTERS: Final = 240
"""Of a value in a list: four lines on a phone."""

CONFLICT_CHARACTERS: Final = 4 * 1024
"""Of each value of a conflict, which are compared."""

CONFLICT_VALUES_MAX: Final = 16
"""Of one conflict; there may be as many as nodes that wrote."""

FIELD_CHARACTERS: Final = 400
"""Of one field of an event."""


def encoded(document: Mapping[str, object]) -> str:
    """Write a document as one line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def value_document(value: Value, limit: int) -> Document:
    """Describe a value: what kind it is, and its text up to a number of characters."""
    text = value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)
    return {"kind": kind_of(value), "text": text[:limit], "characters": len(text)}


def kind_of(value: Value) -> str:
    """Name what a value is."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case bytes():
            return "bytes"
        case datetime():
            return "time"
        case list():
            return "list"
        case _:
            return "object"


def entry_document(entry: Entry, limit: int) -> Document:
    """Describe what a key holds."""
    return {
        "key": entry.key,
        "value": value_document(entry.value, limit),
        "version": entry.version,
        "timestamp_ms": entry.timestamp_ms,
        "origin": entry.origin,
        "sync_id": entry.sync_id,
    }


def change_document(change: Change) -> Document:
    """Describe a change of a key."""
    value = None if change.is_removed else value_document(change.value, GLIMPSE_CHARACTERS)
    return {
        "key": change.key,
        "value": value,
        "version": change.version,
        "timestamp_ms": change.timestamp_ms,
        "origin": change.origin,
        "sync_id": change.sync_id,
    }


def conflict_document(conflict: Conflict) -> Document:
    """Describe a conflict: the values that are compared, and the ids of all writes."""
    values = [
        {
            "value": None if each.is_removed else value_document(each.value, CONFLICT_CHARACTERS),
            "origin": each.origin,
            "sync_id": each.sync_id,
            "version": each.version,
            "timestamp_ms": each.timestamp_ms,
        }
        for each in conflict.values[:CONFLICT_VALUES_MAX]
    ]
    return {
        "key": conflict.key,
        "policy": conflict.policy,
        "is_open": conflict.is_open,
        "values": values,
        "seen": [each.sync_id for each in conflict.values],
    }


def event_document(event: Event) -> Document:
    """Describe an event; its fields as text."""
    fields = {name: _plain(value) for name, value in event.fields.items()}
    return {
        "name": event.name,
        "level": event.level,
        "timestamp_ms": event.timestamp_ms,
        "fields": fields,
    }


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:FIELD_CHARACTERS]


def vitals_document(vitals: Vitals, rates: Rates | None) -> Document:
    """Describe how the node is, with the rates since the look before."""
    found = dataclasses.asdict(vitals)
    return {**found, "rates": None if rates is None else dataclasses.asdict(rates)}

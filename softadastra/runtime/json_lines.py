"""Write events as JSON lines: without structlog, because a put at debug level waits for it.

A line takes a third of the time that a dict takes which goes through structlog and a record of
the standard library (docs/events.md). What is not plain text, a number or a list of texts goes the
long way. Own writes, of which there is a line each, are made of the few parts that differ.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from softadastra.runtime.event_file import EventFile, Lines
from softadastra.runtime.event_stream import EventStream
from softadastra.sync.notices import Accepted, Level, Notice, Told

__all__ = ["RESERVED_NAMES", "JsonLines"]

RESERVED_NAMES: Final = frozenset(
    {"event", "level", "node_id", "ts", "timestamp", "exc_info", "stack", "exception"}
)
"""Names with a meaning to these modules or to structlog's console renderer. A field of such a
name is shown with an underscore behind it."""


_encoder = JSONEncoder(separators=(",", ":"), allow_nan=False)
"""Kept, because making one costs more than encoding a field with it. ASCII only, so that no
stream's encoding can refuse a line."""


class JsonLines:
    """Writes events to a handler of the standard library. Safe to use from any thread.

    The handler brings the lock, follows a file that is rotated, and reports a failed write on
    standard error.

    Args:
        handler: where lines go; its formatter is replaced.
        plain: makes of any value what JSON has. Never raises.
    """

    __slots__ = ("_append", "_plain")

    def __init__(self, handler: logging.Handler, plain: Callable[[object], object]) -> None:
        handler.setFormatter(_AsItIs())
        self._append = (
            handler.append
            if isinstance(handler, EventFile | EventStream)
            else partial(append_to, handler)
        )
        self._plain = plain

    def write(self, node_id: str, told: Iterable[Told]) -> None:
        """Write events, all with one call of the system. Never raises."""
        now_ms = time.time_ns() // 1_000_000
        lines: list[str] = []
        for some in told:
            if isinstance(some, Accepted):
                lines += accepted_lines(some, now_ms)
            else:
                lines.append(self._line(some, node_id, now_ms))
        if lines:
            self._append("\n".join(lines))

    def _line(self, notice: Notice, node_id: str, now_ms: int) -> str:
        level, event, fields = notice
        text = f"{beginning(event, level, node_id)}{now_ms}"
        for name, value in fields.items():
            if type(value) is str:
                text += f"{member(name)}{quoted(value)}"
            elif value is True or value is False:
                text += f"{member(name)}{'true' if value else 'false'}"
            else:
                text += member(name) + self._encoded(value)
        return text + "}"

    def _encoded(self, value: object) -> str:
        if type(value) is list and all(type(item) is str for item in value):
            return f"[{','.join(map(quoted, value))}]"
        return _encoder.encode(self._plain(value))


class _AsItIs(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg)


def append_to(handler: logging.Handler, text: str) -> None:
    """Write lines to a handler of the standard library."""
    handler.acquire()
    try:
        handler.emit(Lines(text))
    finally:
        handler.release()


def accepted_lines(accepted: Accepted, now_ms: int) -> list[str]:
    """Give the lines of own writes, in which little but their numbers and keys differs."""
    head, name, end = accepted_parts(accepted.node_id, accepted.durable)
    begin = f"{head}{now_ms}{name}"
    n = accepted.first
    lines = []
    for key in accepted.keys:
        lines.append(f'{begin}{n}","key":{quoted(key)}{end}')
        n += 1
    return lines


@lru_cache(maxsize=256)
def accepted_parts(node_id: str, durable: bool) -> tuple[str, str, str]:
    """Give what stands before the time, before the number, and behind the key."""
    head = beginning(Accepted.event, Accepted.level, node_id)
    name = f',"sync_id":{quoted(node_id)[:-1]}-'
    return head, name, f"{member('durable')}{'true' if durable else 'false'}}}"


@lru_cache(maxsize=256)
def beginning(event: str, level: Level, node_id: str) -> str:
    """Give what each line of an event begins with, up to its time."""
    return f'{{"event":"{event}","level":"{level.name.lower()}","node_id":{quoted(node_id)},"ts":'


@lru_cache(maxsize=256)
def member(name: str) -> str:
    """Give a field's name as it stands before its value."""
    return f",{quoted(f'{name}_' if name in RESERVED_NAMES else name)}:"

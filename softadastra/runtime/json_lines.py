"""Write events as JSON lines: without structlog, because a put at debug level waits for it.

A line takes a third of the time that a dict takes which goes through structlog and a record of
the standard library (docs/events.md). What is not plain text, a number or a list of texts goes the
long way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from softadastra.sync.notices import Level, Notice

__all__ = ["RESERVED_NAMES", "JsonLines"]

RESERVED_NAMES: Final = frozenset(
    {"event", "level", "node_id", "ts", "timestamp", "exc_info", "stack", "exception"}
)
"""Names with a meaning to these modules or to structlog's console renderer. A field of such a
name is shown with an underscore behind it."""

LEVELS: Final = {level: level.name.lower() for level in Level}

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

    __slots__ = ("_handler", "_plain")

    def __init__(self, handler: logging.Handler, plain: Callable[[object], object]) -> None:
        handler.setFormatter(_AsItIs())
        self._handler = handler
        self._plain = plain

    def write(self, node_id: str, notices: Iterable[Notice]) -> None:
        """Write events, all with one call of the system. Never raises."""
        common = f',"node_id":{quoted(node_id)},"ts":{time.time_ns() // 1_000_000}'
        encoded = self._encoded
        lines = []
        for level, event, fields in notices:
            text = f'{{"event":"{event}","level":"{LEVELS[level]}"{common}'
            for name, value in fields.items():
                if type(value) is str:
                    text += f"{member(name)}{quoted(value)}"
                elif value is True or value is False:
                    text += f"{member(name)}{'true' if value else 'false'}"
                else:
                    text += member(name) + encoded(value)
            lines.append(text + "}")
        if not lines:
            return
        handler = self._handler
        handler.acquire()
        try:
            handler.emit(_Lines("\n".join(lines)))
        finally:
            handler.release()

    def _encoded(self, value: object) -> str:
        if type(value) is list and all(type(item) is str for item in value):
            return f"[{','.join(map(quoted, value))}]"
        return _encoder.encode(self._plain(value))


class _Lines(logging.LogRecord):
    """Lines that are made already; what else a record has takes longer than a line."""

    def __init__(self, text: str) -> None:
        self.msg = text
        self.args = None


class _AsItIs(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg)


@lru_cache(maxsize=256)
def member(name: str) -> str:
    """Give a field's name as it stands before its value."""
    return f",{quoted(f'{name}_' if name in RESERVED_NAMES else name)}:"

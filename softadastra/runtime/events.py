"""Turn each notice of the node into one structured event of the same name.

Silent by default: events from warning upwards go to the standard library's logger
"softadastra", which has a NullHandler, so that they show up in applications that configured
logging and nowhere else. `configure_logging` sends them to a stream or a file instead.
Nothing is ever written to standard output unless a caller passes it as the stream.

structlog's global configuration belongs to the application: it is neither read nor changed.
structlog takes 100 ms to import, so it is imported by the first enabled event or by
`configure_logging`, never by `import softadastra`. JSON lines do without it (`json_lines.py`).

An event never raises: values are made plain before they are rendered, and a stream that
cannot be written to is reported by the standard library on standard error. Values of bytes are
shown as their length only, because packed user data is bytes; notices carry no user data.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TextIO

from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.runtime.event_file import EventFile
from softadastra.runtime.event_stream import EventStream, may_hold_up
from softadastra.runtime.json_lines import RESERVED_NAMES, JsonLines
from softadastra.runtime.listening import NOBODY, Listeners
from softadastra.sync.notices import Level, Notice, Told, each
from softadastra.types import Event

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor

__all__ = ["Events", "configure_logging", "logging_restored"]

NESTING_MAX = 4
"""Levels of a field that are shown. No notice needs more than two; the limit ends cycles."""

_standard_logger = logging.getLogger("softadastra")
_standard_logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class _Output:
    """Where events go. Replaced as a whole, so that a reader never sees half of a change."""

    threshold: Level
    logger: FilteringBoundLogger | None = None
    """None: the standard library's logger, wrapped when the first event needs it."""
    lines: JsonLines | None = None
    """Where events go instead when they are JSON."""
    stream: EventStream | None = None
    """What they end up in, if it may have dropped some."""


_output = _Output(threshold=Level.WARNING)


class Events:
    """Emits the events of one node. Safe to use from any thread.

    Args:
        node_id: the node's name, shown in every event.
    """

    __slots__ = ("_node_id", "listeners")

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self.listeners = Listeners(self.log)
        """Who is told of events within the process."""

    def is_enabled(self, level: Level) -> bool:
        """Tell whether an event of this level goes anywhere, to save the work of making it."""
        return level >= _output.threshold or level >= self.listeners.least

    def emit(self, *notices: Told) -> None:
        """Write events, in the calling thread, and hand them to who listens. Never raises."""
        self.log(*notices)
        least = self.listeners.least
        if least == NOBODY:
            return
        for notice in each(told for told in notices if told.level >= least):
            event = Event(
                name=notice.event,
                level=notice.level.name.lower(),
                node_id=self._node_id,
                timestamp_ms=time.time_ns() // 1_000_000,
                fields={name: _shown(value) for name, value in notice.fields.items()},
            )
            self.listeners.offer(event)

    def log(self, *notices: Told) -> None:
        """Write events, in the calling thread, those whose level is enabled. Never raises."""
        output = _output
        enabled = [told for told in notices if told.level >= output.threshold]
        if not enabled:
            return
        if output.stream is not None:
            output.stream.tell_missed(partial(self._tell_missed, output))
        self._write(output, enabled)

    def _tell_missed(self, output: _Output, count: int) -> None:
        """Tell of dropped lines, whatever the threshold: of what was wanted some is missing."""
        self._write(output, [Notice(Level.WARNING, "log.missed", {"count": count})])

    def _write(self, output: _Output, enabled: list[Told]) -> None:
        if output.lines is not None:
            output.lines.write(self._node_id, enabled)
            return
        logger = output.logger or _default_logger()
        for level, event, fields in each(enabled):
            logger.log(level, event, node_id=self._node_id, fields=fields)


def configure_logging(
    level: str = "info",
    format: str = "console",  # noqa: A002  the word that users of logging libraries expect
    stream: TextIO | None = None,
    file: str | os.PathLike[str] | None = None,
    colors: bool | None = None,
) -> None:
    """Send the events of all nodes in this process to a stream or a file.

    Replaces what an earlier call set, also for open nodes. Safe to call from any thread.

    Args:
        level: the least that is written: "debug", "info", "warning" or "error". "debug" has an
            event a write and a message.
        format: "console" for people, "json" for one JSON object a line.
        stream: an open text stream, which stays the caller's to close; default standard error.
            A pipe, a socket or a terminal is written past the stream's buffer; while nobody reads
            it, lines wait for half a second once, then they are dropped and counted (`log.missed`).
        file: a file to append to instead; reopened when it is rotated away. Its directory must
            exist.
        colors: whether lines for people have colours; default: on a terminal that can show them,
            unless the variable NO_COLOR is set.

    Raises:
        InvalidArgumentError: a value is none of these, or both stream and file are given.
        StorageError: the file cannot be opened; logging is as before.
    """
    levels = {each.name.lower(): each for each in Level}
    if level not in tuple(levels):
        raise InvalidArgumentError(
            f"cannot log at level {level!r}: expected one of {', '.join(levels)}", level=level
        )
    if format not in ("console", "json"):
        raise InvalidArgumentError(
            f"cannot log in format {format!r}: expected console or json", format=format
        )
    _check_destination(stream, file)
    handler = _open_handler(stream, file)
    lossy = handler if isinstance(handler, EventStream) else None
    threshold = levels[level]
    if format == "json":
        output = _Output(threshold=threshold, lines=JsonLines(handler, _shown), stream=lossy)
    else:
        renderers = (_for_people, _console(handler, colors))
        # `log.missed` is written at any threshold; `Events.log` looks at that of all others.
        logger = _wrap(_private_logger(handler), min(threshold, Level.WARNING), *renderers)
        output = _Output(threshold=threshold, logger=logger, stream=lossy)
    # Closed by the last thread that lets go of it: a handler that is closed while an event is
    # on its way to it would open its file again.
    weakref.finalize(output, handler.close)
    global _output
    _output = output


@contextmanager
def logging_restored() -> Iterator[None]:
    """Send events where they went before, when the block ends."""
    global _output
    before = _output
    try:
        yield
    finally:
        _output = before


def _check_destination(stream: TextIO | None, file: str | os.PathLike[str] | None) -> None:
    if stream is not None and file is not None:
        raise InvalidArgumentError("cannot log to a stream and a file: give one of the two")
    if file is not None and not isinstance(file, (str, os.PathLike)):
        raise InvalidArgumentError(f"cannot log to the file {file!r}: expected a path")
    if stream is not None and (not hasattr(stream, "write") or getattr(stream, "closed", False)):
        raise InvalidArgumentError(
            f"cannot log to {stream!r}: expected an open text stream; give a path as `file`"
        )


def _open_handler(stream: TextIO | None, file: str | os.PathLike[str] | None) -> logging.Handler:
    """Make the standard library's handler: it brings the lock, and reports a failed write."""
    if file is None:
        stream = sys.stderr if stream is None else stream
        return EventStream(stream) if may_hold_up(stream) else logging.StreamHandler(stream)
    try:
        return EventFile(file)
    except OSError as error:
        raise StorageError(
            f"cannot append to the log file {os.fspath(file)!r}: {error.strerror}",
            errno=error.errno,
            filename=os.fspath(file),
        ) from error


def _private_logger(handler: logging.Handler) -> logging.Logger:
    """Make a logger outside the hierarchy, so that the application's loggers stay as they are."""
    logger = logging.Logger("softadastra")
    logger.addHandler(handler)
    return logger


@cache
def _default_logger() -> FilteringBoundLogger:
    return _wrap(_standard_logger, Level.WARNING, _for_people, _without_time_and_level, _console())


def _wrap(target: logging.Logger, threshold: Level, *renderers: Processor) -> FilteringBoundLogger:
    import structlog

    logger: FilteringBoundLogger = structlog.wrap_logger(
        target,
        processors=[_arrange, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        context_class=dict,
    ).bind()
    return logger


def _arrange(_: Any, level: str, event: EventDict) -> EventDict:
    """Put what every event has in front of the fields, and make the fields plain."""
    arranged: dict[str, object] = {
        "event": event["event"],
        "level": level,
        "node_id": event["node_id"],
        "ts": time.time_ns() // 1_000_000,
    }
    for name, value in event["fields"].items():
        arranged[f"{name}_" if name in RESERVED_NAMES else name] = _shown(value)
    return arranged


def _shown(value: object) -> object:
    try:
        return _plain(value)
    except Exception as error:  # whatever a foreign object raises must not stop the node
        return f"{type(value).__name__} that raised {type(error).__name__} when it was logged"


def _plain(value: object, depth: int = 1) -> object:
    """Reduce a field to what JSON has: null, booleans, 64-bit integers, finite floats, text.

    Enums become their values, containers lists and objects, all else its `str()`.
    """
    match value:
        case None | bool():
            return value
        case int():
            fits = -(2**63) <= value < 2**64
            return int(value) if fits else f"integer of {value.bit_length()} bits"
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case Mapping() | list() | tuple() | set() | frozenset() if depth > NESTING_MAX:
            return f"{type(value).__name__} of {len(value)}"
        case Mapping():
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth + 1) for item in value]
        case _:
            return str(value)


def _for_people(_: Any, __: str, event: EventDict) -> EventDict:
    """Show the time as ISO 8601 in UTC, and control characters escaped.

    Text that came from a peer must not move the cursor or forge a line of the log.
    """
    instant = datetime.fromtimestamp(event.pop("ts") / 1000, UTC)
    event["timestamp"] = instant.isoformat(timespec="milliseconds")
    return {
        name: value.encode("unicode_escape").decode("ascii")
        if isinstance(value, str) and not value.isprintable()
        else value
        for name, value in event.items()
    }


def _without_time_and_level(_: Any, __: str, event: EventDict) -> EventDict:
    """Leave to the application's formatter what the log record says itself."""
    del event["timestamp"], event["level"]
    return event


def _console(handler: logging.Handler | None = None, colors: bool | None = None) -> Processor:
    """Make the renderer for people: aligned for a handler of ours, bare within a log record."""
    from structlog.dev import ConsoleRenderer

    if colors is None:
        is_terminal = getattr(getattr(handler, "stream", None), "isatty", None)
        is_able = is_terminal is not None and is_terminal() and os.environ.get("TERM") != "dumb"
        colors = is_able and not os.environ.get("NO_COLOR")
    return ConsoleRenderer(
        colors=colors, sort_keys=False, pad_event_to=0 if handler is None else 28
    )

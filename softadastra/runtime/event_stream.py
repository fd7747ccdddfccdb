"""A stream that events are written to and that may not take them: a pipe, a socket, a terminal.

Rules:

- A reader that has stopped holds nobody up. Lines wait for room once, for `WAIT_SECONDS`. From then
  on those that find none are dropped and counted, until the stream takes a line again.
- No line is torn. What is told together leaves in pieces of whole lines of at most
  `select.PIPE_BUF` bytes, which a pipe takes whole or not. What is left of a piece that was begun,
  as of a longer line or on a terminal, is kept and goes before anything else; only the end of the
  process loses it.
- The stream's own buffer is passed by: who waits for room may hold its lock, and what it keeps
  could not be taken back.
- No flag of the descriptor is changed: the shell and other processes share it.

Nothing here raises. What cannot be written is reported as Python's logging does it.
"""

from __future__ import annotations

import io
import logging
import math
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TextIO

from softadastra.runtime.event_file import Lines

__all__ = ["EventStream", "may_hold_up"]

WAIT_SECONDS: Final = 0.5
"""How long lines wait for room: longer than a busy machine keeps a reader from reading, and so
short that a node still ends within a second."""


class EventStream(logging.StreamHandler[TextIO]):
    """A handler of the standard library, which brings the lock. Safe to use from any thread.

    Args:
        stream: one that `may_hold_up`; it stays the caller's to close.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        assert self.lock is not None, "only a handler without a lock has none"
        self._own = self.lock
        self._begun = b""
        """What is left of a piece of which the stream has taken a part."""
        self._is_full = False
        """Whether a piece has waited in vain since the stream took one whole."""
        self.missed = 0
        """How many lines were dropped and not told of."""

    def append(self, text: str) -> None:
        """Write lines. Never raises.

        Args:
            text: the lines, the last of them without its end.
        """
        with self._own:
            try:
                self._write(text)
            except Exception:
                self.handleError(Lines(text))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Never raises."""
        try:
            self._write(self.format(record))
        except Exception:
            self.handleError(record)

    def tell_missed(self, tell: Callable[[int], None]) -> None:
        """Have the lines told that were dropped, if there are any and the stream takes lines again.

        Args:
            tell: writes one line to this handler, which says how many they were.
        """
        if not self.missed:
            return
        with self._own:
            try:
                is_heard = self._pass_on() and is_ready(self.stream.fileno(), 0)
            except Exception:
                return  # The line that comes next meets the same, and reports it.
            if is_heard:
                count, self.missed = self.missed, 0
                tell(count)
                if self.missed:
                    self.missed = count  # It was dropped itself.

    def _write(self, text: str) -> None:
        data = f"{text}\n".encode(self.stream.encoding, "backslashreplace")
        for piece in pieces_of(data):
            # Nothing follows what was dropped before it is told that something was.
            if self.missed or not self._pass_on() or not self._begin(piece):
                self.missed += piece.count(b"\n")

    def _begin(self, piece: bytes) -> bool:
        """Write a piece; give whether the stream has taken any of it."""
        self._begun = piece
        try:
            self._pass_on()
        finally:
            is_taken = len(self._begun) < len(piece)
            if not is_taken:
                self._begun = b""
        return is_taken

    def _pass_on(self) -> bool:
        """Write what was begun; give whether nothing is left of it."""
        if not self._begun:
            return True
        until = time.monotonic() + (0.0 if self._is_full else WAIT_SECONDS)
        while self._begun:
            # Asked for each time: under a number that was closed another file may be open by now.
            descriptor = self.stream.fileno()
            taken = write_some(descriptor, self._begun[: select.PIPE_BUF])
            self._begun = self._begun[taken:]
            if not taken:
                left_seconds = until - time.monotonic()
                if left_seconds <= 0:
                    self._is_full = True
                    return False
                is_ready(descriptor, left_seconds)
        self._is_full = False
        return True


def may_hold_up(stream: object) -> bool:
    """Tell whether who writes to a stream may have to wait for a reader.

    Only of what Python opens by itself, whose descriptor gets all that is written to it; not where
    the system cannot be asked, as on Windows.
    """
    if not hasattr(select, "poll") or type(stream) is not io.TextIOWrapper:
        return False
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return False
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


def pieces_of(data: bytes) -> Iterator[bytes]:
    """Cut lines into pieces of whole lines that a pipe takes at once; a longer line is a piece."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + select.PIPE_BUF)
        if end < 0:
            end = data.index(b"\n", start)
        yield data[start : end + 1]
        start = end + 1


def is_ready(descriptor: int, wait_seconds: float) -> bool:
    """Wait until something can be written, or it is known that nothing can."""
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(max(0, math.ceil(wait_seconds * 1000))))


def write_some(descriptor: int, data: bytes) -> int:
    """Write to a descriptor what it takes at once; give how much.

    That it is ready does not say that there is room for all: not on a terminal, and not when
    another process writes to the same pipe. So it is opened a second time, which has flags of its
    own. Where that cannot be, as with a socket, with another user's terminal or without Linux'
    /proc, it is written when it is ready.
    """
    own = -1
    with suppress(OSError):
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if own < 0:
            return os.write(descriptor, data) if is_ready(descriptor, 0) else 0
        return os.write(own, data)
    except BlockingIOError:
        return 0
    finally:
        if own >= 0:
            os.close(own)

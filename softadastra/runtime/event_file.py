"""The file that events are appended to: with one call to the system, whatever a reader does to it.

Rules:

- Lines are never mixed: what is told together is one write to a file that is opened to append, also
  when several processes share it. What a full disk cut off ends with the next line's beginning.
- A file that is renamed or removed, as logrotate does, is followed: the first event that comes
  `LOOK_SECONDS` later, or more, opens the name anew. What was written meanwhile is in the old file.
- Nothing here raises. What cannot be written is reported as Python's logging does it, on standard
  error, and lost.

The standard library's handler writes through a buffer that it flushes at once: that takes three
times as long, and when a flush fails it writes what is left with the next line.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import time
from typing import Final

__all__ = ["EventFile", "Lines"]

ENCODING: Final = "utf-8"

LOOK_SECONDS = 0.1
"""How often it is looked where the name leads, at most: it takes longer than to write a line."""

NEVER: Final = float("-inf")


class Lines(logging.LogRecord):
    """Lines that are made already; what else a record has takes longer than a line."""

    def __init__(self, text: str) -> None:
        self.msg = text
        self.args = None


class EventFile(logging.handlers.WatchedFileHandler):
    """A handler of the standard library, which brings the lock. Safe to use from any thread.

    Args:
        path: the file; its directory must exist.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, encoding=ENCODING)
        assert self.lock is not None, "only a handler without a lock has none"
        self._own = self.lock
        self._descriptor = -1
        self._looked = NEVER
        """When it was looked where the name leads. `NEVER`: the descriptor is that of no file."""
        self._is_cut = False
        """Whether the last line has no end."""

    def append(self, text: str) -> None:
        """Write lines. Never raises.

        Args:
            text: the lines, the last of them without its end.
        """
        with self._own:
            try:
                self._write_all(f"{text}\n".encode(ENCODING, "backslashreplace"))
            except Exception:
                self.handleError(Lines(text))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Never raises."""
        try:
            self._write_all(f"{self.format(record)}\n".encode(ENCODING, "backslashreplace"))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file; an event that comes later opens it again. Again is no error."""
        with self._own:
            self._looked = NEVER
            super().close()

    def _follow(self) -> None:
        """Open the name anew when it leads to another file, or to none."""
        self.reopenIfNeeded()
        if self.stream is None:
            # The last time it could not be opened, as when its directory was gone.
            self.stream = self._open()
            self._statstream()
        self._descriptor = self.stream.fileno()
        self._looked = time.monotonic()

    def _write_all(self, data: bytes) -> None:
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = NEVER
            self._follow()
        descriptor = self._descriptor
        if self._is_cut:
            data = b"\n" + data
        written = os.write(descriptor, data)
        while written < len(data):
            self._is_cut = True
            data = data[written:]
            written = os.write(descriptor, data)
        self._is_cut = False

"""Follow a log that grows, through rotation: by name, as `tail -F` does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from softadastra.cli.log_files import LINE_BYTES_MAX, NoLogError, text_lines
from softadastra.errors import StorageError

__all__ = ["Follower"]

LOOK_SECONDS = 0.2
"""How often to look for more: what people take for at once, and next to no work."""


class Follower:
    """Reads a log, and what is appended to it; a line is given when its end is there.

    When another file has its name, what was left of the old one is read, then that. One that was
    made shorter, as by copytruncate, is read from its beginning.

    Args:
        path: the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._begun = ""
        """What there is of a line whose end is yet to come."""

    def __enter__(self) -> Self:
        self._file = self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError as error:
            raise NoLogError(f"no log at {self._path}", path=str(self._path)) from error
        except OSError as error:
            raise StorageError(
                f"cannot read the log {str(self._path)!r}: {error.strerror}",
                errno=error.errno,
                filename=str(self._path),
            ) from error

    def present(self) -> Iterator[str]:
        """Give the lines that are there."""
        assert self._file is not None, "it is used in a with"
        for text in text_lines(self._file):
            # What is longer than a line can be is none, and must not fill the memory.
            self._begun = text if len(self._begun) > LINE_BYTES_MAX else self._begun + text
            if text.endswith("\n"):
                line, self._begun = self._begun, ""
                yield line

    def wait(self) -> Iterator[str]:
        """Wait a moment, then give the lines that have come."""
        time.sleep(LOOK_SECONDS)
        assert self._file is not None, "it is used in a with"
        yield from self.present()
        if self._was_cut():
            self._file.seek(0)
            self._begun = ""
            yield from self.present()
        elif self._is_another():
            # Between the two looks its last lines may have come.
            yield from self.present()
            self._file.close()
            self._file = self._open()
            self._begun = ""
            yield from self.present()

    def _was_cut(self) -> bool:
        assert self._file is not None, "it is used in a with"
        return os.fstat(self._file.fileno()).st_size < self._file.tell()

    def _is_another(self) -> bool:
        """Whether the name is another file's by now; not while nobody has it."""
        assert self._file is not None, "it is used in a with"
        try:
            named = self._path.stat()
        except OSError:
            return False
        return not os.path.samestat(named, os.fstat(self._file.fileno()))

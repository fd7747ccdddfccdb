"""A new file for a log, in which what is obsolete is left out.

It is written aside, at the path with ".new" appended, while the log goes on in the old file. Then
what was appended meanwhile is copied behind it, and it takes the name of the old one in one step.
A crash at any point leaves the old file or the new one, whole.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from softadastra.errors import StorageError
from softadastra.wal.allocation import allocate_ahead
from softadastra.wal.disk import Disk, File, OpenMode, aside_of, write_all
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    KIND_MARK,
    End,
    Header,
    Record,
    beginning,
    encode_file_header,
    encode_frames,
    seed_of,
)
from softadastra.wal.recovery import read_records

__all__ = ["Rewrite"]

COPY_BYTES: Final = 1 << 16
"""Frames of the old file that are copied at a time: of small records in 0.7 ms, and whoever writes
waits as long for the interpreter."""

FREE_BYTES: Final = 1 << 20
"""How much room of the old file is given back at a time: ext4 holds its journal for 0.2 ms
meanwhile, and so long a sync of the new file waits. All at once it is 5 ms for 24 MB."""


class Rewrite:
    """The new file of a log. For one thread.

    Args:
        disk: where it is.
        path: of the log.
        header: of the new file.
        old: the file that it is to replace.
        old_seed: of its frames.
        start: where in it those frames begin that are to follow in the new one.
        adopt: has the log go on in this file.

    Raises:
        StorageError: the system refused; nothing is left.
    """

    def __init__(
        self,
        disk: Disk,
        path: Path,
        header: Header,
        old: File,
        old_seed: int,
        start: End,
        *,
        adopt: Callable[[Rewrite], None],
    ) -> None:
        self.header = header
        self._disk = disk
        self._path = path
        self._old = old
        self._old_seed = old_seed
        self._copied = start
        self._reading: Generator[Record, None, End] | None = None
        self._stop = start.offset
        self._adopt = adopt
        self.replaced: File | None = None
        """The old file, once the log goes on in this one."""
        self._is_adopted = False
        self._room: int | None = None
        """How much of the old file is there still; 0: it is not to be cut. None: not asked yet."""
        disk.remove(aside_of(path))
        self.file: File = disk.open(aside_of(path), OpenMode.NEW)
        self._is_open = True
        try:
            self.identity = self.file.identity()
            """Device and number of the new file."""
            block = encode_file_header(header)
            write_all(self.file, block, 0)
        except BaseException:
            self.discard()
            raise
        self.allocated = 0
        """Up to where zeros were written ahead, when they were."""
        self.seed = seed_of(block)
        self.end = beginning(self.seed)

    @property
    def size_bytes(self) -> int:
        """How large it is by now."""
        return self.end.offset

    def lag_bytes(self, end: int) -> int:
        """How much of the old file, up to an offset, is still to be copied."""
        return end - self._copied.offset

    def append(self, records: Sequence[Record]) -> None:
        """Write records, in one call to the system.

        Raises:
            StorageError: the system refused; the new file is of no use any more.
        """
        self._write(records, self.end)

    def copy_some(self, end: int) -> None:
        """Copy some of the frames of the old file, up to this offset.

        Raises:
            StorageError: as in `append`, or what is read back is not what was written.
        """
        if self._reading is None:
            self._stop = end
            self._reading = read_records(
                self._old, self._old_seed, start=self._copied, stop=self._stop
            )
        records: list[Record] = []
        size_bytes = 0
        while size_bytes < COPY_BYTES:
            try:
                records.append(next(self._reading))
            except StopIteration as found:
                self._reading, self._copied = None, found.value
                if self._copied.offset != self._stop:
                    raise StorageError(
                        f"{self._path} cannot be read back at offset {self._copied.offset}, where "
                        "a frame was written; check the device",
                        filename=str(self._path),
                    ) from None
                break
            size_bytes += len(records[-1][1])
        self.append(records)

    def adopt(self) -> None:
        """Have the log go on in this file, under the same path. No append may be under way.

        The old file is not closed yet: `free_some` and `discard` let go of it, while others append.

        Raises:
            InvalidStateError: the log is not open.
            StorageError: the system refused. The old file goes on; or the log is poisoned, since
                it is not known which of the two a power cut would leave.
        """
        self._adopt(self)
        self._is_adopted = True

    def put_in_place(self, end: int) -> None:
        """Copy the rest of the old file, make all durable, and take its name.

        It is durable under that name when the directory is synced.

        Raises:
            StorageError: the system refused; the old file has its name still.
        """
        while self.lag_bytes(end):
            self.copy_some(end)
        self._mark()
        self.file.sync()
        self._disk.rename(aside_of(self._path), self._path)
        self._is_open = False

    def _mark(self) -> None:
        """Say in a frame that all before it is durable: it has its name only when it is.

        Without it, damage to the records of a log that was not closed could pass for a torn tail;
        and the first of them say what is had before the others have it.
        """
        self._write([(KIND_MARK, b"")], self.end._replace(mark=self.end.offset))

    def _write(self, records: Sequence[Record], end: End) -> None:
        data, behind = encode_frames(records, end, seed=self.seed)
        write_all(self.file, data, end.offset)
        self.end = behind

    def prepare(self) -> None:
        """Write zeros for what is appended next, and make durable what is there.

        Then neither the last sync nor the first one of the log in this file changes its size.

        Raises:
            StorageError: the new file is of no use any more.
        """
        self.allocated = allocate_ahead(self.file, self.end.offset)
        self.file.sync()

    def sync(self) -> None:
        """Make durable what is there, so that a later sync has less to do.

        Raises:
            StorageError: the new file is of no use any more.
        """
        self.file.sync()

    def free_some(self) -> bool:
        """Give back a piece of the old file's room, once the log goes on in this one.

        Not when somebody else may see it: a copy that is being made, another process, another name.

        Returns:
            Whether to go on with it; if not, `discard` gives back what is left.
        """
        # All of it is durable in the new file, whatever fails here.
        with suppress(StorageError):
            if self._room is None:
                self._room = self._room_to_free()
            if self._room > FREE_BYTES:
                self._room -= FREE_BYTES
                self._old.truncate(self._room)
                return True
        return False

    def _room_to_free(self) -> int:
        # Before its name is durable a power cut may bring the old file back.
        if not self._is_adopted or not self._old.lease():
            return 0
        room = self._old.size()
        if room > FREE_BYTES:
            # Who comes to it all the same takes no beginning of a log for a whole one.
            write_all(self._old, bytes(FILE_HEADER_BYTES), 0)
        return room

    def discard(self) -> None:
        """Let go of this file, or once the log goes on in it of the old one. Again is no error.

        The room of a file without a name is freed when it is closed, of a large one in 20 ms.
        """
        if self.replaced is not None:
            # All of it is durable in the new file, however this one ends.
            with suppress(StorageError):
                self.replaced.close()
        elif self._is_open:
            self._is_open = False
            self.file.close()
            # What cannot be removed now is removed when the log is opened again.
            with suppress(StorageError):
                self._disk.remove(aside_of(self._path))

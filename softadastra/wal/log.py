"""The write-ahead log: open it, replay it, append to it, sync it.

    open() -> replay() to its end -> append() and sync(), any number of times -> close()

Rules:

- A frame is durable when a `sync` that began after its `append` has returned.
- What failed has changed nothing: a partial frame is cut off before the error is raised.
- All bytes behind the last frame are zero or beyond the end of the file; recovery rests on it.
- After a failed sync, or a failed cut, nobody knows what the disk holds: the log is poisoned,
  takes nothing more, and only recovery at the next open finds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Final

from softadastra.errors import InvalidStateError, SoftadastraError, StorageError
from softadastra.wal.allocation import allocate_ahead
from softadastra.wal.disk import NO_SPACE_ERRNOS, Disk, File, OpenMode, copy_file, write_all
from softadastra.wal.forks import open_logs
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_OVERHEAD_BYTES,
    KIND_MARK,
    End,
    Header,
    Record,
    beginning,
    encode_frame,
    encode_frames,
)
from softadastra.wal.lock import LockFile
from softadastra.wal.log_file import open_log_file, take_log_file
from softadastra.wal.log_state import LogState, refusal
from softadastra.wal.recovery import (
    TornTail,
    check_finished,
    keep_tail,
    read_records,
    rewrite,
    torn_bytes,
)
from softadastra.wal.rewriting import Rewrite

__all__ = ["WriteAheadLog"]

_READY: Final = LogState.READY
"""Looked up once: a member of an enum takes 60 ns in Python 3.11, a twentieth of an append."""


class WriteAheadLog:
    """One file of frames, each a kind and a payload, held open by one process.

    One caller at a time, except that `sync` may run in one thread while another appends: it
    then covers what was appended before it began.

    Args:
        path: the file; it and its directory are made when they are missing.
        disk: where it is.
    """

    __slots__ = (
        "__weakref__",
        "_allocated",
        "_disk",
        "_durable",
        "_end",
        "_file",
        "_header",
        "_held",
        "_lock",
        "_path",
        "_replaced",
        "_seed",
        "_state",
        "_swapping",
        "torn_tail",
    )

    _file: File
    """What is read and written, once it was opened."""
    _replaced: File | None
    """What it went on from last; whoever rewrote that closes it."""
    _held: File | None
    """The same, for as long as it is open."""
    _header: Header
    _seed: int
    _allocated: int
    """Up to where zeros were written ahead, or asked for in vain. Invariant: never below the end
    after an append."""
    _durable: int
    """Up to where the file is known durable. Invariant: a frame boundary, never above the end."""
    _end: tuple[int, int, int, int]
    """An `End`, as a plain tuple for speed. One value, so that an interrupt between two stores
    cannot leave an offset with the sequence and the chain of another."""

    def __init__(self, path: Path, *, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._lock = LockFile(path, disk=disk)
        self._held = None
        self._replaced = None
        self._state = LogState.CLOSED
        self._swapping = Lock()
        """Held while the file is synced or replaced: each is for a thread of its own."""
        self._durable = FILE_HEADER_BYTES
        self._end = beginning(0)
        self.torn_tail: TornTail | None = None
        """What the last replay cut off, None when the log ended cleanly."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def size_bytes(self) -> int:
        """Where the last frame ends; the file is larger by the space allocated ahead."""
        return self._end[0]

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number of the file, while it is open: a copy of it has others."""
        return self._file.identity()

    @property
    def is_poisoned(self) -> bool:
        """Whether a failure left the file in an unknown state: only `close` is of use now."""
        return self._state is LogState.POISONED

    def open(self, *, node_id: str, incarnation: int) -> Header:
        """Lock the log, create it when it is missing, and check whose it is.

        Args:
            node_id: whose log it has to be.
            incarnation: 64 bits for a new log; an existing one keeps its own.

        Returns:
            The header that the file has.

        Raises:
            InvalidStateError: it is open already.
            InvalidArgumentError: node id or incarnation are out of range.
            StoreLockedError: another process, or another log here, has it open.
            StoreError: it is another node's log, of another format, or no log at all.
            WalCorruptionError: its header is damaged.
            StorageError: the system refused, as in a directory that is not writable.
        """
        if self._state is not LogState.CLOSED:
            raise InvalidStateError(f"{self._path} is open already: close it first")
        header = Header(node_id=node_id, incarnation=incarnation, generation=1)
        self._disk.make_directory(self._path.parent)
        # First: a child that is forked while another thread is in here lets go of the lock too.
        open_logs.add(self)
        try:
            self._lock.acquire(node_id=node_id)
            # Known before it is locked: an interrupt in between leaves no lock behind.
            self._held = self._file = open_log_file(self._disk, self._path, header)
            self._header, self._seed = take_log_file(self._disk, self._file, node_id)
            self._durable = FILE_HEADER_BYTES
            self._end = beginning(self._seed)
            self.torn_tail = None
            self._state = LogState.OPENED
        except BaseException:
            self._let_go()
            raise
        return self._header

    def anchor(self, path: Path) -> None:
        """Know the open file by another path, as one that no change of directory turns away."""
        self._path = path

    def replay(self) -> Iterator[Record]:
        """Give the kind and the payload of each intact frame, in order.

        When the last one is taken, the end of the file is settled: a torn tail is copied aside,
        cut off, and reported in `torn_tail`; what was written since the last sync of the
        previous run is made durable. Only then may `append` be called. A replay that is not
        taken to its end changes nothing and may be begun again.

        Raises:
            InvalidStateError: the log is not open, or replayed already.
            WalCorruptionError: it is damaged; nothing was changed on disk.
            StorageError: the system refused; close the log and open it again.
        """
        if self._state is not LogState.OPENED:
            raise self._refusal("replay")
        end = yield from read_records(self._file, self._seed)
        torn = None
        size_bytes = torn_bytes(self._file, end, self._seed)
        check_finished(self._path, self._header, end)
        if size_bytes:
            torn = keep_tail(self._disk, self._file, end.offset, size_bytes)
            self._file.truncate(end.offset)
        if torn or end.mark < end.offset:
            rewrite(self._file, end.mark, end.offset)
            self._sync_file()
        self._durable = end.offset
        self._end = end
        self._allocated = self._file.size()
        self.torn_tail = torn
        self._state = LogState.READY

    def copy_to(self, path: Path, behind: Sequence[Record] = ()) -> None:
        """Copy all frames to a new file, durably; from any thread, while others append.

        What is there is never changed, so only its end is taken at one moment.

        Args:
            path: of the new file.
            behind: kinds and payloads that the copy has behind them.

        Raises:
            InvalidArgumentError: this log is rewritten at the path.
            AlreadyExistsError: there is a file at the path.
            StorageError: the system refused; a file that is there all the same is whole.
            InvalidStateError: the log is not open, or not replayed to its end.
        """
        if self._state is not _READY:
            raise self._refusal("copy")
        with self._swapping:
            # A file of its own: the log may go on in a new one meanwhile, and nobody waits.
            file, end = self._disk.open(self._path, OpenMode.READING), End(*self._end)
            added, _ = encode_frames(behind, end, seed=self._seed)
        copy_file(self._disk, file, end.offset, path, added)

    def rewrite(self, *, incarnation: int) -> Rewrite:
        """Begin a new file in place of this one, in which what is obsolete is left out.

        It is to hold all that is here now, in whatever records. What is appended from now on
        follows it. Its `adopt` ends that; until then this log goes on as if nothing was.

        Args:
            incarnation: of the new file.

        Raises:
            InvalidStateError: as in `append`.
            StorageError: the system refused; nothing has changed.
        """
        if self._state is not _READY:
            raise self._refusal("rewrite")
        header = replace(
            self._header, incarnation=incarnation, generation=self._header.generation + 1
        )
        start, seed = End(*self._end), self._seed
        return Rewrite(self._disk, self._path, header, self._file, seed, start, adopt=self._adopt)

    def _adopt(self, rewrite: Rewrite) -> None:
        if self._state is not _READY:
            raise self._refusal("rewrite")
        with self._swapping:
            rewrite.put_in_place(self._end[0])
            self._replaced = rewrite.replaced = self._file
            self._file = self._held = rewrite.file
            # Not before: a child that is forked closes what is held.
            with suppress(StorageError):  # no more locks to be had: the lock file is held still
                self._file.lock()
            self._header, self._seed, self._end = rewrite.header, rewrite.seed, rewrite.end
            self._durable = rewrite.end.offset
            self._allocated = rewrite.allocated
            try:
                self._disk.sync_directory(self._path.parent)
            except BaseException:
                self._state = LogState.POISONED
                raise

    def append(self, kind: int, payload: bytes) -> None:
        """Write one frame, in one call to the system; durable after the next `sync`.

        Args:
            kind: 1 to 255, with the caller's meaning.
            payload: at most PAYLOAD_BYTES_MAX bytes.

        Raises:
            InvalidArgumentError: the payload is too large; nothing has changed.
            InvalidStateError: the log is not open, or not replayed to its end.
            StorageError: the system refused, and nothing has changed: after ENOSPC or EFBIG a
                later append works as soon as there is room. Or the log is poisoned.
        """
        assert 1 <= kind <= 255, kind
        if self._state is not _READY:
            raise self._refusal("append to")
        offset, sequence, chain, _ = self._end
        mark = self._durable
        sequence += 1
        # By position: by name costs 0.1 us.
        frame, chain = encode_frame(kind, payload, sequence, mark, self._seed, chain)
        self._write(frame, (offset + len(frame), sequence, chain, mark))

    def append_many(self, frames: Sequence[Record]) -> None:
        """Write several frames in one call to the system: all of them, or none and an error.

        A power cut before the next `sync` may keep some of the first of them; what must survive
        whole belongs into one frame. Memory: a second copy of all payloads. None is no error.

        Args:
            frames: kinds and payloads, as `append` takes them.

        Raises:
            InvalidArgumentError: as in `append`.
            InvalidStateError: as in `append`.
            StorageError: as in `append`.
        """
        if self._state is not _READY:
            raise self._refusal("append to")
        assert all(1 <= kind <= 255 for kind, _ in frames), frames
        end = End(*self._end)._replace(mark=self._durable)
        data, behind = encode_frames(frames, end, seed=self._seed)
        if data:
            self._write(data, behind)

    def sync(self) -> None:
        """Make all frames durable that were appended before this call; none is no work.

        May run beside `append` in another thread.

        Raises:
            InvalidStateError: as in `append`.
            StorageError: the outcome is unknown, and the log is poisoned. It is never tried
                again: the system may have dropped the data and report success the next time.
        """
        if self._state is not _READY:
            raise self._refusal("sync")
        if self._end[0] > self._durable:
            with self._swapping:
                end = self._end[0]
                self._sync_file()
                self._durable = end

    def close(self) -> None:
        """Sync, mark all as durable, give allocated space back, and unlock; again is no error.

        A log that is poisoned, or was not replayed, is closed as it is.

        Raises:
            StorageError: the sync or another last step failed. The log is closed and unlocked
                all the same.
            BaseException: an interrupt, of a signal handler for one; close it again.
        """
        try:
            if self._state is _READY:
                self.sync()
                self._write_mark()
                self._file.truncate(self._end[0])
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Close and unlock what is open; again is no error."""
        self._state = LogState.CLOSED
        try:
            if self._held is not None:
                try:
                    self._held.unlock()
                finally:
                    self._held.close()
                self._held = None
        finally:
            self._lock.release()
            open_logs.discard(self)

    def _write(self, data: bytes, end: tuple[int, int, int, int]) -> None:
        """Write at the end and move the end, or do neither."""
        if end[0] > self._allocated:
            # Asked for once a chunk, also when it was in vain.
            self._allocated = allocate_ahead(self._file, end[0])
        try:
            write_all(self._file, data, self._end[0])
            self._end = end
        except StorageError:
            # Frames left behind the end would be taken for damage once shorter ones are written
            # over the front of them.
            self._cut_off()
            raise
        except BaseException:
            # An interrupt. Another one may keep this from being cut off.
            self._state = LogState.POISONED
            self._cut_off()
            self._state = LogState.READY
            raise

    def _cut_off(self) -> None:
        """Remove what is behind the end, durably, so that nothing is appended behind a piece."""
        end = self._end[0]
        try:
            self._file.truncate(end)
        except StorageError as error:
            raise self._poison(
                f"{self._path} ends in a partial frame that cannot be cut off: {error.message}; "
                "close the log and open it again",
                error,
            ) from error
        self._allocated = end
        self._sync_file()
        self._durable = end

    def _write_mark(self) -> None:
        """Say in a frame that all is durable, so that no later damage passes for a torn tail.

        It also spares the next open from writing the frames of the last sync again.
        """
        end = End(*self._end)
        if end.offset - end.mark <= FRAME_OVERHEAD_BYTES:
            return  # Nothing but such a frame is above the last mark.
        marked = end._replace(mark=end.offset)
        frame, behind = encode_frames([(KIND_MARK, b"")], marked, seed=self._seed)
        try:
            self._write(frame, behind)
        except StorageError as error:
            # A full disk is no reason to fail: all is durable, and the frame was cut off.
            if self._state is not _READY or error.errno not in NO_SPACE_ERRNOS:
                raise

    def _sync_file(self) -> None:
        try:
            self._file.sync()
        except BaseException as error:
            # An interrupt that comes while a failure is being told must not hide it.
            failure = error if isinstance(error, OSError) else error.__context__
            if not isinstance(failure, OSError):
                raise
            raise self._poison(
                f"{failure}: the outcome of the last writes is unknown, and nothing more is "
                "written; close the log and open it again, recovery will find out",
                failure,
            ) from error

    def _poison(self, words: str, failure: OSError) -> StorageError:
        """Take nothing more until the log is opened again; give the error that says why."""
        self._state = LogState.POISONED
        return StorageError(words, errno=failure.errno, filename=str(self._path))

    def abandon(self) -> None:
        """Let go of the log in a forked child: writing stays the right of the parent."""
        self._state = LogState.CLOSED
        for file in (self._held, self._replaced):
            if file is not None:
                file.close()
        self._held = None
        self._lock.abandon()

    def _refusal(self, action: str) -> SoftadastraError:
        return refusal(self._state, action, self._path)

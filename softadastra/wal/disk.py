"""The port through which the log reaches files, and the operating system behind it.

Rules:

- Nothing else in this package opens, reads, writes or names a file in any other way, so that
  a simulated disk can lose, tear and fail each operation.
- Bytes written are durable only after `File.sync`; a name only after `Disk.sync_directory`.
- Every refusal by the system is a StorageError, with its errno and the file concerned.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from softadastra.errors import AlreadyExistsError, InvalidArgumentError, StorageError
from softadastra.wal.lease import take_lease

__all__ = [
    "NO_SPACE_ERRNOS",
    "Bytes",
    "Disk",
    "File",
    "OpenMode",
    "OsDisk",
    "aside_of",
    "copy_file",
    "free_bytes",
    "replace_file",
    "write_all",
]

Bytes: TypeAlias = bytes | memoryview

NO_SPACE_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, the quota or the file size limit is used up: space may come back."""

_COPY_BYTES: Final = 1 << 20
"""Read and written at a time: large enough that the calls cost nothing beside the bytes."""

_MODE_PRIVATE: Final = 0o600
"""Values are the owner's business; etcd and Redis create their logs the same way."""

_ADVICE: Final = {
    errno.EACCES: "make it and its directory writable for this user, or choose another path",
    errno.EPERM: "make it and its directory writable for this user, or choose another path",
    errno.EROFS: "the file system is not writable: remount it, or choose another path",
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space in this user's quota and try again",
    errno.EFBIG: "raise the file size limit of this process (ulimit -f) and try again",
    errno.EEXIST: "a file is where a directory should be: choose another path",
    errno.ENOTDIR: "a file is where a directory should be: choose another path",
    errno.EISDIR: "a directory has this name: choose another path",
    errno.EIO: "the device failed: check it, then open the log again",
}


class OpenMode(Enum):
    """What `Disk.open` does about a file that is there, or is not."""

    EXISTING = os.O_RDWR
    """Absent: StorageError with ENOENT."""
    NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
    """Present: StorageError with EEXIST."""
    EITHER = os.O_RDWR | os.O_CREAT
    READING = os.O_RDONLY
    """As EXISTING, and nothing can be written."""


class File(Protocol):
    """An open file. Each call raises StorageError when the system refuses.

    `sync` may run in one thread while another reads or writes; all else is for one at a time.
    """

    path: Path

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """Read from the offset; fewer bytes come back only at the end of the file."""
        ...

    def pwrite(self, data: Bytes, offset: int) -> int:
        """Write at the offset and say how many bytes were taken, which may be fewer."""
        ...

    def sync(self) -> None:
        """Make all that was written durable, and the size of the file with it.

        After a failure the system may have dropped what it could not write and report success
        the next time: never call it again on this file.
        """
        ...

    def truncate(self, size_bytes: int) -> None:
        """Cut the file off, or extend it with zeros."""
        ...

    def allocate(self, offset: int, size_bytes: int) -> None:
        """Write zeros ahead, behind all that is there, where that makes later syncs shorter.

        A disk without room leaves the size as it is, or takes part of them; that is no error,
        because the write that needs the room will say so.
        """
        ...

    def size(self) -> int:
        """Give the size in bytes."""
        ...

    def identity(self) -> tuple[int, int]:
        """Give device and number of the file: a copy of it has others."""
        ...

    def lock(self) -> bool:
        """Take the file's exclusive lock without waiting; False when it is held elsewhere."""
        ...

    def unlock(self) -> None:
        """Give the lock back, also for each process that inherited this open file.

        Of a file that is closed it is no error: that process has none.
        """
        ...

    def lease(self) -> bool:
        """Keep all others from it until it is closed; False: somebody may see what becomes of it.

        Only of a file without a name, and where the system can tell: see `softadastra.wal.lease`.
        """
        ...

    def close(self) -> None:
        """Close the file; again is no error."""
        ...


class Disk(Protocol):
    """Names and directories. Each call raises StorageError when the system refuses."""

    def open(self, path: Path, mode: OpenMode) -> File:
        """Open a file for reading and writing."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is a file at the path."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of the file that has it, in one step."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; an absent one is no error."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, durably; an existing one is no error."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        ...


class OsDisk:
    """The real disk: POSIX calls on Linux and macOS. Safe to use from any thread."""

    __slots__ = ()

    def open(self, path: Path, mode: OpenMode) -> File:
        """Open a file for reading and writing, not inherited by programs that are started."""
        try:
            descriptor = os.open(path, mode.value, _MODE_PRIVATE)
        except OSError as error:
            raise _refused("open", path, error) from error
        return _OsFile(path, descriptor)

    def exists(self, path: Path) -> bool:
        """Whether there is a file at the path."""
        return _mode_of(path) is not None

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in one step."""
        try:
            source.replace(target)
        except OSError as error:
            raise _refused("rename to", target, error) from error

    def remove(self, path: Path) -> None:
        """Remove a file; an absent one is no error."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refused("remove", path, error) from error

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, each name synced in the one above."""
        missing = []
        while not stat.S_ISDIR(_mode_of(path) or 0):
            missing.append(path)
            path = path.parent
        for directory in reversed(missing):
            try:
                directory.mkdir(exist_ok=True)
            except OSError as error:
                raise _refused("make directory", directory, error) from error
            self.sync_directory(directory.parent)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _refused("sync directory", path, error) from error


class _OsFile:
    """A file descriptor and its path."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def pread(self, size_bytes: int, offset: int) -> bytes:
        try:
            return os.pread(self._descriptor, size_bytes, offset)
        except OSError as error:
            raise _refused("read", self.path, error) from error

    def pwrite(self, data: Bytes, offset: int) -> int:
        try:
            return os.pwrite(self._descriptor, data, offset)
        except OSError as error:
            raise _refused("write", self.path, error) from error

    def sync(self) -> None:
        try:
            if sys.platform == "darwin":
                # fsync on macOS hands the data to the drive but does not flush the drive's cache.
                fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
            else:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise _refused("sync", self.path, error) from error

    def truncate(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._descriptor, size_bytes)
        except OSError as error:
            raise _refused("truncate", self.path, error) from error

    def allocate(self, offset: int, size_bytes: int) -> None:
        if sys.platform != "darwin":
            # Not posix_fallocate: the first write into each block that it reserves changes what
            # the file system keeps of the file, which makes the sync write its journal too.
            try:
                os.pwrite(self._descriptor, bytes(size_bytes), offset)
            except OSError as error:
                if error.errno not in NO_SPACE_ERRNOS:
                    raise _refused("allocate space for", self.path, error) from error

    def size(self) -> int:
        try:
            return os.fstat(self._descriptor).st_size
        except OSError as error:
            raise _refused("examine", self.path, error) from error

    def identity(self) -> tuple[int, int]:
        try:
            found = os.fstat(self._descriptor)
        except OSError as error:
            raise _refused("examine", self.path, error) from error
        # A device number is signed on some systems.
        return found.st_dev & 0xFFFF_FFFF_FFFF_FFFF, found.st_ino

    def lock(self) -> bool:
        # flock, not lockf: a POSIX record lock is lost as soon as any other descriptor of the
        # same file is closed in this process.
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _refused("lock", self.path, error) from error
        return True

    def unlock(self) -> None:
        if self._descriptor < 0:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError as error:
            raise _refused("unlock", self.path, error) from error

    def lease(self) -> bool:
        return take_lease(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as error:
                raise _refused("close", self.path, error) from error


def _mode_of(path: Path) -> int | None:
    """Give what is at a path; None: nothing. `Path.exists` raises what this turns into words."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _refused("examine", path, error) from error


def free_bytes(path: Path) -> int | None:
    """Give what this user may still write on the file system of a file; None: it does not tell."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None


def write_all(file: File, data: Bytes, offset: int) -> None:
    """Write all of the data, however little the system takes at a time.

    Raises:
        StorageError: the system refused, perhaps after a part was written.
    """
    written = file.pwrite(data, offset)
    while written < len(data):
        taken = file.pwrite(memoryview(data)[written:], offset + written)
        if taken == 0:
            raise StorageError(
                f"cannot write {file.path}: the system takes no more bytes and gives no reason; "
                "check the device",
                errno=errno.EIO,
                filename=str(file.path),
            )
        written += taken


def copy_file(disk: Disk, file: File, end: int, path: Path, added: bytes = b"") -> None:
    """Copy a file up to an offset to a new one, add some bytes, durably, and close it.

    Raises:
        InvalidArgumentError: the file itself is rewritten at the path.
        AlreadyExistsError: there is a file at the path.
        StorageError: the system refused; a file that is there all the same is whole.
    """
    pieces = (
        file.pread(min(_COPY_BYTES, end - offset), offset) for offset in range(0, end, _COPY_BYTES)
    )
    try:
        if path.resolve() == aside_of(file.path.resolve()):
            words = "is where this log is rewritten, and is removed then: back up to another file"
            raise InvalidArgumentError(f"{path} {words}", path=str(path))
        disk.make_directory(path.parent)
        if disk.exists(path):
            raise AlreadyExistsError(f"{path} exists: back up to a new file", path=str(path))
        replace_file(disk, path, chain(pieces, (added,)))
    finally:
        file.close()


def aside_of(path: Path) -> Path:
    """Give where a new file is written before it takes its name."""
    return path.with_name(f"{path.name}.new")


def replace_file(disk: Disk, path: Path, pieces: Iterable[bytes]) -> None:
    """Give a path this content, durably; a crash leaves the old file or the new one, whole.

    The content is written aside, at the path with ".new" appended. What a crash left there is
    removed, so the caller has to be the only one to write at this path.

    Raises:
        StorageError: the system refused; the path is as it was, or has the new content.
    """
    aside = aside_of(path)
    disk.remove(aside)
    file = disk.open(aside, OpenMode.NEW)
    try:
        offset = 0
        for piece in pieces:
            write_all(file, piece, offset)
            offset += len(piece)
        file.sync()
        disk.rename(aside, path)
    except BaseException:
        # A part of a large file is no use to anybody, on a full disk least of all.
        with suppress(StorageError):
            disk.remove(aside)
        raise
    finally:
        file.close()
    disk.sync_directory(path.parent)


def _refused(action: str, path: Path, error: OSError) -> StorageError:
    advice = _ADVICE.get(error.errno or 0, "check the path and the file system")
    return StorageError(
        f"cannot {action} {path}: {error.strerror}; {advice}",
        errno=error.errno,
        filename=str(path),
    )

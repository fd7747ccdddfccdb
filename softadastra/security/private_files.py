"""Small files that only their owner may read or change.

A file is made under another name and linked to its own, so that it is there whole or not at all,
and never in place of another one. It is replaced by a rename. What is checked is the open file,
not its name: nothing can be put in its place in between.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from softadastra.errors import AlreadyExistsError, StorageError, StoreError

__all__ = ["Mark", "changing", "make_file", "mark_of", "read_file"]

SIZE_BYTES_MAX: Final = 1 << 20
"""A list of 256 known peers with the longest ids takes 80 KB."""

_OWNER_ONLY: Final = 0o600

_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither a link, whose target others may choose, nor a pipe that is waited for."""

_ADVICE: Final = {
    errno.ELOOP: "it is a symbolic link: expected the file itself",
    errno.EACCES: "make it and its directory accessible to this user alone",
    errno.EROFS: "the file system is not writable: choose another path",
    errno.ENOSPC: "free some space and try again",
}


class Mark(NamedTuple):
    """What the system says of a file, and says otherwise of every other one, and after a change."""

    device: int
    inode: int
    mode: int
    owner: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


def mark_of(path: Path) -> Mark | None:
    """Look at a file without a descriptor; None when there is none.

    Raises:
        StorageError: the system refused.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused("read", path, error) from error
    return Mark(
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def read_file(path: Path, *, is_secret: bool) -> bytes | None:
    """Read a file of the owner's; None when there is none.

    Args:
        path: the file.
        is_secret: whether nobody else may read it; nobody else may ever write it.

    Raises:
        StoreError: others can read or change it, or it is no such file; nothing was read.
        StorageError: the system refused.
    """
    try:
        descriptor = os.open(path, _READING)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused("read", path, error) from error
    try:
        _check(path, os.fstat(descriptor), is_secret=is_secret)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(SIZE_BYTES_MAX)
    except OSError as error:
        raise _refused("read", path, error) from error
    finally:
        os.close(descriptor)


def make_file(path: Path, content: bytes) -> None:
    """Make a file that is not there yet, with the directories above it. Durable when it returns.

    Raises:
        AlreadyExistsError: there is one, which stays as it is; however many do this at once, one
            of them makes it.
        StorageError: the system refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _written_aside(path, content) as aside:
            try:
                os.link(aside, path)
            except FileExistsError:
                raise AlreadyExistsError(
                    f"{str(path)!r} is there already, and was left as it is", path=str(path)
                ) from None
        _sync_directory(path.parent)
    except OSError as error:
        raise _refused("make", path, error) from error


@contextmanager
def changing(path: Path) -> Iterator[_Change]:
    """Let nobody else change a file in the block, which may replace it; an absent one is made.

    Raises:
        StoreError, StorageError: as `read_file`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except OSError as error:
        raise _refused("change", path, error) from error
    try:
        yield _Change(path)
    finally:
        os.close(descriptor)


class _Change:
    """The right to replace a file, while it is locked."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def replace(self, content: bytes) -> None:
        """Give the file another content, in one step: a reader sees the old one or the new one."""
        try:
            with _written_aside(self._path, content) as aside:
                aside.rename(self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise _refused("change", self._path, error) from error


def _locked(path: Path) -> int:
    """Open and lock a file; one that was replaced while this waited is not the file any more."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, _OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextmanager
def _written_aside(path: Path, content: bytes) -> Iterator[Path]:
    """Write a new file beside another one; it is gone behind the block, unless it was renamed."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _check(path: Path, found: os.stat_result, *, is_secret: bool) -> None:
    forbidden, what = (0o077, "read") if is_secret else (0o022, "change")
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{str(path)!r} is no file: choose another path", path=str(path))
    if found.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"{str(path)!r} belongs to another user (uid {found.st_uid}), who can change it:"
            " expected a file of the user of this node; chown it, or remove it",
            path=str(path),
            uid=found.st_uid,
        )
    if found.st_mode & forbidden:
        mode = stat.S_IMODE(found.st_mode)
        raise StoreError(
            f"{str(path)!r} has the mode {mode:04o}, so that others can {what} it: expected 0600;"
            f" see who did, then: chmod 600 {path}",
            path=str(path),
            mode=f"{mode:04o}",
        )
    if found.st_size > SIZE_BYTES_MAX:
        raise StoreError(
            f"{str(path)!r} has {found.st_size} bytes: expected at most {SIZE_BYTES_MAX}",
            path=str(path),
        )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(what: str, path: Path, error: OSError) -> StorageError:
    advice = _ADVICE.get(
        error.errno or 0, "see whether this user may do so, or choose another path"
    )
    return StorageError(
        f"cannot {what} {str(path)!r}: {error.strerror}; {advice}",
        errno=error.errno,
        filename=str(path),
    )

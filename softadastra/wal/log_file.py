"""The file of a log: opened or created, and known to be this node's before it is used."""

from __future__ import annotations

import errno
from pathlib import Path

from softadastra.errors import NotFoundError, StorageError, StoreError, StoreLockedError
from softadastra.wal.disk import Disk, File, OpenMode, aside_of, replace_file
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    Header,
    decode_file_header,
    encode_file_header,
)

__all__ = ["check_owner", "open_log_file", "read_log_file", "take_log_file"]


def read_log_file(disk: Disk, path: Path) -> tuple[File, Header, int]:
    """Open a log for reading, whoever has it open; nothing can be changed through it.

    Returns:
        The open file, the header that it has, and the seed of its frames.

    Raises:
        NotFoundError: there is no such file.
        StoreError: it is a log of another format, or no log at all.
        WalCorruptionError: its header is damaged.
        StorageError: the system refused.
    """
    try:
        file = disk.open(path, OpenMode.READING)
    except StorageError as error:
        if error.errno == errno.ENOENT:
            raise NotFoundError(
                f"there is no log at {path}: name one with --wal, or its node with --node-id",
                path=str(path),
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise StorageError(
                f"cannot read {path}: make it readable for this user",
                errno=error.errno,
                filename=str(path),
            ) from error
        raise
    try:
        header, seed = decode_file_header(file.pread(FILE_HEADER_BYTES, 0), path)
    except BaseException:
        file.close()
        raise
    return file, header, seed


def open_log_file(disk: Disk, path: Path, header: Header) -> File:
    """Open the log of a node, or create it with this header. The caller holds its lock file.

    Raises:
        StorageError: the system refused.
    """
    try:
        return disk.open(path, OpenMode.EXISTING)
    except StorageError as error:
        if error.errno != errno.ENOENT:
            raise
    replace_file(disk, path, [encode_file_header(header)])
    return disk.open(path, OpenMode.EXISTING)


def take_log_file(disk: Disk, file: File, node_id: str) -> tuple[Header, int]:
    """Lock an open log for its node, as its only file.

    Returns:
        The header that it has, and the seed of its frames.

    Raises:
        StoreLockedError: a process has it open that holds another lock file.
        StoreError: it is another node's log, of another format, or no log at all.
        WalCorruptionError: its header is damaged.
        StorageError: the system refused.
    """
    path = file.path
    if not file.lock():
        raise StoreLockedError(
            f"{path} is in use by a process that opened it by another name, or whose lock "
            "file was removed; stop that process, or give this node a log of its own",
            path=str(path),
        )
    found, seed = decode_file_header(file.pread(FILE_HEADER_BYTES, 0), path)
    check_owner(path, found.node_id, node_id)
    # A crash while it was rewritten may have left a file of that size.
    disk.remove(aside_of(path))
    # A process that was killed while it created the file may have left a name that a power
    # cut would take away, and with it all that is synced into the file.
    disk.sync_directory(path.parent)
    return found, seed


def check_owner(path: Path, found: str, expected: str) -> None:
    """Refuse the log of another node.

    Raises:
        StoreError: it is one.
    """
    if found != expected:
        raise StoreError(
            f"{path} is the log of node {found!r}, and this is node {expected!r}: give each node "
            "a log of its own, or open this one as the node that wrote it",
            path=str(path),
            found=found,
            expected=expected,
        )

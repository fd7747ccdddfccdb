"""Where control sockets are.

    <log>.sock                        beside the log: the socket, or a link to where it is
    <runtime directory>/<log>.sock    the socket of a log beside which none can be: its path is too
                                      long for a socket's, or its file system has no sockets
    <runtime directory>/<log>.log     a link to the log of a node that runs: what `node list` reads

<log> in a runtime directory is the log's identity: device and inode of its lock file, which is
never replaced. The runtime directory is `$XDG_RUNTIME_DIR/softadastra`, else `softadastra-<uid>` in
the directory of temporary files: readable by its owner only, and used only when it is.

None of these files decides whether a node runs: the lock of its log does. Whoever holds that lock
replaces what is left of a node that was killed.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from softadastra.errors import AlreadyExistsError

__all__ = [
    "SOCKET_PATH_BYTES_MAX",
    "addresses",
    "is_bindable",
    "log_identity",
    "make_runtime_directory",
    "point_to",
    "registered_logs",
    "runtime_candidates",
    "runtime_directories",
    "socket_beside",
    "unlink_socket",
    "usable_runtime_directory",
]

SOCKET_PATH_BYTES_MAX: Final = 103 if sys.platform == "darwin" else 107
"""sun_path has 104 bytes on macOS and 108 on Linux (unix(7)), the last one for its end."""


def socket_beside(log: Path) -> Path:
    """Give where the socket of a log is, or a link to it."""
    return log.absolute().with_name(f"{log.name}.sock")


def log_identity(log: Path) -> str:
    """Give what tells a log from every other file, whatever path leads to it.

    Raises:
        FileNotFoundError: it was never opened.
    """
    found = Path(f"{log}.lock").stat()
    return f"{found.st_dev:x}-{found.st_ino:x}"


def is_bindable(path: Path) -> bool:
    """Whether a socket's path can be so long."""
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX


def runtime_directories() -> list[Path]:
    """Give the directories of this user's sockets that are there, the best first."""
    return [path for path in runtime_candidates() if _is_private(path)]


def usable_runtime_directory() -> Path | None:
    """Give the directory of this user's sockets that would be used or made; None: there is none."""
    for path in runtime_candidates():
        if _is_private(path) or _is_free(path):
            return path
    return None


def make_runtime_directory() -> Path:
    """Give the directory of this user's sockets, made when it is not there.

    Raises:
        AlreadyExistsError: each of its names is taken by what others can write to.
        OSError: the system refused.
    """
    path = usable_runtime_directory()
    if path is not None:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if _is_private(path):  # somebody else may have been faster
            return path
    raise AlreadyExistsError(
        f"none of {', '.join(map(str, runtime_candidates()))} is a directory of this user alone:"
        " remove it"
    )


def addresses(log: Path) -> Iterator[Path]:
    """Give where the node of a log may answer."""
    beside = socket_beside(log)
    if beside.is_symlink():
        yield beside.readlink()
    else:
        # The node may have bound a shorter spelling of the same place.
        spellings = [beside, Path(os.path.realpath(beside)), Path(os.path.relpath(beside))]
        yield min(spellings, key=lambda path: len(os.fsencode(path)))
    with suppress(FileNotFoundError):
        identity = log_identity(log)
        yield from (each / f"{identity}.sock" for each in runtime_directories())


def unlink_socket(path: Path) -> None:
    """Remove the socket, or link to one, that was left here; nothing there: nothing.

    Raises:
        AlreadyExistsError: it is something else, which is not ours.
        OSError: the system refused.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISSOCK(mode) or stat.S_ISLNK(mode)):
        raise AlreadyExistsError(f"{path} is neither a socket nor a link: move it away")
    path.unlink(missing_ok=True)


def point_to(target: Path, link: Path) -> None:
    """Make a link, in place of another one."""
    unlink_socket(link)
    link.symlink_to(target)


def registered_logs() -> list[tuple[Path, Path]]:
    """Give the links to logs of nodes that run or were killed, and the logs."""
    return [
        (link, link.readlink())
        for directory in runtime_directories()
        for link in sorted(directory.glob("*.log"))
        if link.is_symlink()
    ]


def runtime_candidates() -> list[Path]:
    """Give where this user's directory may be, the best first."""
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_absolute():
        found.append(Path(runtime) / "softadastra")
    found.append(Path(tempfile.gettempdir()) / f"softadastra-{os.geteuid()}")
    return found


def _is_free(path: Path) -> bool:
    """Whether a directory can be made there.

    In another user's, which `su` leaves in the environment, it cannot even be looked for.
    """
    try:
        is_free = not path.exists() and not path.is_symlink() and path.parent.is_dir()
    except OSError:
        return False
    return is_free and os.access(path.parent, os.W_OK)


def _is_private(path: Path) -> bool:
    """Whether it is a directory that only this user can write to, and no link to one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    is_ours = found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return stat.S_ISDIR(found.st_mode) and is_ours

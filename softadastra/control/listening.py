"""The listening socket of a node: where it is bound, and that nothing of it is left behind."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from softadastra.control.places import (
    is_bindable,
    log_identity,
    make_runtime_directory,
    point_to,
    socket_beside,
    unlink_socket,
)
from softadastra.errors import AlreadyExistsError

__all__ = ["Listening"]

BACKLOG: Final = 64
"""Commands that wait to be accepted, for less than a millisecond; more have to try again."""

_NO_SOCKETS_HERE: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)
"""What systems say of a directory in which no socket can be made."""


class Listening:
    """The listening socket of one log, from `begin` to `end`.

    Whoever makes one holds the lock of the log: what another node left there is no longer used.

    Args:
        log: the log.
    """

    def __init__(self, log: Path) -> None:
        self._log = log.absolute()
        self._made: list[Path] = []
        """What to remove at the end. It is known before it is made, for whoever is interrupted."""
        self.socket: socket.socket | None = None

    def begin(self) -> socket.socket:
        """Bind and listen; only this user, and root, can connect.

        Raises:
            OSError: the system refused.
            AlreadyExistsError: something else is where the socket should be.
        """
        beside = socket_beside(self._log)
        if is_bindable(beside):
            try:
                return self._bind(beside)
            except OSError as error:
                if error.errno not in _NO_SOCKETS_HERE:
                    raise
        target = make_runtime_directory() / f"{log_identity(self._log)}.sock"
        listening = self._bind(target)
        with suppress(OSError):  # in a directory that is read-only it is found without the link
            self._made.append(beside)
            point_to(target, beside)
        return listening

    def register(self) -> None:
        """Let `node list` find this node.

        Raises:
            OSError: the system refused.
            AlreadyExistsError: there is no place that is this user's own.
        """
        link = make_runtime_directory() / f"{log_identity(self._log)}.log"
        self._made.append(link)
        point_to(self._log, link)

    def end(self) -> None:
        """Remove the files. The socket itself is closed by whoever listens at it. Idempotent."""
        while self._made:
            with suppress(OSError, AlreadyExistsError):
                unlink_socket(self._made[-1])
            self._made.pop()

    def _bind(self, path: Path) -> socket.socket:
        unlink_socket(path)
        self._made.append(path)
        self.socket = listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(os.fspath(path))
            # Nobody can connect before `listen`, so there is no moment at which others could.
            path.chmod(0o600)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            self.socket = None
            self._made.pop()
            raise
        return listening

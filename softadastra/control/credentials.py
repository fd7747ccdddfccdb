"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

__all__ = ["Process", "process_of"]


class Process(NamedTuple):
    """The process that connected, or that listens."""

    pid: int
    uid: int


def process_of(connected: socket.socket) -> Process:
    """Say who is at the other end.

    Raises:
        OSError: it is gone.
    """
    if sys.platform == "darwin":
        # sys/un.h: LOCAL_PEERCRED gives a struct xucred, whose uid is behind a version.
        level, credentials, process = 0, 0x001, 0x002
        _, uid = struct.unpack("=Ii", connected.getsockopt(level, credentials, 76)[:8])
        (pid,) = struct.unpack("=i", connected.getsockopt(level, process, 4))
        return Process(pid, uid)
    # unix(7), SO_PEERCRED: a struct ucred of pid, uid and gid.
    ucred = struct.Struct("3i")
    pid, uid, _ = ucred.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size)
    )
    return Process(pid, uid)

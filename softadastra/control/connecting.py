"""Connect to the control socket of a node, and hear who is there."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path
from typing import Final

from softadastra.control.calls import About
from softadastra.control.channel import Channel
from softadastra.control.credentials import Process, process_of
from softadastra.control.frames import Reply, decode_reply
from softadastra.control.shapes import from_plain
from softadastra.control.unreachable import NodeGoneError, NodeSilentError
from softadastra.errors import ProtocolError, StorageError

__all__ = ["connected", "silent_node"]

RETRY_SECONDS: Final = 0.02
"""How soon to knock again at a node at which too many wait."""


def connected(address: Path, log: Path, node_id: str, silence: float) -> tuple[Channel, About]:
    """Connect, and hear who is there.

    Args:
        address: the control socket.
        log: whose it is to be.
        node_id: what to call the node, when it does not answer.
        silence: for how many seconds it may say nothing.

    Raises:
        NodeSilentError: it hangs.
        NodeGoneError: it is being closed.
        StorageError: whoever listens could not have changed the log.
        ProtocolError: it speaks another version.
        OSError: nobody listens, or not to this user.
    """
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = Channel(connecting)
    try:
        connect(connecting, address, node_id, silence)
        process = process_of(connecting)
        check_owner(process, log)
        about = greeted(channel, process, node_id, silence)
    except BaseException:
        channel.close()
        raise
    return channel, about


def connect(connecting: socket.socket, address: Path, node_id: str, silence: float) -> None:
    """Connect; while more commands wait than the node's backlog holds, again."""
    until = time.monotonic() + silence
    connecting.settimeout(silence)
    while True:
        try:
            connecting.connect(os.fspath(address))
        except BlockingIOError:  # what Linux says of a backlog that is full
            if time.monotonic() >= until:
                raise silent_node(node_id, None, silence) from None
        except TimeoutError:
            raise silent_node(node_id, None, silence) from None
        else:
            return
        time.sleep(RETRY_SECONDS)


def greeted(channel: Channel, process: Process, node_id: str, silence: float) -> About:
    """Hear who is there."""
    try:
        payload = channel.receive(silence=silence)
    except TimeoutError:
        raise silent_node(node_id, process.pid, silence) from None
    except ConnectionResetError:
        payload = None
    if payload is None and process.uid != os.geteuid() != 0:
        raise PermissionError  # it answers its own user only
    if payload is None:
        raise NodeGoneError(f"node {node_id!r} is being closed", node_id=node_id)
    kind, content = decode_reply(payload)
    if kind is not Reply.HELLO:
        raise ProtocolError(f"a control socket says hello first, got {kind.name}")
    about: About = from_plain(About, content)
    return about


def check_owner(process: Process, log: Path) -> None:
    """Believe only who could have changed the log just as well."""
    trusted = {os.geteuid(), 0}
    try:
        trusted.add(log.stat().st_uid)
    except OSError:
        trusted.discard(-1)
    if process.uid not in trusted:
        raise StorageError(
            f"a process of user {process.uid}, whose log {str(log)!r} is not, listens at its"
            " control socket: nothing was said to it",
            errno=errno.EACCES,
            filename=str(log),
        )


def silent_node(node_id: str, pid: int | None, silence: float) -> NodeSilentError:
    """Give the error of a node that says nothing."""
    process = "" if pid is None else f" (pid {pid})"
    return NodeSilentError(
        f"node {node_id}{process} does not answer within {silence:g} s: it hangs, or is"
        " stopped; look at its process and its log",
        node_id=node_id,
        pid=pid,
    )

"""What programs and people pass besides keys and values, checked before anything is begun."""

from __future__ import annotations

import os
from pathlib import Path

from softadastra.errors import InvalidArgumentError
from softadastra.types import Peer

__all__ = [
    "NAME_BYTES_MAX",
    "file_path",
    "is_file_path",
    "is_name",
    "key_prefix",
    "peer_name",
    "peer_to_dial",
    "plain_number",
    "seconds",
]

NAME_BYTES_MAX = 255
"""A name goes into every greeting and into file names, whose own limit this is."""


def plain_number(number: str) -> str:
    """Refuse numbers that Python reads and people do not write: 5_0, or digits of other scripts.

    Raises:
        ValueError: it is one.
    """
    if "_" in number or not number.isascii():
        raise ValueError(number)
    return number


def seconds(timeout: float) -> float:
    """Check how long to wait.

    Raises:
        InvalidArgumentError: it is no number of seconds from 0 on.
    """
    if isinstance(timeout, int | float) and timeout >= 0:
        return timeout
    raise InvalidArgumentError(f"a timeout is a number of seconds from 0 on, got {timeout!r}")


def key_prefix(prefix: object) -> str:
    """Check what keys are to begin with.

    Raises:
        InvalidArgumentError: it is no str.
    """
    if isinstance(prefix, str):
        return prefix
    raise InvalidArgumentError(f"a prefix is a str, got {prefix!r:.80}")


def file_path(path: object) -> Path:
    """Check where a file is to be made.

    Raises:
        InvalidArgumentError: no file can have this path.
    """
    if isinstance(path, str | os.PathLike) and is_file_path(path):
        return Path(path)
    raise InvalidArgumentError(f"a file has a path as backups/node-a.wal, got {path!r:.200}")


def is_file_path(path: object) -> bool:
    """Whether a file can have this path: it ends in a name, and the system can be asked for it."""
    if not isinstance(path, str | os.PathLike):
        return False
    found = os.fspath(path)
    if not isinstance(found, str) or "\0" in found:
        return False
    try:
        os.fsencode(found)  # a lone surrogate is no byte, unless it stands for one of a file's name
    except UnicodeEncodeError:
        return False
    return bool(Path(found).name)


def is_name(value: object) -> bool:
    """Whether a node can have this name: no control characters, line breaks or lone surrogates."""
    return (
        isinstance(value, str) and value.isprintable() and 0 < len(value.encode()) <= NAME_BYTES_MAX
    )


def peer_to_dial(peer: Peer | str) -> Peer:
    """Read a peer, a `Peer` or "id@host:port".

    A `Peer` that is read from a log may have any name; nobody is dialled by one that no node has.

    Raises:
        InvalidArgumentError: it is neither, cannot be read, or no node can have this name.
    """
    found = peer if isinstance(peer, Peer) else Peer.parse(peer)
    if not is_name(found.node_id):
        raise InvalidArgumentError(
            f"no node can be called {found.node_id!r:.300}: a node id is printable text of at most "
            f"{NAME_BYTES_MAX} bytes of UTF-8",
            node_id=found.node_id,
        )
    return found


def peer_name(peer: object) -> str:
    """Read by what a known peer is named: a `Peer`, its node id, or "id@host:port".

    Raises:
        InvalidArgumentError: it is none of these.
    """
    if isinstance(peer, str):
        return peer
    if isinstance(peer, Peer):
        return peer.node_id
    raise InvalidArgumentError(
        f"a known peer is named by its node id, a Peer or ID@HOST:PORT, got {peer!r:.80}"
    )

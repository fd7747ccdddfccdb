"""pycrdt, the Python binding of Yrs: a map in memory, whose changes two processes exchange.

It keeps nothing on disk and has no connection of its own; here its messages go over TCP.
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import Any

from .installed import package
from .processes import Channel, Child
from .workload import DEADLINE_SECONDS, writes

__all__ = ["put", "replicate"]

LENGTH = struct.Struct("<I")


def put(_: Path, count: int) -> float:
    """Set one key a transaction; writes per second."""
    document, entries = _document()
    pairs = writes(count)
    start = time.perf_counter()
    for key, value in pairs:
        entries[key] = value
    seconds = time.perf_counter() - start
    _check_size(len(entries), count)
    del document
    return count / seconds


def replicate(_: Path, count: int) -> float:
    """Bring a map of `count` keys to an empty one in another process; keys per second."""
    with Child(_receive, count) as receiver, Child(_send, count) as sender:
        sender.send(receiver.receive())
        return count / float(sender.receive())


def _document() -> tuple[Any, Any]:
    pycrdt = package("pycrdt")
    document = pycrdt.Doc()
    return document, document.get("entries", type=pycrdt.Map)


def _receive(channel: Channel[Any, Any], count: int) -> None:
    document, entries = _document()
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel.send(server.getsockname()[1])
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            _write(stream, document.get_state())
            document.apply_update(_read(stream))
            _write(stream, b"applied")
    _check_size(len(entries), count)


def _send(channel: Channel[Any, Any], count: int) -> None:
    document, entries = _document()
    with document.transaction():
        for key, value in writes(count):
            entries[key] = value
    port = channel.recv()
    start = time.perf_counter()
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as connection,
        connection.makefile("rwb") as stream,
    ):
        _write(stream, document.get_update(_read(stream)))
        _read(stream)
        channel.send(time.perf_counter() - start)


def _read(stream: Any) -> bytes:
    (length,) = LENGTH.unpack(stream.read(LENGTH.size))
    return bytes(stream.read(length))


def _write(stream: Any, message: bytes) -> None:
    stream.write(LENGTH.pack(len(message)) + message)
    stream.flush()


def _check_size(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"the map holds {found} of {count} keys")

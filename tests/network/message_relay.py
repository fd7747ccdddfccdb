"""A relay on the loopback interface that reads ZMTP, and does to messages what TCP keeps from them.

A network loses packets, not messages: TCP repairs that or ends the connection. A carrier other than
TCP would do to messages what this does, and a node claims to survive it (docs/protocol.md).

    greeting     64 bytes, passed on as they are               (RFC 37, ZMTP 3.1)
    frame        flags, length in 1 byte or 8, body            flags: 1 more, 2 long, 4 command
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from random import Random
from threading import Thread
from typing import Final

__all__ = ["ALL_LOST", "ALL_PASS", "MIXED", "Fate", "MessageRelay"]

GREETING_BYTES: Final = 64
LONG, COMMAND = 2, 4
AT_ONCE: Final = struct.pack("ii", 1, 0)
"""With nothing sent any more: a reset instead of an end (socket(7), SO_LINGER)."""


class Fate(StrEnum):
    """What happens to a message."""

    PASSED = "passed"
    LOST = "lost"
    DOUBLED = "doubled"
    HELD = "held"
    """Until the next one that passes the same way has gone."""
    REPLAYED = "replayed"
    """Before it one goes that has gone the same way before, on this connection or an earlier."""


ALL_PASS: Final = {Fate.PASSED: 1}
ALL_LOST: Final = {Fate.LOST: 1}
MIXED: Final = dict.fromkeys(Fate, 1) | {Fate.PASSED: 6}
"""What becomes of messages, and how often in relation to the others."""


class _Way:
    """One direction of one connection.

    Args:
        target: where it goes.
        gone: messages that have gone this way, on any connection.
    """

    def __init__(self, target: socket.socket, gone: list[bytes]) -> None:
        self.target = target
        self.gone = gone
        self.held: bytes | None = None
        self._left = bytearray()
        self._greeting_bytes = GREETING_BYTES
        """How many are to come yet. They go as they come: the two sides wait for each other's."""

    def read(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Give what may go on of what has come, and whether it is a message."""
        self._left += data
        if greeting := self._take(min(self._greeting_bytes, len(self._left))):
            self._greeting_bytes -= len(greeting)
            yield greeting, False
        while (size := self._frame_bytes()) is not None:
            is_message = not self._left[0] & COMMAND
            yield self._take(size), is_message

    def _frame_bytes(self) -> int | None:
        """Give the size of the next frame; None while it is not all there."""
        header = 9 if self._left and self._left[0] & LONG else 2
        if len(self._left) < header:
            return None
        size = header + int.from_bytes(self._left[1:header], "big")
        return size if len(self._left) >= size else None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._left[:size])
        del self._left[:size]
        return taken


class MessageRelay:
    """Carries connections to a node of this machine. A context manager: leaving it ends them.

    Args:
        port: where the node listens; it has no security.
        seed: of what happens to messages.
    """

    def __init__(self, port: int, seed: str) -> None:
        self.fates: Mapping[Fate, int] = ALL_PASS
        """What becomes of messages from now on, and how often in relation to the others."""
        self.counts: Counter[Fate] = Counter()
        self.connections_count = 0
        """Connections that have come in."""
        self._target = port
        self._chance = Random(seed)
        self._gone: tuple[list[bytes], list[bytes]] = ([], [])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        """Where connections come in."""
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._thread = Thread(target=self._run, name="relay", daemon=True)

    def reset(self) -> None:
        """End all connections with a reset, as a carrier does that was restarted."""
        self._waker.send(b"reset")

    def __enter__(self) -> MessageRelay:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waker.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    if not self._woken.recv(16):
                        return
                    self._end_all()
                    break
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._selector.get_map():
                    self._carry(key)

    def _accept(self) -> None:
        come, _ = self._listener.accept()
        gone = socket.create_connection(("127.0.0.1", self._target))
        self.connections_count += 1
        there, back = self._gone
        self._selector.register(come, selectors.EVENT_READ, _Way(gone, there))
        self._selector.register(gone, selectors.EVENT_READ, _Way(come, back))

    def _end_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Way):
                assert isinstance(key.fileobj, socket.socket)
                self._selector.unregister(key.fileobj)
                key.fileobj.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                key.fileobj.close()

    def _carry(self, key: selectors.SelectorKey) -> None:
        source, way = key.fileobj, key.data
        assert isinstance(source, socket.socket)
        try:
            data = source.recv(65536)
            for frame, is_message in way.read(data):
                way.target.sendall(b"".join(self._judge(way, frame)) if is_message else frame)
        except OSError:
            data = b""
        if not data:
            for each in (source, way.target):
                self._selector.unregister(each)
                each.close()

    def _judge(self, way: _Way, frame: bytes) -> list[bytes]:
        """Draw what happens to a message, and give what goes now."""
        fates = self.fates
        (fate,) = self._chance.choices(list(fates), list(fates.values()))
        self.counts[fate] += 1
        held, way.held = way.held, None
        match fate:
            case Fate.PASSED:
                going = [frame]
            case Fate.LOST:
                going = []
            case Fate.DOUBLED:
                going = [frame, frame]
            case Fate.HELD:
                going, way.held = [], frame
            case Fate.REPLAYED:
                going = [*self._chance.choices(way.gone, k=1), frame] if way.gone else [frame]
        way.gone.append(frame)
        return going if held is None else [*going, held]

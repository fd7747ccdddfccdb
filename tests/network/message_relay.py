"""A relay that reads ZMTP, and does to messages what TCP keeps from them.

A network loses packets, not messages: TCP repairs that or ends the connection. A carrier other than
TCP would do to messages what this does, and a node claims to survive it (docs/protocol.md).

    greeting     64 bytes, passed on as they are               (RFC 37, ZMTP 3.1)
    frame        flags, length in 1 byte or 8, body            flags: 1 more, 2 long, 4 command
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from random import Random
from typing import Final

from tests.network.relay import Relay, Way

__all__ = ["ALL_LOST", "ALL_PASS", "MIXED", "Fate", "MessageRelay"]

GREETING_BYTES: Final = 64
LONG, COMMAND = 2, 4


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


class _Way(Way):
    """One direction of one connection.

    Args:
        target: where it goes.
        gone: messages that have gone this way, on any connection.
        judge: gives what goes now for a message that has come.
    """

    def __init__(
        self,
        target: socket.socket,
        gone: list[bytes],
        judge: Callable[[_Way, bytes], list[bytes]],
    ) -> None:
        super().__init__(target)
        self.gone = gone
        self._judge = judge
        self.held: bytes | None = None
        self._left = bytearray()
        self._greeting_bytes = GREETING_BYTES
        """How many are to come yet. They go as they come: the two sides wait for each other's."""

    def carry(self, data: bytes) -> None:
        for frame, is_message in self._read(data):
            self.target.sendall(b"".join(self._judge(self, frame)) if is_message else frame)

    def _read(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
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


class MessageRelay(Relay):
    """See `Relay`.

    Args:
        port: where the node listens; it has no security.
        seed: of what happens to messages.
    """

    def __init__(self, port: int, seed: str) -> None:
        super().__init__(port)
        self.fates: Mapping[Fate, int] = ALL_PASS
        """What becomes of messages from now on, and how often in relation to the others."""
        self.counts: Counter[Fate] = Counter()
        self.connections_count = 0
        """Connections that have come in."""
        self._chance = Random(seed)
        self._gone: tuple[list[bytes], list[bytes]] = ([], [])

    def _ways(self, come: socket.socket, gone: socket.socket) -> tuple[Way, Way]:
        self.connections_count += 1
        there, back = self._gone
        return _Way(gone, there, self._judge), _Way(come, back, self._judge)

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

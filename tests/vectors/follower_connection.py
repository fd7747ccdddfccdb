"""The socket of `follower.py`, and the clocks: all that the document says of the transport."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import zmq

from tests.vectors.follower import Follower
from tests.vectors.follower_rules import Type, packed

SILENCE_MS = 6_000


class Connection:
    """A follower's connection to a node (section 1)."""

    def __init__(
        self,
        follower: Follower,
        context: zmq.Context[Any],
        address: str,
        silence_ms: int = SILENCE_MS,
    ) -> None:
        self.follower = follower
        self.silence_ms = silence_ms
        self.socket = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, 16),
            (zmq.RCVHWM, 16),
            (zmq.MAXMSGSIZE, 1_310_720),
            (zmq.RECONNECT_IVL, -1),
        ):
            self.socket.setsockopt(option, value)
        self.socket.connect(address)
        follower.connected(now_ms())
        self.send(follower.hello(wall_ms()))

    def turn(self, timeout_ms: int) -> None:
        """Take what comes within this time, and say what is due."""
        if self.socket.poll(timeout_ms):
            answers = self.follower.receive(self.socket.recv(), now_ms(), wall_ms())
            for answer in answers:
                self.send(answer)
        for message in self.follower.due(now_ms()):
            self.send(message)
        if now_ms() - self.follower.heard_ms >= self.silence_ms:
            raise TimeoutError("the node is silent")

    def send(self, payload: bytes) -> None:
        """Send without waiting: what a full or ended connection does not take is sent again."""
        with suppress(zmq.Again):
            self.socket.send(payload, zmq.NOBLOCK)

    def close(self) -> None:
        """Take leave."""
        self.send(packed(Type.BYE))
        self.socket.close(linger=200)


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000

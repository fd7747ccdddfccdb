"""Somebody with keys of his own at the windows of two nodes: a stranger, or one in between."""

from __future__ import annotations

import secrets
from threading import Event, Thread

from softadastra.security.exchange import Exchange, Party, Role
from softadastra.security.introductions import Refuse, decode, encode
from softadastra.security.keys import PublicKey
from softadastra.transport.links import Link, LinkUp, Received
from softadastra.transport.zeromq import ZeroMQTransport

__all__ = ["Impostor"]

LOOPBACK = "127.0.0.1"


class Impostor:
    """Says that he is the node which each side expects. A context manager.

    Args:
        window: the port of a window that he dials.
        dialled_as: the node id that he says there.
        listens_as: the node id that he says to whoever dials him; None: nobody can.
    """

    def __init__(self, window: int, dialled_as: str, listens_as: str | None = None) -> None:
        self.key = PublicKey(secrets.token_bytes(32))
        self._dialled_as, self._listens_as = dialled_as, listens_as
        self._transport = ZeroMQTransport()
        self.port = self._transport.bind(LOOPBACK, 0)
        self._exchanges: dict[Link, Exchange] = {}
        self._window = self._transport.dial(LOOPBACK, window)
        self._has_code = Event()
        self._is_over = False
        self._thread = Thread(target=self._run, name="impostor", daemon=True)

    def await_code(self, seconds: float) -> str:
        """Wait until the window that he dialled shows a code for him."""
        assert self._has_code.wait(seconds)
        return self._exchanges[self._window].code

    def __enter__(self) -> Impostor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._transport.wake()
        self._thread.join()
        self._transport.close()

    def _run(self) -> None:
        while not self._is_over:
            for event in self._transport.poll(1000):
                match event:
                    case LinkUp(link, dialled):
                        self._begin(link, dialled=dialled)
                    case Received(link, frame):
                        self._hear(link, frame)
                    case _:
                        continue

    def _begin(self, link: Link, *, dialled: bool) -> None:
        name = self._dialled_as if dialled else self._listens_as
        if name is None:
            return
        role = Role.DIALLER if dialled else Role.LISTENER
        nonce, seed = secrets.token_bytes(32), secrets.token_bytes(32)
        exchange = Exchange(Party(name, self.key), role, nonce=nonce, seed=seed)
        self._exchanges[link] = exchange
        for message in exchange.open():
            self._transport.send(link, encode(message))

    def _hear(self, link: Link, frame: bytes) -> None:
        message, exchange = decode(frame), self._exchanges.get(link)
        if exchange is None or isinstance(message, Refuse):
            return
        for answer in exchange.receive(message):
            self._transport.send(link, encode(answer))
        if link == self._window and exchange.code:
            self._has_code.set()

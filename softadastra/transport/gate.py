"""Answers libzmq's question whom to let in, for all servers of a context (ZAP, RFC 27).

libzmq asks with each handshake, over a fixed name within the context, and waits. Here the thread
that polls the transport answers, so there is no handler that could die while the rest goes on: when
nobody answers, nobody is let in. pyzmq's own handlers are a thread or a task of asyncio beside it,
with a list of keys of their own; the callback of theirs is called for its one domain only, and a
"*" is none (seen with pyzmq 27).

What the question says of an identity is the server's own routing id (zeromq/libzmq#4161), so the
key is all that tells who asks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import zmq

from softadastra.security.keyring import Keyring
from softadastra.security.keys import KEY_BYTES, PublicKey
from softadastra.transport.addresses import plain_host
from softadastra.transport.curve import ZAP_DOMAIN
from softadastra.transport.sockets import Context, Socket

__all__ = ["Gate", "Knock"]

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_FRAMES: Final = 7
"""Version, request, domain, address, identity, mechanism, and the client's key."""


class Knock(NamedTuple):
    """Somebody who wanted to come in, and has proved to have a key."""

    key: PublicKey
    address: str
    """The IP address."""
    is_let_in: bool


class Gate:
    """The ZAP handler of a context. Bound before anything listens.

    Args:
        context: of the sockets that it speaks for.
        keyring: whom it lets in.

    Raises:
        zmq.ZMQError: the context has a handler already, or no socket to give.
    """

    __slots__ = ("_keyring", "socket")

    def __init__(self, context: Context, keyring: Keyring) -> None:
        self._keyring = keyring
        self.socket: Socket = context.socket(zmq.REP)
        """To poll for reading; then `answer`."""
        try:
            self.socket.setsockopt(zmq.LINGER, 0)
            self.socket.bind(_ENDPOINT)
        except zmq.ZMQError:
            self.socket.close()
            raise

    def answer(self) -> Knock | None:
        """Answer the next question.

        Returns:
            Who asked; None when that was no client of CURVE.

        Raises:
            zmq.Again: there is no question.
        """
        question = self.socket.recv_multipart(zmq.NOBLOCK)
        knock = self._judge(question)
        request = question[1] if len(question) > 1 else b""
        if knock is not None and knock.is_let_in:
            # The key itself, not the node id: whose it is may change while the connection lives.
            verdict = (b"200", b"OK", knock.key.raw.hex().encode())
        else:
            verdict = (b"400", b"not trusted", b"")
        self.socket.send_multipart([_VERSION, request, *verdict, b""], zmq.NOBLOCK)
        return knock

    def close(self) -> None:
        """Answer no more: from now on nobody is let in."""
        self.socket.close()

    def _judge(self, question: list[bytes]) -> Knock | None:
        if len(question) != _FRAMES or question[0] != _VERSION:
            return None
        _, _, domain, address, _, mechanism, key = question
        if (domain, mechanism, len(key)) != (ZAP_DOMAIN, b"CURVE", KEY_BYTES):
            return None
        client = PublicKey(key)
        is_let_in = self._keyring.node_of(client) is not None
        return Knock(client, plain_host(address.decode(errors="replace")), is_let_in)

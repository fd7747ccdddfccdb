"""Proves, before a node speaks to anybody, that it lets no stranger in.

Whether a socket checks keys hangs on four options and on a handler that libzmq finds by a name. A
mistake there shows to nobody: everything works, for everybody. So a node knocks at its own door
with a key that it has just drawn, and goes on only when it was told off by its own list.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

import zmq

from softadastra.errors import TransportError
from softadastra.security.keys import KeyPair, PublicKey
from softadastra.transport.addresses import Address, numeric_address
from softadastra.transport.curve import Credentials
from softadastra.transport.dealer import Dealer, Happening
from softadastra.transport.gate import Gate
from softadastra.transport.sockets import HANDSHAKE_TIMEOUT_MS, Context

__all__ = ["prove_strangers_are_refused"]

_REFUSED: Final = 400
"""What ZAP answers a client that is not let in (RFC 27)."""


def prove_strangers_are_refused(
    context: Context, gate: Gate, address: Address, *, own: PublicKey, stranger: KeyPair
) -> None:
    """Knock at a listening socket with a key that nobody trusts. Takes some milliseconds.

    Args:
        context: of the socket and of the gate.
        gate: the handler, which nobody else asks for answers meanwhile.
        address: where the socket listens.
        own: the key of the socket.
        stranger: a pair that was drawn for this.

    Raises:
        TransportError: it was let in, or nothing shows that it was refused for its key.
    """
    credentials = Credentials(stranger, "", own)
    door = _reachable(address)
    dealer = Dealer(context, door, "proof", credentials)
    try:
        verdict, is_asked = _knock(dealer, gate, stranger.public)
    finally:
        dealer.close()
    if verdict == Happening(zmq.Event.HANDSHAKE_FAILED_AUTH, _REFUSED) and is_asked:
        return
    is_open = verdict is not None and verdict.event is zmq.Event.HANDSHAKE_SUCCEEDED
    problem = "a random key was let in" if is_open else "nothing shows that strangers are refused"
    seen = "nothing" if verdict is None else f"{verdict.event.name} {verdict.value}"
    raise TransportError(
        f"will not listen on {address}: {problem} (knocked at {door}, saw {seen}). This is a bug of"
        " Softadastra, or of this build of libzmq: please report it",
        host=address.host,
        port=address.port,
    )


def _knock(dealer: Dealer, gate: Gate, stranger: PublicKey) -> tuple[Happening | None, bool]:
    """Give how the handshake ended, None: it did not; and whether the gate was asked."""
    poller = zmq.Poller()
    poller.register(gate.socket, zmq.POLLIN)
    poller.register(dealer.monitor, zmq.POLLIN)
    until = time.monotonic() + HANDSHAKE_TIMEOUT_MS / 1000
    is_asked = False
    while (left := until - time.monotonic()) > 0:
        ready = dict(poller.poll(int(left * 1000) + 1))
        if gate.socket in ready:
            knock = gate.answer()
            is_asked |= knock is not None and knock.key == stranger and not knock.is_let_in
        verdict = _verdict(dealer.happenings())
        if verdict is not None:
            return verdict, is_asked
    return None, is_asked


def _verdict(happenings: Iterable[Happening]) -> Happening | None:
    return next((each for each in happenings if each.event is not zmq.Event.CONNECTED), None)


def _reachable(address: Address) -> Address:
    """Give where to knock at a socket that listens on all addresses: on this machine's own."""
    host = address.host.partition("%")[0]
    if not ip_address(host).is_unspecified:
        return address
    found = numeric_address("::1" if address.is_ipv6 else "127.0.0.1", address.port)
    assert found is not None
    return found

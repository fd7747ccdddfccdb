"""CURVE (RFC 25, RFC 26) on a socket: the key pair, and what it costs a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils import z85

from softadastra.errors import TransportError
from softadastra.security.keys import KeyPair, PublicKey, SecretKey
from softadastra.transport.sockets import Socket

__all__ = ["OVERHEAD_BYTES", "ZAP_DOMAIN", "Credentials", "new_key_pair", "public_key_of", "serve"]

ZAP_DOMAIN: Final = b"softadastra"
"""Which of a context's sockets a question is about (RFC 27). Without one libzmq asks nobody."""

OVERHEAD_BYTES: Final = 33
"""What encryption adds to a frame (RFC 26): 8 of a name, 8 of a nonce, 16 that authenticate, and
the flags. MAXMSGSIZE counts them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """With what one node is dialled."""

    own: KeyPair
    node_id: str
    """Who is to answer."""
    expected: PublicKey
    """The key that it has to prove."""

    def apply(self, dealer: Socket) -> None:
        """Have a socket connect to this node alone, as this one."""
        dealer.setsockopt(zmq.CURVE_SERVERKEY, self.expected.raw)
        dealer.setsockopt(zmq.CURVE_PUBLICKEY, self.own.public.raw)
        dealer.setsockopt(zmq.CURVE_SECRETKEY, self.own.secret.raw)


def serve(router: Socket, own: KeyPair) -> None:
    """Have a socket let in nobody but those whom the ZAP handler of its context lets in.

    A CURVE server without a handler lets everybody in, unless the domain is enforced: then it lets
    in nobody (zeromq/libzmq#2594, zmq_setsockopt's ZMQ_ZAP_ENFORCE_DOMAIN).
    """
    router.setsockopt(zmq.CURVE_SERVER, 1)
    router.setsockopt(zmq.CURVE_SECRETKEY, own.secret.raw)
    router.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def new_key_pair() -> KeyPair:
    """Draw a key pair.

    Raises:
        TransportError: this libzmq was built without CURVE.
    """
    _require_curve()
    public, secret = map(z85.decode, zmq.curve_keypair())
    return KeyPair(PublicKey(public), SecretKey(secret))


def public_key_of(secret: SecretKey) -> PublicKey:
    """Give the public key that belongs to a secret one.

    Raises:
        TransportError: this libzmq was built without CURVE.
    """
    _require_curve()
    return PublicKey(z85.decode(zmq.curve_public(z85.encode(secret.raw))))


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise TransportError(
            f'security="curve" needs a libzmq with CURVE, which this one ({zmq.zmq_version()}) was'
            " built without: install pyzmq from its own wheels, which have it, or build libzmq with"
            " libsodium",
            libzmq=zmq.zmq_version(),
        )

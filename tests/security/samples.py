"""Keys for tests: not drawn, and not usable with CURVE."""

from __future__ import annotations

from softadastra.security.keys import KeyPair, PublicKey, SecretKey

__all__ = ["pair_of", "public_key"]


def public_key(number: int) -> PublicKey:
    return PublicKey(bytes([number]) * 32)


def pair_of(number: int) -> KeyPair:
    return KeyPair(public_key(number), SecretKey(bytes([255 - number]) * 32))

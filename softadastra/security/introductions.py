"""What two nodes say to each other to pair, as frames: MessagePack arrays, version and kind first.

    [1, 1, node id, public key, lock, commitment]    introduction
    [1, 2, nonce]                                    reveal
    [1, 3, opened]                                   confirm: the SHA-256 of `opened` is the lock
    [1, 4, opened]                                   pinned: the SHA-256 of it is what confirmed
    [1, 5, words]                                    refuse

Keys, locks, commitments, nonces and what opens a lock are 32 bytes; the commitment of who dials is
empty. Nothing of this is secret, so nothing is encrypted: `exchange.py` says why it is noticed when
somebody changes it on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

import msgpack

from softadastra.errors import InvalidArgumentError, ProtocolError
from softadastra.security.keys import KEY_BYTES, PublicKey
from softadastra.security.trusted import check_node_id

__all__ = [
    "FRAME_BYTES_MAX",
    "HASH_BYTES",
    "Confirm",
    "Introduction",
    "Message",
    "Pinned",
    "Refuse",
    "Reveal",
    "decode",
    "encode",
]

VERSION: Final = 1

HASH_BYTES: Final = 32

FRAME_BYTES_MAX: Final = 1_024
"""The longest introduction takes 363 bytes, the longest refusal 516."""

WORDS_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who a node is, and what it will be held to."""

    node_id: str
    key: PublicKey
    lock: bytes
    """What its later words are proved by: see `exchange.py`."""
    commitment: bytes
    """To the nonce of who was dialled; empty from who dials."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """The sender's share of chance."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class Confirm:
    """The person at the sender has confirmed the code."""

    opened: bytes


@dataclass(frozen=True, slots=True)
class Pinned:
    """The sender trusts the receiver's key from now on."""

    opened: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """The sender ends the exchange; nothing is to be trusted for it."""

    words: str


Message: TypeAlias = Introduction | Reveal | Confirm | Pinned | Refuse


def encode(message: Message) -> bytes:
    """Write a message as a frame."""
    fields: tuple[object, ...]
    match message:
        case Introduction(node_id, key, lock, commitment):
            fields = (1, node_id, key.raw, lock, commitment)
        case Reveal(nonce):
            fields = (2, nonce)
        case Confirm(opened):
            fields = (3, opened)
        case Pinned(opened):
            fields = (4, opened)
        case Refuse(words):
            fields = (5, words.encode()[:WORDS_BYTES_MAX].decode(errors="ignore"))
        case _ as unreachable:
            assert_never(unreachable)
    return bytes(msgpack.packb([VERSION, *fields]))


def decode(frame: bytes) -> Message:
    """Read a frame.

    Raises:
        ProtocolError: it is no message of this version.
    """
    if len(frame) > FRAME_BYTES_MAX:
        raise ProtocolError(f"a pairing message of {len(frame)} bytes")
    try:
        fields = msgpack.unpackb(frame, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise ProtocolError("a pairing message that is no MessagePack") from error
    if not isinstance(fields, list) or {type(each) for each in fields[:2]} != {int}:
        # Compared by type: a float or a truth value would equal a number below.
        raise ProtocolError("a pairing message of another form")
    match fields:
        case [1, 1, str(node_id), bytes(key), bytes(lock), bytes(commitment)] if (
            len(key) == KEY_BYTES and len(lock) == HASH_BYTES and len(commitment) in (0, HASH_BYTES)
        ):
            try:
                check_node_id(node_id)
            except InvalidArgumentError as error:
                raise ProtocolError(error.message) from error
            return Introduction(node_id, PublicKey(key), lock, commitment)
        case [1, 2, bytes(nonce)] if len(nonce) == HASH_BYTES:
            return Reveal(nonce)
        case [1, 3, bytes(opened)] if len(opened) == HASH_BYTES:
            return Confirm(opened)
        case [1, 4, bytes(opened)] if len(opened) == HASH_BYTES:
            return Pinned(opened)
        case [1, 5, str(words)] if len(words.encode()) <= WORDS_BYTES_MAX:
            return Refuse(words)
        case [version, *_] if version != VERSION:
            raise ProtocolError(f"pairing version {version}, expected {VERSION}: update the older")
        case _:
            raise ProtocolError("a pairing message of another form")

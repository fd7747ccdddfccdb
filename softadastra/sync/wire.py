"""The bytes of the messages: MessagePack arrays [protocol, type, ...].

`decode` accepts exactly what `encode` makes. Anything else is a ProtocolError that says what
was wrong; no input crashes it, and sizes are bounded before anything is built from them.
Origins, numbers and stamps travel as columns, so that a batch is decoded and becomes
siblings without a Python object per field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import chain
from typing import Any, Final, NamedTuple, assert_never

import msgpack

from softadastra.errors import OtherProtocolError, ProtocolError
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.sync.columns import shrunk
from softadastra.sync.fields import BATCH_ENTRIES_MAX, CLAIMED_MAX, RANGES_MAX, clipped
from softadastra.sync.messages import (
    PROTOCOL,
    Ack,
    Batch,
    Bye,
    Have,
    Haves,
    Hello,
    Lives,
    Message,
    Named,
    Ping,
    Pong,
    Reject,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.parsing import (
    read_ack,
    read_batch,
    read_begin,
    read_commit,
    read_have,
    read_hello,
    read_ping,
    read_pong,
    read_range,
    read_reject,
    refuse_claimed_lengths,
    refuse_extension,
)

__all__ = ["BATCH_ENTRIES_MAX", "CLAIMED_MAX", "PROTOCOL", "decode", "encode"]

NO_LIVES: Final[Lives] = {}
NONE_NAMED: Final[Named] = {}

NOTHING: Final = DotSet()

MESSAGE_BYTES_MAX: Final = 1_310_720
"""1.25 MiB: a batch of 1 MiB, which holds the largest value, and its claims."""


class MessageType(IntEnum):
    """The second element of a message. 0 is invalid; numbers are never given out again."""

    HELLO = 1
    REJECT = 2
    BATCH = 3
    ACK = 4
    HAVE = 5
    SNAPSHOT_BEGIN = 6
    SNAPSHOT_RANGE = 7
    SNAPSHOT_COMMIT = 8
    PING = 9
    PONG = 10
    BYE = 11


def encode(message: Message) -> bytes:
    """Give the bytes of a message."""
    match message:
        case Hello():
            body = [
                MessageType.HELLO,
                message.protocols,
                sorted(message.features),
                message.cluster,
                message.node_id,
                message.incarnation,
                message.nonce,
                message.wall_ms,
                message.policies,
                *plain_haves(message.have, message.lives, message.named),
                message.digest,
                message.credit,
                sorted(message.neighbours),
                message.resume,
                message.number,
            ]
        case Reject():
            body = [MessageType.REJECT, message.reason, message.words]
        case Batch():
            body = [MessageType.BATCH, *plain_batch(message)]
        case Ack():
            have, _ = plain_haves(message.have)
            body = [MessageType.ACK, message.batches, have, message.credit]
        case Have():
            have, lives = plain_haves(message.have, message.lives, message.named)
            known = [
                [node_id, report.age_ms, plain_haves(report.have)[0]]
                for node_id, report in message.known.items()
            ]
            neighbours = sorted(message.neighbours)
            digest = message.digest
            body = [MessageType.HAVE, message.number, have, lives, digest, neighbours, known]
        case SnapshotBegin():
            have, lives = plain_haves(message.have, message.lives)
            body = [MessageType.SNAPSHOT_BEGIN, message.snapshot, message.id, have, lives]
        case SnapshotRange():
            body = [
                MessageType.SNAPSHOT_RANGE,
                message.snapshot,
                message.after,
                message.last,
                message.is_end,
                *plain_batch(message.batch),
            ]
        case SnapshotCommit():
            body = [MessageType.SNAPSHOT_COMMIT, message.snapshot, message.id]
        case Ping():
            body = [MessageType.PING, message.sent_ms]
        case Pong():
            body = [MessageType.PONG, message.sent_ms]
        case Bye():
            body = [MessageType.BYE]
        case _ as unreachable:
            assert_never(unreachable)
    return bytes(msgpack.packb([PROTOCOL, *body]))


def plain_haves(
    haves: Haves, lives: Lives = NO_LIVES, named: Named = NONE_NAMED
) -> tuple[list[Any], list[Any]]:
    """Give [[node id, incarnation, base, [first, last, first, last ...]] ...], and their lives.

    A fifth element is the number that contexts name, when that is above all that is here.
    Of very many ranges the last are left out: saying that less is here costs a batch that comes
    twice, and they join when what lies between them has come.
    """
    left = RANGES_MAX
    plain: list[list[Any]] = []
    origins = [*haves, *(origin for origin in named if origin not in haves)]
    for origin in origins:
        dots = haves.get(origin, NOTHING)
        above = dots.above[:left]
        left -= len(above)
        flat = [n for found in above for n in found]
        beyond = [named[origin]] if origin in named else []
        plain.append([origin.node_id, origin.incarnation, dots.base, flat, *beyond])
    told = [(i, lives[origin]) for i, origin in enumerate(origins) if origin in lives]
    return plain, plain_lives(told)


def plain_lives(told: Iterable[tuple[int, Sequence[Life]]]) -> list[list[int]]:
    """Give [[position of the origin, first, life, first, life ...] ...]."""
    return [[position, *chain.from_iterable(lives)] for position, lives in told if lives]


def plain_batch(batch: Batch) -> list[Any]:
    """Give a batch's array."""
    return [
        batch.id,
        batch.told,
        batch.origins,
        plain_lives(batch.lives),
        [[o, first, [*chain.from_iterable(runs)]] for o, first, runs in batch.claims],
        batch.keys,
        *shrunk(batch.columns),
        [
            [state.siblings, [n for pair in state.context.items() for n in pair]]
            for state in batch.states
        ],
    ]


def decode(payload: bytes) -> Message:
    """Read a message. Of another protocol only a Reject is read, which is the same in all.

    Raises:
        OtherProtocolError: the bytes are a message of another protocol.
        ProtocolError: they are no message at all.
    """
    if len(payload) > MESSAGE_BYTES_MAX:
        raise ProtocolError(
            f"message of {len(payload)} bytes, at most {MESSAGE_BYTES_MAX} are allowed"
        )
    try:
        refuse_claimed_lengths(payload)
        plain = msgpack.unpackb(payload, ext_hook=refuse_extension)
    except ProtocolError:
        raise
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        # UnicodeDecodeError, ExtraData, StackError and FormatError are ValueErrors.
        # Of some errors the library has no words but their names.
        raise ProtocolError(
            f"not a MessagePack message: {str(error) or type(error).__name__}"
        ) from error
    if type(plain) is not list or len(plain) < 2:
        raise ProtocolError("a message is an array of at least protocol and type")
    protocol, kind, *body = plain
    # A node of another version has to be able to read why it is refused.
    if type(protocol) is not int or (protocol != PROTOCOL and kind != MessageType.REJECT):
        words = f"protocol {clipped(protocol)}, this node speaks {PROTOCOL}"
        raise OtherProtocolError(words) if type(protocol) is int else ProtocolError(words)
    reader = READERS.get(kind) if type(kind) is int else None
    if reader is None:
        raise ProtocolError(f"unknown message type {clipped(kind)}")
    if len(body) != reader.elements:
        raise ProtocolError(
            f"a message of type {kind} has {len(body)} elements, expected {reader.elements}"
        )
    return reader.read(*body)


class Reader(NamedTuple):
    """How many elements a type has, and what reads them."""

    elements: int
    read: Callable[..., Message]


READERS: Final[dict[int, Reader]] = {
    MessageType.HELLO: Reader(15, read_hello),
    MessageType.REJECT: Reader(2, read_reject),
    MessageType.BATCH: Reader(14, read_batch),
    MessageType.ACK: Reader(3, read_ack),
    MessageType.HAVE: Reader(6, read_have),
    MessageType.SNAPSHOT_BEGIN: Reader(4, read_begin),
    MessageType.SNAPSHOT_RANGE: Reader(18, read_range),
    MessageType.SNAPSHOT_COMMIT: Reader(2, read_commit),
    MessageType.PING: Reader(1, read_ping),
    MessageType.PONG: Reader(1, read_pong),
    MessageType.BYE: Reader(0, Bye),
}

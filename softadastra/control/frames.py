"""What goes over a control socket: frames of MessagePack, each behind its length.

    frame     length: 4 bytes, big-endian | payload: so many bytes, one MessagePack array

    hello     [protocol, HELLO, about]            the node, at once: who answers
    request   [protocol, call, {argument: value}] the command, one after the other
    alive     [protocol, ALIVE]                   the node, each second while it works on an answer
    part      [protocol, PART, [element]]         the node, any number of them before a result
    result    [protocol, RESULT, value]           the node, last
    error     [protocol, ERROR, error]            the node, last

A connection is one command's: the node that is closed meanwhile gives it a moment to end. Whoever
has had enough closes it.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from softadastra.errors import InvalidArgumentError, InvalidStateError, ProtocolError

__all__ = [
    "FRAME_BYTES_MAX",
    "LENGTH",
    "PROTOCOL",
    "Reply",
    "Request",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
]

PROTOCOL: Final = 1
"""Rises when one of two versions would misread the other. A new call, argument or field is none."""

LENGTH: Final = struct.Struct(">I")

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest frame. An import sends groups of 4 MiB with at most one row more, of 1 MiB as packed;
the rest is room for the outbox of thousands of peers."""


class Reply(IntEnum):
    """What a node says. The numbers never change their meaning; 0 is none."""

    RESULT = 1
    ERROR = 2
    PART = 3
    ALIVE = 4
    HELLO = 5


class Request(NamedTuple):
    """What a command asks."""

    call: str
    arguments: dict[str, Any]


def encode_request(call: str, arguments: dict[str, Any]) -> bytes:
    """Make the frame of a request.

    Raises:
        InvalidArgumentError: it is larger than a frame may be.
    """
    payload = msgpack.packb([PROTOCOL, call, arguments])
    if len(payload) > FRAME_BYTES_MAX:
        raise InvalidArgumentError(
            f"what is asked of the node takes {len(payload):,} bytes, the limit is"
            f" {FRAME_BYTES_MAX:,}: ask it in parts"
        )
    return LENGTH.pack(len(payload)) + payload


def encode_reply(kind: Reply, content: object = None) -> bytes:
    """Make the frame of a reply.

    Raises:
        InvalidStateError: it is larger than a frame may be.
    """
    payload = msgpack.packb([PROTOCOL, int(kind), content])
    if len(payload) > FRAME_BYTES_MAX:
        raise InvalidStateError(
            f"the answer takes {len(payload):,} bytes, a control socket carries"
            f" {FRAME_BYTES_MAX:,} at a time: ask in the program that runs the node"
        )
    return LENGTH.pack(len(payload)) + payload


def decode_request(payload: bytes) -> Request:
    """Read a request.

    Raises:
        ProtocolError: it is none.
    """
    match _decode(payload):
        case [1, str(call), dict(arguments)]:
            return Request(call, arguments)
        case [int(protocol), *_] if protocol != PROTOCOL:
            raise ProtocolError(
                f"the command speaks version {protocol} of the control protocol, this node"
                f" version {PROTOCOL}: use the softadastra that the node runs"
            )
        case other:
            raise ProtocolError(f"a control socket takes requests, got {other!r:.80}")


def decode_reply(payload: bytes) -> tuple[Reply, Any]:
    """Read a reply.

    Raises:
        ProtocolError: it is none.
    """
    match _decode(payload):
        case [1, int(number), content] if number in tuple(Reply):
            return Reply(number), content
        case [int(protocol), *_] if protocol != PROTOCOL:
            raise ProtocolError(
                f"the node speaks version {protocol} of the control protocol, this command"
                f" version {PROTOCOL}: use the softadastra that the node runs"
            )
        case other:
            raise ProtocolError(f"no node answers on this control socket, but {other!r:.80}")


def _decode(payload: bytes) -> object:
    try:
        return msgpack.unpackb(payload, strict_map_key=True)
    except Exception as error:  # whatever msgpack makes of hostile bytes
        raise ProtocolError(f"not MessagePack: {error!r:.80}") from error

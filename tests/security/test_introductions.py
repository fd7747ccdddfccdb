"""Frames of pairing come from anybody: they are read to the byte, or refused."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import ProtocolError
from softadastra.security.introductions import (
    FRAME_BYTES_MAX,
    Confirm,
    Introduction,
    Message,
    Pinned,
    Refuse,
    Reveal,
    decode,
    encode,
)

from .samples import public_key

HASH = bytes(range(32))

MESSAGES: list[Message] = [
    Introduction("till", public_key(1), HASH, b""),
    Introduction("t" * 255, public_key(1), HASH, HASH),
    Reveal(HASH),
    Confirm(HASH),
    Pinned(HASH),
    Refuse("no"),
    Refuse("x" * 512),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_read_as_it_was_written_and_fits_a_frame(message: Message) -> None:
    assert decode(encode(message)) == message
    assert len(encode(message)) <= FRAME_BYTES_MAX


def test_long_words_are_cut_off_at_a_whole_character() -> None:
    assert decode(encode(Refuse("ä" * 300))) == Refuse("ä" * 256)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [1],
        [1, 0],
        [1, 6, HASH],
        [1, 1, "till", bytes(32), HASH],
        [1, 1, "", bytes(32), HASH, b""],
        [1, 1, "a\nb", bytes(32), HASH, b""],
        [1, 1, "t" * 256, bytes(32), HASH, b""],
        [1, 1, "till", bytes(31), HASH, b""],
        [1, 1, "till", bytes(32), bytes(31), b""],
        [1, 1, "till", bytes(32), HASH, bytes(31)],
        [1, 1, 5, bytes(32), HASH, b""],
        [1, 2, bytes(31)],
        [1, 2, "x" * 32],
        [1, 2, HASH, 1],
        [1, 3, bytes(33)],
        [1, 4, bytes(33)],
        [1, 5, "x" * 513],
        [1, 5, b"no"],
        {},
        None,
        [True, 2, HASH],
        [1.0, 2, HASH],
        [1, 2.0, HASH],
    ],
)
def test_a_message_of_another_form_is_refused(fields: object) -> None:
    with pytest.raises(ProtocolError):
        decode(msgpack.packb(fields))


def test_another_version_is_named() -> None:
    with pytest.raises(ProtocolError, match="pairing version 2, expected 1"):
        decode(msgpack.packb([2, 2, HASH]))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x90" * 1_025,
        b"\x91" * 1_000,
        encode(Refuse("no")) + b"\0",
        msgpack.packb([1, 2, msgpack.ExtType(5, HASH)]),
        b"\x93\x01\x05\xa2\xff\xff",
    ],
)
def test_bytes_that_are_no_message_are_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(frame)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else(frame: bytes) -> None:
    try:
        message = decode(frame)
    except ProtocolError:
        return
    assert decode(encode(message)) == message

"""The bytes of headers and frames, without a file."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from softadastra.errors import InvalidArgumentError, StoreError, WalCorruptionError
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    NODE_ID_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    FrameHeader,
    Header,
    decode_file_header,
    decode_frame_header,
    encode_file_header,
    encode_frame,
)

PATH = Path("node-a.wal")
HEADER = Header(node_id="node-a", incarnation=0x0123456789ABCDEF, generation=1)


def with_crc(body: bytes) -> bytes:
    """Give the body the CRC that makes a whole header of it."""
    return body + crc32(body).to_bytes(4, "little")


def test_file_header_has_the_documented_bytes() -> None:
    block = encode_file_header(HEADER)

    fields = "89534144 57414c0a 01000000 06000000 efcdab89 67452301 01000000 00000000"
    assert block[:38] == bytes.fromhex(fields) + b"node-a"
    assert block[38:4092] == bytes(4092 - 38)
    assert block[4092:] == crc32(block[:4092]).to_bytes(4, "little")


def test_frame_has_the_documented_bytes() -> None:
    frame, chain = encode_frame(7, b"hello", sequence=1, mark=4096, seed=11, chain=11)

    header = bytes.fromhex("f5da7a07 05000000 0100000000000000 0010000000000000 5858c43e")
    assert frame == header + b"hello" + bytes.fromhex("35453b16")
    assert chain == crc32(header + b"hello", 11)


@pytest.mark.parametrize("node_id", ["a", "Größe/€", "n" * NODE_ID_BYTES_MAX])
def test_file_header_comes_back_as_it_was(node_id: str) -> None:
    header = Header(node_id=node_id, incarnation=2**64 - 1, generation=0)
    block = encode_file_header(header)

    assert decode_file_header(block, PATH) == (header, int.from_bytes(block[-4:], "little"))


@pytest.mark.parametrize("node_id", ["", "n" * (NODE_ID_BYTES_MAX + 1), "\ud800"])
def test_node_id_that_does_not_fit_is_refused(node_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="node id"):
        Header(node_id=node_id, incarnation=1, generation=1)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_incarnation_and_generation_have_64_bits(number: int) -> None:
    with pytest.raises(InvalidArgumentError, match="incarnation has 64 bits"):
        Header(node_id="a", incarnation=number, generation=1)
    with pytest.raises(InvalidArgumentError, match="generation has 64 bits"):
        Header(node_id="a", incarnation=1, generation=number)


def test_every_flipped_bit_of_the_file_header_is_refused() -> None:
    block = encode_file_header(HEADER)

    for position in range(len(block)):
        for bit in range(8):
            damaged = bytearray(block)
            damaged[position] ^= 1 << bit
            with pytest.raises(StoreError):
                decode_file_header(bytes(damaged), PATH)


def test_every_shorter_file_header_is_refused() -> None:
    block = encode_file_header(HEADER)

    for size in range(len(block)):
        with pytest.raises(StoreError):
            decode_file_header(block[:size], PATH)


def test_damaged_header_is_named_and_is_not_taken_for_a_newer_format() -> None:
    block = bytearray(encode_file_header(HEADER))
    block[8] = 2

    with pytest.raises(WalCorruptionError, match=r"header of node-a\.wal is damaged") as caught:
        decode_file_header(bytes(block), PATH)

    assert caught.value.context == {"path": "node-a.wal", "offset": 0}


def test_newer_format_is_named() -> None:
    body = bytearray(encode_file_header(HEADER)[:-4])
    body[8] = 2

    with pytest.raises(StoreError, match="log format 2") as caught:
        decode_file_header(with_crc(bytes(body)), PATH)

    assert not isinstance(caught.value, WalCorruptionError)
    assert caught.value.context == {"path": "node-a.wal", "found": 2, "expected": 1}


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(FILE_HEADER_BYTES)])
def test_foreign_file_is_named(content: bytes) -> None:
    with pytest.raises(StoreError, match="not a Softadastra write-ahead log"):
        decode_file_header(content, PATH)


@pytest.mark.parametrize(("length", "text"), [(0, b""), (5000, b"x"), (2, b"\xff\xff")])
def test_header_with_a_right_crc_and_no_node_id_is_damaged(length: int, text: bytes) -> None:
    """Only a program that writes wrong headers makes one: no other error may come of it."""
    body = bytearray(encode_file_header(HEADER)[:-4])
    body[12:16] = length.to_bytes(4, "little")
    body[32 : 32 + len(text)] = text
    body[32 + len(text) :] = b"\xff" * (len(body) - 32 - len(text))

    with pytest.raises(WalCorruptionError, match="node id"):
        decode_file_header(with_crc(bytes(body)), PATH)


def test_frame_header_comes_back_from_any_position() -> None:
    frame, _ = encode_frame(255, b"payload", sequence=2**63, mark=2**40, seed=5, chain=9)

    expected = FrameHeader(kind=255, length=7, sequence=2**63, mark=2**40)
    assert decode_frame_header(b"...." + frame, 4, 5) == expected


def test_frame_header_of_another_file_is_none() -> None:
    frame, _ = encode_frame(1, b"payload", sequence=1, mark=4096, seed=5, chain=5)

    assert decode_frame_header(frame, 0, 6) is None


def test_every_flipped_bit_of_a_frame_header_makes_it_none() -> None:
    frame, _ = encode_frame(1, b"", sequence=1, mark=4096, seed=5, chain=5)

    for bit in range(8 * FRAME_HEADER_BYTES):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode_frame_header(bytes(damaged), 0, 5) is None, bit


def test_cut_frame_header_is_none() -> None:
    frame, _ = encode_frame(1, b"", sequence=1, mark=4096, seed=5, chain=5)

    assert decode_frame_header(frame[: FRAME_HEADER_BYTES - 1], 0, 5) is None
    assert decode_frame_header(frame, 5, 5) is None


def test_payload_above_the_limit_is_refused() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return PAYLOAD_BYTES_MAX + 1

    with pytest.raises(InvalidArgumentError, match="write fewer values in one batch"):
        encode_frame(1, Huge(), sequence=1, mark=4096, seed=5, chain=5)

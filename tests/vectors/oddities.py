"""Bytes that no node sends: other bytes that mean the same as a sample's, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgpack

from softadastra.store.dots import DotSet
from softadastra.sync.messages import (
    Ack,
    Have,
    Message,
    Ping,
    Pong,
    Reject,
    RejectReason,
    SnapshotBegin,
    SnapshotCommit,
)
from softadastra.sync.wire import MessageType, encode
from tests.vectors.samples import (
    BATCH,
    DIGEST,
    EMPTY,
    HELLO,
    MIXED,
    RANGE,
    STAMP,
    U64,
    A,
    edited,
)

__all__ = ["ACCEPTED", "REFUSED", "Other"]


class Other(NamedTuple):
    """Bytes that no node sends: they mean the same as a sample's, or they are refused."""

    name: str
    words: str
    payload: bytes


def tampered(message: Message, *changes: tuple[str, str, int, Any]) -> list[Other]:
    """Give messages with one element replaced: (name, words, position, value)."""
    return [
        Other(name, words, edited(message, (position, value)))
        for name, words, position, value in changes
    ]


ACCEPTED: Final[dict[MessageType, list[tuple[Message, Other]]]] = {
    MessageType.HELLO: [
        (
            HELLO,
            Other(
                "long integers", "an integer in more bytes than it needs",
                encode(HELLO).replace(b"\x10\x90\xc0", b"\xcd\x00\x10\x90\xc0"),
            ),
        ),
        (
            replace(HELLO, neighbours=frozenset({"a", "b"})),
            Other(
                "names twice and unsorted", "names are a set: order and repetition say nothing",
                edited(HELLO, (14, ["b", "a", "b"])),
            ),
        ),
    ],
    MessageType.BATCH: [
        (
            BATCH,
            Other(
                "whole columns", "a regular column may be sent as a list all the same",
                edited(BATCH, (8, [0, 0]), (9, [1, 2]), (11, [0, 0]), (12, [1, 1]), (14, [0, 0])),
            ),
        ),
        (
            BATCH,
            Other(
                "another stamp base", "the base need not be the least stamp",
                edited(BATCH, (10, STAMP - 5), (11, 5)),
            ),
        ),
        (
            EMPTY,
            Other(
                "no rows, numbers for columns", "of no rows a column may be a number",
                edited(EMPTY, (9, 0), (11, 0), (12, 0), (14, 0)),
            ),
        ),
    ],
}  # fmt: skip
"""Bytes that mean the same as what a node sends."""


def joined(*groups: Iterable[Other]) -> list[Other]:
    return [other for group in groups for other in group]


COMMON: Final = [
    Other("nothing", "an empty message", b""),
    Other("no MessagePack", "a byte that MessagePack does not use", b"\xc1"),
    Other("cut off", "the last byte is missing", encode(Ping(300))[:-1]),
    Other("trailing byte", "a byte behind the array", encode(Ping(1)) + b"\x00"),
    Other("no array", "a number", b"\x01"),
    Other("no type", "an array of the protocol alone", b"\x91\x01"),
    Other("another protocol", "the first element is 2", edited(Ping(1), (0, 2))),
    Other("protocol as text", "the first element is no integer", edited(Ping(1), (0, "1"))),
    Other("type 0", "0 is no type", edited(Ping(1), (1, 0))),
    Other("type 12", "no such type", edited(Ping(1), (1, 12))),
    Other("type true", "a boolean is no integer", edited(Ping(1), (1, True))),
    Other("too few elements", "a ping without its time", bytes(msgpack.packb([1, 9]))),
    Other("too many elements", "a ping with two", bytes(msgpack.packb([1, 9, 1, 2]))),
    Other("float", "1.0 is no integer", edited(Ping(1), (2, 1.0))),
    Other("negative", "-1", edited(Ping(1), (2, -1))),
    Other("extension", "an extension type outside a value", b"\x93\x01\x09\xd4\x05\x00"),
    Other("not UTF-8", "a text with the byte ff", b"\x94\x01\x02\x01\xa1\xff"),
    Other("nested deeper than a stack", "2,000 arrays inside each other", b"\x91" * 2_000),
    Other("claimed length", "an array that claims 4,294,967,295 elements", b"\xdd\xff\xff\xff\xff"),
]

REFUSED: Final[dict[MessageType, list[Other]]] = {
    MessageType.HELLO: tampered(
        HELLO,
        ("cluster empty", "an empty text", 4, ""),
        ("node id too long", "256 bytes", 5, "n" * 256),
        ("node id as bytes", "bytes are no text", 5, b"till"),
        ("node id that rings", "a control character", 5, "till\x07"),
        ("incarnation negative", "-1", 6, -1),
        ("wall clock too late", "2^48 + 1", 8, 2**48 + 1),
        ("range at the base", "6 belongs to the base", 10, [["till", 7, 5, [6, 7]]]),
        ("range backwards", "its last is before its first", 10, [["till", 7, 5, [9, 8]]]),
        ("ranges that touch", "7 to 8 and 9 to 9 are one", 10, [["till", 7, 5, [7, 8, 9, 9]]]),
        ("half a range", "a first without a last", 10, [["till", 7, 5, [7]]]),
        ("origin twice", "two haves of one origin", 10, [["till", 7, 5, []], ["till", 7, 6, []]]),
        ("have too short", "no list of ranges", 10, [["till", 7, 5]]),
        ("named number that is here", "5 is the base", 10, [["till", 7, 5, [], 5]]),
        ("named number as text", "a number is expected", 10, [["till", 7, 5, [], "9"]]),
        ("have too long", "two named numbers", 10, [["till", 7, 5, [], 9, 10]]),
        ("lives of nobody", "the have has two origins", 11, [[2, 1, 1]]),
        ("half a life", "a first number without a life", 11, [[0, 1]]),
        ("lives out of order", "two lives that begin at 5", 11, [[0, 5, 1, 5, 2]]),
        ("lives without an origin", "an empty list", 11, [[]]),
        ("digest too short", "15 bytes", 12, bytes(15)),
        ("no credit", "0", 13, 0),
        ("credit too large", "1,025", 13, 1_025),
        ("resume without a key", "a list of one", 15, [1]),
        ("number too large", "no room for those of the HAVEs", 16, 2**64 - 2**20),
    ),
    MessageType.REJECT: tampered(
        Reject(RejectReason.BUSY, "later"),
        ("reason 0", "no reason", 2, 0),
        ("reason 7", "no such reason", 2, 7),
        ("no words", "an empty text", 3, ""),
    ),
    MessageType.BATCH: joined(
        tampered(
            BATCH,
            ("no origins", "values of nobody", 4, []),
            ("origin twice", "two of one name and incarnation", 4, [["till", 7], ["till", 7]]),
            ("origin too short", "no incarnation", 4, [["till"]]),
            ("lives of nobody", "there is one origin", 5, [[1, 1, 1]]),
            ("claim of write 0", "numbers begin at 1", 6, [[0, 0, [2, 0, 1]]]),
            ("claim of nobody", "there is one origin", 6, [[1, 1, [2, 0, 1]]]),
            ("claim of no entry", "the third entry is not there", 6, [[0, 1, [3, 0, 1]]]),
            ("claim of no write", "a run of 0", 6, [[0, 1, [0, 0, 1]]]),
            ("stride 2", "a stride is 0 or 1", 6, [[0, 1, [1, 0, 2]]]),
            ("claim too large", "2^20 + 1 writes", 6, [[0, 1, [2**20 + 1, 0, 0]]]),
            ("half a run", "two numbers", 6, [[0, 1, [1, 0]]]),
            ("claim without a run", "an empty list", 6, [[0, 1, []]]),
            ("claim beyond the last number", "2^64", 6, [[0, U64, [2, 0, 1]]]),
            ("key twice", "keys are distinct", 7, ["a", "a"]),
            ("key empty", "a key is not empty", 7, ["a", ""]),
            ("key as bytes", "a key is text", 7, ["a", b"b"]),
            ("key without an entry", "three keys, two values", 7, ["a", "b", "c"]),
            ("origin of nobody", "the second row", 8, [0, 1]),
            ("write 0", "numbers begin at 1", 9, 0),
            ("numbers beyond the last", "2^64 - 1 and the next", 9, U64),
            ("column too short", "one number for two rows", 9, [1]),
            ("text in a column", "numbers are integers", 9, [1, "2"]),
            ("stamp beyond the last", "base and difference are more than 2^64 - 1", 11, U64),
            ("value as text", "a value is bytes", 13, [b"\x01", "x"]),
            ("value cut off", "a text of 5 bytes with 1", 13, [b"\x01", b"\xa5x"]),
            ("value with a rest", "two objects", 13, [b"\x01", b"\x01\x02"]),
            ("flags 2", "0 or 1", 14, 2),
        ),
        tampered(
            MIXED,
            ("state without a sibling", "an empty list", 15, [[[], []]]),
            ("context of nobody", "origin 7", 15, [[[[1, 1, 9, 2, b"\x02", 0]], [7, 1]]]),
            ("half a context", "one number", 15, [[[[1, 1, 9, 2, b"\x02", 0]], [1]]]),
            ("sibling twice", "the same write", 15, [[[[1, 1, 9, 2, b"\x02", 0]] * 2, []]]),
            ("sibling too short", "no flags", 15, [[[[1, 1, 9, 2, b"\x02"]], []]]),
            ("sibling of write 0", "numbers begin at 1", 15, [[[[1, 0, 9, 2, b"\x02", 0]], []]]),
        ),
    ),
    MessageType.ACK: tampered(
        Ack([1], {A: DotSet(2)}, 16),
        ("batches as a number", "a list is expected", 2, 1),
        ("batch as text", "a number is expected", 2, ["1"]),
        ("no credit", "0", 4, 0),
        ("named number", "only greetings and HAVEs name", 3, [["till", 7, 5, [], 9]]),
    ),
    MessageType.HAVE: tampered(
        Have(1, {A: DotSet(5)}, {}, {}, DIGEST, frozenset(), {}),
        ("number 0", "0 is the greeting", 2, 0),
        ("digest as text", "16 bytes are expected", 5, "d" * 16),
        ("neighbour as bytes", "a name is text", 6, [b"office"]),
        ("report too short", "no have", 7, [["attic", 1]]),
        ("age too large", "2^48 + 1", 7, [["attic", 2**48 + 1, []]]),
    ),
    MessageType.SNAPSHOT_BEGIN: tampered(
        SnapshotBegin(1, 2, {A: DotSet(5)}, {}),
        ("snapshot negative", "-1", 2, -1),
        ("lives of nobody", "there is one origin", 5, [[1, 1, 1]]),
        ("named number", "only greetings and HAVEs name", 4, [["till", 7, 5, [], 9]]),
    ),
    MessageType.SNAPSHOT_RANGE: tampered(
        RANGE,
        ("after empty", "nothing is said by null", 3, ""),
        ("last empty", "a range ends at a key", 4, ""),
        ("end as a number", "true or false", 5, 1),
        ("a claim", "a range claims nothing", 10, [[0, 1, [2, 0, 1]]]),
        ("key before the range", "a is not behind a", 3, "a"),
        ("key behind the range", "b is behind a", 4, "a"),
    ),
    MessageType.SNAPSHOT_COMMIT: tampered(
        SnapshotCommit(1, 9), ("id as text", "a number is expected", 3, "9")
    ),
    MessageType.PING: COMMON,
    MessageType.PONG: tampered(Pong(1), ("time as nothing", "a number is expected", 2, None)),
    MessageType.BYE: [Other("an element", "it has none", bytes(msgpack.packb([1, 11, 0])))],
}
"""By type; those that any message could have are with PING."""

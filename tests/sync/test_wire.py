"""The bytes of the messages: what is encoded is decoded, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import ProtocolError
from softadastra.store.changes import Claim
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState
from softadastra.sync.messages import (
    Ack,
    Batch,
    Bye,
    Have,
    Hello,
    Message,
    Ping,
    Pong,
    Reject,
    RejectReason,
    Report,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.wire import decode, encode
from tests.strangers import HELLO

A, B, C = Origin("a", 2**64 - 1), Origin("b", 0), Origin("c", 5)
HAVES = {A: DotSet(5, [(7, 9), (11, 11)]), B: DotSet(0, [(2, 2)])}
LIVES = [Life(3, 1), Life(5, 2)]
BATCH = Batch(
    id=3,
    told=2,
    origins=[A, B],
    lives=[(1, [Life(5, 7), Life(9, 2**64 - 1)])],
    claims=[Claim(0, 5, [(2, 0, 1), (7, 2, 0)]), Claim(1, 1, [(1, 3, 1)])],
    keys=["x", "y", "z", "w"],
    columns=([0, 0, 1], [5, 6, 9], [100, 100, 107], [1, 1, 1], [b"\x01", b"", b"\xa1v"], [0, 0, 0]),
    states=[KeyState(((1, 1, 9, 2, b"\x02", 1),), {0: 4})],
)
MESSAGES: list[Message] = [
    Hello(
        protocols=(1, 3),
        features=frozenset({"f"}),
        cluster="c",
        node_id="a",
        incarnation=1,
        nonce=2**64 - 1,
        wall_ms=1,
        policies="last_write_wins",
        have=HAVES,
        named={C: 12},
        lives={C: [Life(2, 9)], B: [Life(2, 3)]},
        digest=bytes(16),
        credit=4,
        neighbours=frozenset({"x", "y"}),
        resume=(7, "key"),
        number=2**63,
    ),
    Reject(RejectReason.BUSY, "later"),
    BATCH,
    Ack([1, 2], HAVES, 4),
    Have(
        1,
        HAVES,
        {A: 12, C: 9},
        {A: [Life(3, 1), Life(5, 2)]},
        bytes(range(16)),
        frozenset(),
        {"c": Report(5, HAVES)},
    ),
    SnapshotBegin(1, 2, HAVES, {}),
    SnapshotRange(1, None, "z", False, replace(BATCH, claims=[])),
    SnapshotRange(1, "a", "zz", True, replace(BATCH, claims=[])),
    SnapshotCommit(1, 9),
    Ping(1),
    Pong(2**40),
    Bye(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back_equal(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_truncation_is_refused(message):
    payload = encode(message)

    for end in range(len(payload)):
        with pytest.raises(ProtocolError):
            decode(payload[:end])


def encodable(plain: object) -> bytes:
    return msgpack.packb(plain)


def changed(message: Message, position: int, value: object) -> bytes:
    """The bytes of a message with one element replaced."""
    plain = msgpack.unpackb(encode(message))
    plain[position] = value
    return encodable(plain)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        encodable(1),
        encodable([]),
        encodable([1]),
        encodable([2, 9, 1]),
        encodable([1, 99, 1]),
        encodable([1, [], 1]),
        encodable([1, 9]),
        encodable([1, 9, 1, 2]),
        encodable([1, 9, -1]),
        encodable([1, 9, True]),
        encodable([1, 9, 1.0]),
        encodable([1, 9, msgpack.Timestamp(1)]),
        encodable([1, 9, msgpack.ExtType(5, b"")]),
        b"\x91" * 2_000,
        changed(MESSAGES[0], 4, ""),
        changed(MESSAGES[0], 5, "n" * 256),
        changed(MESSAGES[0], 6, 2**63 * -1),
        changed(MESSAGES[0], 10, [["a", 1, 5, [6, 7]]]),
        changed(MESSAGES[0], 10, [["a", 1, 5, [9, 8]]]),
        changed(MESSAGES[0], 10, [["a", 1, 5, [7]]]),
        changed(MESSAGES[0], 12, b"short"),
        changed(MESSAGES[0], 13, 0),
        changed(MESSAGES[0], 14, [b"bytes"]),
        changed(MESSAGES[0], 2, [1]),
        changed(MESSAGES[0], 3, [1]),
        changed(MESSAGES[0], 11, [[3, 1, 1]]),
        changed(MESSAGES[0], 11, [[0, 1]]),
        changed(MESSAGES[0], 11, [[0, 5, 1, 5, 2]]),
        changed(MESSAGES[0], 11, [[]]),
        changed(MESSAGES[0], 11, [[0]]),
        changed(BATCH, 3, -1),
        changed(BATCH, 4, []),
        changed(BATCH, 5, [[2, 1, 1]]),
        changed(BATCH, 6, [[0, 0, [2, 0, 1]]]),
        changed(BATCH, 6, [[2, 1, [2, 0, 1]]]),
        changed(BATCH, 6, [[0, 1, [5, 0, 1]]]),
        changed(BATCH, 6, [[0, 1, [0, 0, 1]]]),
        changed(BATCH, 6, [[0, 1, [1, 0, 2]]]),
        changed(BATCH, 6, [[0, 1, [2**40, 0, 0]]]),
        changed(BATCH, 6, [[0, 1, [1, 0]]]),
        changed(BATCH, 7, ["x", "x", "z", "w"]),
        changed(BATCH, 7, ["x", "", "z", "w"]),
        changed(BATCH, 7, ["x", b"y", "z", "w"]),
        changed(BATCH, 7, ["x", "y", "z"]),
        changed(BATCH, 7, ["x", "y", "z", "w" * 70_000]),
        changed(BATCH, 8, [0, 0, 2]),
        changed(BATCH, 8, [0, 0]),
        changed(BATCH, 9, [0, 1, "2"]),
        changed(BATCH, 11, [2**64 - 1] * 3),
        changed(BATCH, 13, [b"\x01", b"", b"\xa5v"]),
        changed(BATCH, 13, [b"\x01", b"", "text"]),
        changed(BATCH, 15, [[[], []]]),
        changed(BATCH, 15, [[[[1, 1, 9, 2, b"\x02", 0]], [7, 1]]]),
        changed(BATCH, 15, [[[[1, 1, 9, 2, b"\x02", 0]] * 2, []]]),
        b"\x00" * 1_310_721,
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(payload):
    with pytest.raises(ProtocolError) as refusal:
        decode(payload)

    assert 0 < len(refusal.value.message) < 400
    assert not refusal.value.message.endswith(": ")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_understood(payload):
    try:
        decode(payload)
    except ProtocolError:
        return


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4),
)


@given(st.integers(0, 12), st.integers(1, 12), plain)
def test_any_element_of_a_message_may_be_anything(kind, position, value):
    message = msgpack.unpackb(encode(MESSAGES[kind % len(MESSAGES)]))
    message[position % len(message)] = value
    try:
        decode(encodable(message))
    except ProtocolError:
        return


@pytest.mark.parametrize("name", ["till\n", "\x1b[2J", "a\x7f", "\x9b31m"])
def test_a_greeting_by_a_name_that_terminals_obey_is_no_message(name):
    with pytest.raises(ProtocolError, match="expected no control characters"):
        decode(encode(replace(HELLO, node_id=name)))


@pytest.mark.parametrize(
    "name", ["my node", "ada@home", "\u00e9", "\u00a0", "\u202e", "\U000e0001"]
)
def test_a_greeting_is_read_whatever_else_its_name_has(name):
    """What can be printed differs between versions of Unicode, so between nodes."""
    hello = replace(HELLO, node_id=name)

    assert decode(encode(hello)) == hello


def test_of_another_protocol_only_a_reject_is_read():
    """A node of another version has to be able to read why it is refused."""
    reject = Reject(RejectReason.PROTOCOL, "words")
    others = [encode(message).replace(b"\x01", b"\x02", 1) for message in (reject, Ping(9))]

    assert decode(others[0]) == reject
    with pytest.raises(ProtocolError, match="protocol 2, this node speaks 1"):
        decode(others[1])


def test_a_regular_batch_is_small():
    """100 writes as they usually are: the bytes beside key and value stay under 20 each."""
    rows = 100
    batch = Batch(
        id=1,
        told=0,
        origins=[A],
        lives=[],
        claims=[Claim(0, 1, [(rows, 0, 1)])],
        keys=[f"user/{i:018d}" for i in range(rows)],
        columns=(
            [0] * rows,
            list(range(1, rows + 1)),
            [10**15 + i for i in range(rows)],
            [1] * rows,
            [b"\xd9\x36" + b"x" * 54] * rows,
            [0] * rows,
        ),
        states=[],
    )

    payload = encode(batch)

    assert len(payload) < rows * (23 + 56 + 20)
    assert decode(payload) == batch

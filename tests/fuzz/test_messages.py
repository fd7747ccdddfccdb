"""Bytes from the network: each message is understood as it was meant, or refused with words."""

from __future__ import annotations

import struct
import tracemalloc

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from softadastra.errors import ProtocolError
from softadastra.sync.messages import Message
from softadastra.sync.wire import MESSAGE_BYTES_MAX, READERS, decode, encode
from tests.fuzz.shapes import mangled, messages, places, plain, with_element

WORDS_MAX = 300
DEEP = 1_020
"""About what the unpacker takes, and more than `repr` does."""


def refused_or_understood(payload: bytes) -> Message | None:
    """What is understood is what encodes to the same; everything else is a ProtocolError."""
    try:
        message = decode(payload)
    except ProtocolError as error:
        words = error.message
        assert 0 < len(words) < WORDS_MAX
        return None
    assert decode(encode(message)) == message
    return message


@given(messages)
def test_every_message_of_any_content_comes_back_equal(message):
    assert decode(encode(message)) == message


@given(st.binary(max_size=300) | mangled(messages.map(encode)))
def test_mangled_messages_are_refused_or_understood(payload):
    refused_or_understood(payload)


@given(messages, st.data())
def test_every_element_at_any_depth_may_be_anything(message, data):
    whole = msgpack.unpackb(encode(message))
    path = data.draw(st.sampled_from(places(whole)))

    refused_or_understood(msgpack.packb(with_element(whole, path, data.draw(plain))))


@given(messages, messages, st.data())
def test_every_element_may_be_that_of_another_message(message, other, data):
    """What passes one check is more likely to pass for something that it is not."""
    whole, foreign = msgpack.unpackb(encode(message)), msgpack.unpackb(encode(other))
    element: object = foreign
    for index in data.draw(st.sampled_from(places(foreign))):
        element = element[index]  # type: ignore[index]
    path = data.draw(st.sampled_from(places(whole)))

    refused_or_understood(msgpack.packb(with_element(whole, path, element)))


@given(st.sampled_from(sorted(READERS)), st.data())
def test_elements_of_any_shape_are_refused_or_understood(kind, data):
    count = READERS[kind].elements
    body = data.draw(st.lists(plain, min_size=count, max_size=count))

    refused_or_understood(msgpack.packb([1, kind, *body]))


@given(plain)
@example([True, 11])
@example([1.0, 11])
def test_what_is_no_message_of_this_protocol_is_refused(value):
    assert refused_or_understood(msgpack.packb(value)) is None


@pytest.mark.parametrize("place", range(13))
def test_an_element_that_is_nested_without_end_is_refused(place):
    """Words about it that showed it all would exhaust the stack of `repr`."""
    elements = [b"\x01", b"\x01", *[b"\x01"] * 11]
    elements[place] = b"\x91" * DEEP + b"\x90"

    assert refused_or_understood(b"\x9d" + b"".join(elements)) is None


def claiming(depth: int) -> bytes:
    """Arrays inside each other, each of which claims as many elements as the message has bytes."""
    heads = [
        b"\xdd" + struct.pack("!I", MESSAGE_BYTES_MAX - 5 * (i + 1) - 100) for i in range(depth)
    ]
    return (b"\x92\x01" + b"".join(heads)).ljust(MESSAGE_BYTES_MAX, b"\xc0")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(claiming(1_000), id="claimed lengths"),
        pytest.param(
            b"\xdc\x00\x03\x01\x03\xdd" + struct.pack("!I", 2**32 - 1), id="4 Gi elements"
        ),
        pytest.param(
            (b"\x93\x01\x03\xdd" + struct.pack("!I", MESSAGE_BYTES_MAX - 8)).ljust(
                MESSAGE_BYTES_MAX, b"\x90"
            ),
            id="a million empty arrays",
        ),
        pytest.param(msgpack.packb(["x" * 1_300_000, 9, 1]), id="long text"),
        pytest.param(
            msgpack.packb([1, 4, [], [["a", 1, 0, list(range(2, 200_000, 2))]], 1]),
            id="many ranges",
        ),
        pytest.param(
            msgpack.packb([1, 4, [], [["a", i, 0, [2, 2, 4, 4]] for i in range(16_384)], 1]),
            id="few ranges of many origins",
        ),
    ],
)
def test_a_hostile_message_takes_a_bounded_amount_of_memory(payload):
    tracemalloc.start()
    try:
        assert refused_or_understood(payload) is None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # A Python list of nothing takes 64 bytes for the one that it took in the message.
    assert peak_bytes < 80 * MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([4, [], [["a", 1, 5, []]] * 2, 1], id="origin twice in a have"),
        pytest.param([3, 1, [["a", 1]] * 2, [], [], [], [], 0, 0, 1, [], 0, []], id="in a batch"),
        pytest.param([3, 1, [["a", 1]], [], ["k"], 0, 0, 1, 0, 1, [b"\x01"], 0, []], id="write 0"),
        pytest.param(
            [
                3,
                1,
                [["a", 1]],
                [],
                ["k"],
                [],
                [],
                0,
                0,
                1,
                [],
                0,
                [[[[0, 0, 1, 1, b"\x01", 0]], []]],
            ],
            id="write 0 in a state",
        ),
    ],
)
def test_what_no_node_writes_is_refused(body):
    with pytest.raises(ProtocolError):
        decode(msgpack.packb([1, *body]))

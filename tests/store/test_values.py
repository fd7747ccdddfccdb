"""Keys and values: what is accepted comes out equal, everything else is refused by name."""

from __future__ import annotations

import enum
import math
import os
import struct
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError, ProtocolError
from softadastra.packing import check_key, pack_value
from softadastra.store.values import NESTING_MAX, check_packed_value, unpack_value
from softadastra.types import Value

LIMIT = 1 << 20

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=offsets
)
texts = st.text()
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary()
    | instants
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12
).filter(lambda value: nesting(value) <= NESTING_MAX)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class FineInstant(datetime):
    """Lies 500 ns after the datetime that it equals, and knows it, as pandas.Timestamp does."""

    def __sub__(self, other: datetime) -> FineDuration:  # type: ignore[override]
        return FineDuration(datetime.__sub__(self, other))


class FineDuration:
    def __init__(self, coarse: timedelta) -> None:
        self.coarse = coarse

    def __divmod__(self, unit: timedelta) -> tuple[int, float]:
        return self.coarse // unit, 0.5


class Point(NamedTuple):
    x: int
    y: int


def nesting(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(nesting, value), default=0)
        case dict():
            return 1 + max(map(nesting, value.values()), default=0)
        case _:
            return 0


def nested(depth: int) -> object:
    value: object = "core"
    for _ in range(depth):
        value = [value]
    return value


def typed(value: object) -> object:
    """Tell 1, 1.0 and True apart, and 0.0 from -0.0, which compare equal."""
    match value:
        case list():
            return [typed(item) for item in value]
        case dict():
            return {key: typed(item) for key, item in value.items()}
        case float():
            return struct.pack("!d", value)
        case _:
            return type(value), value


def round_trip(value: object) -> Value:
    return unpack_value(pack_value(value, max_bytes=LIMIT))


@given(values)
def test_what_goes_in_comes_out_equal(value: object) -> None:
    assert typed(value) == typed(round_trip(value))


@given(values)
def test_what_is_packed_passes_the_check_of_the_network(value: object) -> None:
    check_packed_value(pack_value(value, max_bytes=LIMIT))


def test_nan_comes_out_as_nan() -> None:
    value = round_trip(float("nan"))

    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        ([bytearray(b"ab")], [b"ab"]),
        (Colour.RED, "red"),
        ({Colour.RED: Level.HIGH}, {"red": 3}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ([type("Celsius", (float,), {})(1.5)], [1.5]),
        ([type("Token", (bytes,), {})(b"ab")], [b"ab"]),
    ],
)
def test_relatives_of_the_accepted_types_come_out_as_the_plain_type(
    value: object, expected: object
) -> None:
    assert typed(expected) == typed(round_trip(value))


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2262, 4, 11, 23, 47, 16, 854776, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1901, 12, 13, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-11))),
        datetime(2024, 7, 1, 12, 0, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
)
def test_a_datetime_keeps_its_instant_to_the_microsecond(instant: datetime) -> None:
    assert instant == round_trip(instant)


def test_an_ambiguous_local_time_keeps_its_instant() -> None:
    """Python calls it unequal to any time of another zone (PEP 495), so compare in UTC."""
    second_pass = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))

    assert second_pass.astimezone(UTC) == round_trip(second_pass)


@pytest.mark.parametrize(
    ("value", "place", "words"),
    [
        ({1, 2}, "value", "of type set"),
        (object(), "value", "of type object"),
        (Decimal(1), "value", "of type Decimal"),
        ({"a": [0, 1, 2, {3}]}, "value['a'][3]", "of type set"),
        ((1, [range(3)]), "value[1][0]", "of type range"),
        (datetime(2024, 1, 1), "value", "without a timezone"),
        ([datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], "value[0]", "year 1"),
        ([datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1)))], "value[0]", "9999"),
        ([FineInstant(2024, 1, 1, tzinfo=UTC)], "value[0]", "whole microseconds"),
        (msgpack.ExtType(5, b"x"), "value", "msgpack.ExtType"),
        ([msgpack.Timestamp(1)], "value[0]", "of type Timestamp"),
        ({"a": {1: 2}}, "value['a']", "the key 1 of type int"),
        ({float("nan"): 1}, "value", "the key nan of type float"),
        ({None: 1}, "value", "the key None of type NoneType"),
        ({b"a": 1}, "value", "the key b'a' of type bytes"),
        ("ab\ud800", "value", "lone surrogate at 2"),
        (["é\ud800"], "value[0]", "lone surrogate at 1"),
        ({"\udc00": 1}, "value['\\udc00']", "lone surrogate at 0"),
        (2**64, "value", "beyond 64 bits"),
        ([-(2**63) - 1], "value[0]", "beyond 64 bits"),
        (nested(NESTING_MAX + 1), "value" + "[0]" * NESTING_MAX, "deeper than 8"),
    ],
)
def test_another_value_is_refused_with_its_place(value: object, place: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        pack_value(value, max_bytes=LIMIT)

    assert caught.value.message.startswith(f"{place} is ")
    assert words in caught.value.message
    assert place == caught.value.context["place"]


@pytest.mark.parametrize("value", [-(2**63), 2**64 - 1, [-(2**63), 2**64 - 1]])
def test_integers_of_64_bits_are_accepted(value: object) -> None:
    assert value == round_trip(value)


def test_nesting_is_accepted_up_to_its_limit() -> None:
    value = nested(NESTING_MAX)

    assert value == round_trip(value)
    check_packed_value(pack_value(value, max_bytes=LIMIT))


def test_a_value_that_contains_itself_is_refused() -> None:
    cycle: dict[str, object] = {}
    cycle["self"] = [cycle]

    with pytest.raises(InvalidArgumentError, match="contains itself"):
        pack_value(cycle, max_bytes=LIMIT)


def test_the_size_limit_is_of_the_packed_bytes_and_inclusive() -> None:
    assert pack_value("abc", max_bytes=4) == b"\xa3abc"

    with pytest.raises(InvalidArgumentError, match=r"takes 5 bytes, the limit is 4") as caught:
        pack_value("abcd", max_bytes=4)
    assert caught.value.context == {"size_bytes": 5, "max_bytes": 4}


@pytest.mark.parametrize("refused", ["\ud800", 2**64, "x" * 100, ["x" * 100]])
def test_a_refused_value_leaves_nothing_in_the_next(refused: object) -> None:
    with pytest.raises(InvalidArgumentError):
        pack_value(refused, max_bytes=50)

    assert pack_value("ok", max_bytes=50) == b"\xa2ok"


def test_a_refused_giant_does_not_leave_its_buffer_behind() -> None:
    giant = "x" * 20_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgumentError, match="takes 20000005 bytes"):
            pack_value(giant, max_bytes=LIMIT)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept_bytes < 1_000_000


def test_threads_do_not_share_a_buffer() -> None:
    """Run on the packer that is written in Python: it can be interrupted anywhere."""
    program = """
import sys, threading
from softadastra.packing import pack_value
from softadastra.store.values import unpack_value

def pack(mark):
    value = [mark] * 20
    for _ in range(300):
        if unpack_value(pack_value(value, max_bytes=1000)) != value:
            mixed.append(mark)

mixed = []
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=pack, args=(mark * 9,)) for mark in "abcd"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(len(mixed))
"""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"MSGPACK_PUREPYTHON": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("key", ["a", " ", "user/1", "clé", "\0", "x" * 16, "é" * 8, "\U0001f600"])
def test_a_key_is_any_text_within_its_limit(key: object) -> None:
    assert key == check_key(key, max_bytes=16)


def test_a_key_comes_back_as_a_plain_str() -> None:
    assert (str, "red") == typed(check_key(Colour.RED, max_bytes=16))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "key cannot be empty"),
        (None, "got None of type NoneType"),
        (b"a", "got b'a' of type bytes"),
        (1, "got 1 of type int"),
        (float("nan"), "got nan of type float"),
        (("a",), "of type tuple"),
        ("ab\ud800", "lone surrogate at 2"),
        ("x" * 17, "takes 17 bytes of UTF-8, the limit is 16"),
        ("é" * 9, "takes 18 bytes of UTF-8, the limit is 16"),
    ],
)
def test_another_key_is_refused_with_what_was_expected(key: object, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_key(key, max_bytes=16)

    assert words in caught.value.message


def test_the_words_of_an_error_stay_short_for_a_huge_key() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_key("x" * 100_000, max_bytes=16)

    assert len(caught.value.message) < 200


def timestamp(seconds: int, nanoseconds: int = 0) -> bytes:
    return b"\xc7\x0c\xff" + struct.pack("!Iq", nanoseconds, seconds)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="the tag that is never used"),
        pytest.param(b"\x01\x01", id="two integers"),
        pytest.param(b"\x90\x90", id="two arrays"),
        pytest.param(b"\xa2a", id="text cut off"),
        pytest.param(b"\xc4\x05abc", id="bytes cut off"),
        pytest.param(b"\xdb\xff\xff\xff\xffabc", id="text that claims 4 GiB"),
        pytest.param(b"\xcf\0\0", id="integer cut off"),
        pytest.param(b"\x92\x01", id="array cut off"),
        pytest.param(b"\x81\xa1a", id="map cut off"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="array that claims 4 Gi elements"),
        pytest.param(b"\xa1\xff", id="not UTF-8"),
        pytest.param(b"\x91\xa1\xff", id="not UTF-8 in an array"),
        pytest.param(b"\x81\xa1\xff\x01", id="not UTF-8 in a map key"),
        pytest.param(b"\xa3\xed\xa0\x80", id="surrogate in UTF-8"),
        pytest.param(b"\xa2\xc0\x80", id="overlong UTF-8"),
        pytest.param(b"\x81\x01\x01", id="map key int"),
        pytest.param(b"\x81\xc4\x01a\x01", id="map key bytes"),
        pytest.param(b"\xde\0\x01\xc4\x01a\x01", id="map 16 key bytes"),
        pytest.param(b"\xdf\0\0\0\x01\xc4\x01a\x01", id="map 32 key bytes"),
        pytest.param(b"\xdc\0\x01\x81\xc4\x01a\x01", id="map key bytes in an array 16"),
        pytest.param(b"\xdd\0\0\0\x01\x81\xc4\x01a\x01", id="map key bytes in an array 32"),
        pytest.param(b"\x81\xc0\x01", id="map key nil"),
        pytest.param(b"\x81\x90\x01", id="map key array"),
        pytest.param(b"\x81\xd6\xff\0\0\0\0\x01", id="map key timestamp"),
        pytest.param(b"\x91\x82\xa1a\x01\xa1a\x02", id="map key twice"),
        pytest.param(b"\xd4\x05a", id="extension"),
        pytest.param(b"\x91\xc7\0\x05", id="empty extension in an array"),
        pytest.param(b"\xd4\xfea", id="extension reserved by MessagePack"),
        pytest.param(b"\xc7\x05\xffabcde", id="timestamp of 5 bytes"),
        pytest.param(timestamp(0, 10**9), id="timestamp with a second of nanoseconds"),
        pytest.param(timestamp(-62135596801), id="timestamp before year 1"),
        pytest.param(timestamp(253402300800), id="timestamp after year 9999"),
        pytest.param(timestamp(2**63 - 1), id="timestamp at the end of time"),
        pytest.param(b"\x91" * 9 + b"\x01", id="nested 9 deep"),
        pytest.param(b"\x81\xa1a" * 9 + b"\x01", id="maps nested 9 deep"),
        pytest.param(b"\x91" * 8 + b"\x90", id="the ninth is empty"),
        pytest.param(b"\x91" * 100_000, id="nested without end"),
    ],
)
def test_bytes_that_are_no_value_are_a_protocol_error(packed: bytes) -> None:
    with pytest.raises(ProtocolError, match="a value"):
        check_packed_value(packed)


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        (b"\xcd\x00\x05", 5),
        (b"\xca\x3f\xc0\x00\x00", 1.5),
        (b"\xdc\x00\x01\xd9\x01a", ["a"]),
        (b"\x80", {}),
        (timestamp(0, 1_999), datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_longer_forms_and_finer_timestamps_of_other_writers_are_read(
    packed: bytes, value: object
) -> None:
    check_packed_value(packed)

    assert value == unpack_value(packed)


def test_a_claimed_length_allocates_nothing() -> None:
    claims = (b"\xdd" + struct.pack("!I", 100_000)) * 500
    packed = claims.ljust(100_000, b"\xc0")
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            check_packed_value(packed)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 2_000_000


mangled = st.builds(
    lambda packed, at, patch: packed[: at % (len(packed) + 1)] + patch + packed[at:],
    values.map(lambda value: pack_value(value, max_bytes=LIMIT)),
    st.integers(0, 60),
    st.binary(max_size=4),
)


@given(st.binary() | mangled)
@example(b"\x82\xa1a\x90\xa1b\x80")
def test_any_bytes_are_refused_or_can_be_read_and_packed_again(packed: bytes) -> None:
    try:
        check_packed_value(packed)
    except ProtocolError:
        return

    pack_value(unpack_value(packed), max_bytes=LIMIT)

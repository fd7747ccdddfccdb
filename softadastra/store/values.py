"""Turn values into MessagePack and back, and say what a key and a value may be.

- What is packed comes out equal: a tuple as a list, a bytearray or memoryview as bytes, a subclass
  as its base, a datetime as the same instant in UTC. Everything else is refused.
- A container is copied while it is checked, so that another thread that changes it meanwhile
  cannot put anything unchecked into the log.
- Bytes from the network are checked before they are believed, and nothing is allocated for a
  length that is merely claimed.

All functions are pure, and safe to call from any thread.
"""

from __future__ import annotations

import reprlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Never, TypeAlias

from msgpack import ExtType, OutOfData, Packer, Timestamp, Unpacker, unpackb

from softadastra.errors import InvalidArgumentError, ProtocolError
from softadastra.types import Value

__all__ = ["NESTING_MAX", "check_key", "check_packed_value", "pack_value", "unpack_value"]

NESTING_MAX = 8
"""Containers inside each other: `[[1]]` has 2. A limit, so that no value exhausts a stack."""

_INTEGER_MIN = -(1 << 63)
_INTEGER_MAX = (1 << 64) - 1
"""MessagePack has int 64 and uint 64 (its specification, "int format family")."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_MIN = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_SECOND_MAX = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)

_UNLIMITED = frozenset((bytes, float, bool, type(None)))
"""Types of which MessagePack carries every value."""

_SCALARS = _UNLIMITED | {str, int}
"""Types that are packed without a look at the value: the packer itself notices a bad one."""

_CONTAINER_TAGS = frozenset(bytes((tag,)) for tag in (*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""First bytes of fixmap and fixarray, array 16 and 32, map 16 and 32."""

_ACCEPTED = (
    "a value is str, bytes, int, float, bool, None, a timezone-aware datetime, or a list, tuple or"
    " dict with str keys of these"
)

_Place: TypeAlias = "tuple[_Place, object] | None"
"""Where in a value: the place of a container, and the index or key in it; None is the value."""


class _ThreadPacker(threading.local):
    """One packer for each thread, since a packer holds the buffer that it writes to.

    Measured on a 54-character str: 40 ns by one shared packer, 70 ns by this, 160 ns by `packb`,
    which makes a packer for each value.
    """

    def __init__(self) -> None:
        self.packer = Packer(strict_types=True)


_thread = _ThreadPacker()


def check_key(key: object, max_bytes: int) -> str:
    """Return the key as a plain str.

    Args:
        key: a non-empty str of valid Unicode; any such character is allowed.
        max_bytes: the longest key, in bytes of UTF-8.

    Raises:
        InvalidArgumentError: the key is no str, is empty, too long, or has a lone surrogate.
    """
    if type(key) is str and key.isascii() and 0 < len(key) <= max_bytes:
        return key
    if not isinstance(key, str):
        raise InvalidArgumentError(
            f"a key must be a non-empty str, got {reprlib.repr(key)} of type {type(key).__name__}"
        )
    if not key:
        raise InvalidArgumentError("key cannot be empty: a key is a str of at least one character")
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"the key {reprlib.repr(key)} has a lone surrogate at {error.start}, which UTF-8 cannot"
            " carry: a key is a str of valid Unicode"
        ) from error
    if size_bytes > max_bytes:
        raise InvalidArgumentError(
            f"the key {reprlib.repr(key)} takes {size_bytes} bytes of UTF-8, the limit is"
            f" {max_bytes} (max_key_bytes): use a shorter one",
            size_bytes=size_bytes,
            max_bytes=max_bytes,
        )
    return str.__str__(key)


def pack_value(value: object, max_bytes: int) -> bytes:
    """Return the value as one MessagePack object.

    Args:
        value: str, bytes (or bytearray, memoryview), int from -2**63 to 2**64 - 1, float (NaN and
            infinities too), bool, None, list or tuple, dict with str keys, timezone-aware datetime
            from year 1 to 9999 in UTC; nested at most `NESTING_MAX` deep.
        max_bytes: the largest result, in bytes.

    Raises:
        InvalidArgumentError: the value is none of these, or too large; the message says where in
            it the fault is, as "value['a'][3]".
    """
    if type(value) not in _SCALARS:
        value = _plain(value, None, 0)
    try:
        packed = _thread.packer.pack(value)
    except (OverflowError, UnicodeEncodeError):
        # Only a scalar gets here unchecked; the check finds the same fault and words it.
        _plain(value, None, 0)
        raise
    if len(packed) > max_bytes:
        # A packer keeps the largest buffer that it ever needed: let go of this one.
        _thread.packer = Packer(strict_types=True)
        raise InvalidArgumentError(
            f"value takes {len(packed)} bytes, the limit is {max_bytes} (max_value_bytes): store it"
            " in parts",
            size_bytes=len(packed),
            max_bytes=max_bytes,
        )
    return packed


def unpack_value(packed: bytes) -> Value:
    """Return the value that `pack_value` packed, or that `check_packed_value` let pass.

    A datetime comes out in UTC; what another writer stored finer than a microsecond is cut off.
    """
    value: Value = unpackb(packed, timestamp=3)
    return value


def _plain(value: object, place: _Place, depth: int) -> object:
    """Copy a value into exact MessagePack types, or say what in it cannot be packed."""
    # Most elements pass here, at half the cost of the match.
    if (
        type(value) in _UNLIMITED
        or (type(value) is str and value.isascii())
        or (type(value) is int and _INTEGER_MIN <= value <= _INTEGER_MAX)
    ):
        return value
    match value:
        case dict():
            inside = _enter(depth, place)
            return {
                _plain_map_key(key, place): _plain(item, (place, key), inside)
                for key, item in value.items()
            }
        case ExtType():
            raise _refusal(place, "a msgpack.ExtType", _ACCEPTED)
        case list() | tuple():
            inside = _enter(depth, place)
            return [_plain(item, (place, index), inside) for index, item in enumerate(value)]
        case str():
            return _plain_text(value, place)
        case int():
            if not _INTEGER_MIN <= value <= _INTEGER_MAX:
                raise _refusal(place, "an int beyond 64 bits", "an int is from -2**63 to 2**64 - 1")
            return int(value)
        case float():
            return float(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case datetime():
            return _plain_instant(value, place)
        case _:
            raise _refusal(
                place, f"of type {type(value).__name__}", f"{_ACCEPTED}; convert it first"
            )


def _enter(depth: int, place: _Place) -> int:
    if depth == NESTING_MAX:
        raise _refusal(
            place,
            f"nested deeper than {NESTING_MAX}, or contains itself",
            "store it flatter, or in several keys",
        )
    return depth + 1


def _plain_map_key(key: object, place: _Place) -> str:
    if type(key) is str and key.isascii():
        return key
    if not isinstance(key, str):
        raise _refusal(
            place,
            f"a dict with the key {reprlib.repr(key)} of type {type(key).__name__}",
            "the keys of a dict are str",
        )
    return _plain_text(key, (place, key))


def _plain_text(text: str, place: _Place) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refusal(
            place,
            f"a str with a lone surrogate at {error.start}",
            "text is valid Unicode: store raw data as bytes",
        ) from error
    return str.__str__(text)


def _plain_instant(instant: datetime, place: _Place) -> Timestamp:
    if instant.utcoffset() is None:
        raise _refusal(
            place,
            "a datetime without a timezone",
            "give it one, as datetime.now(UTC) or .astimezone() do",
        )
    # By subtraction and not by `timestamp()`, whose float is too coarse far from 1970. A subclass
    # may be finer than a datetime, as pandas.Timestamp is: then there is a rest.
    microseconds, rest = divmod(instant - _EPOCH, _MICROSECOND)
    second, microsecond = divmod(microseconds, 1_000_000)
    if rest or not _SECOND_MIN <= second <= _SECOND_MAX:
        raise _refusal(
            place,
            "a datetime that UTC cannot express",
            "an instant is from year 1 to 9999 in UTC, in whole microseconds",
        )
    return Timestamp(second, microsecond * 1000)


def _refusal(place: _Place, fault: str, advice: str) -> InvalidArgumentError:
    steps = ""
    while place is not None:
        place, step = place
        steps = f"[{reprlib.repr(step)}]{steps}"
    return InvalidArgumentError(f"value{steps} is {fault}: {advice}", place=f"value{steps}")


def check_packed_value(packed: bytes) -> None:
    """Check that bytes from the network are one value that `unpack_value` can read.

    That is exactly one MessagePack object, nested at most `NESTING_MAX` deep, with strict UTF-8,
    maps with distinct str keys, and no extension type but the timestamp, from year 1 to 9999. It
    need not be packed in the shortest form. The caller limits the size.

    Raises:
        ProtocolError: it is not; the message says why.
    """
    try:
        if packed[:1] not in _CONTAINER_TAGS:
            unpackb(packed, timestamp=3, ext_hook=_refuse_extension)
            return
        _check_lengths(packed)
        level = [
            unpackb(
                packed,
                timestamp=3,
                ext_hook=_refuse_extension,
                object_pairs_hook=_checked_map_values,
            )
        ]
    except (ValueError, OverflowError, OutOfData) as error:
        raise ProtocolError(f"a value of {len(packed)} bytes cannot be read: {error!r}") from error
    depth = 0
    while level:
        depth += 1
        if depth > NESTING_MAX:
            raise ProtocolError(f"a value is nested deeper than {NESTING_MAX}")
        level = [item for container in level for item in container if type(item) is list]


def _check_lengths(packed: bytes) -> None:
    """Walk over the object without building it.

    For an array `unpackb` allocates by the length that it claims: a thousand inside each other,
    each claiming the million elements that 1 MiB could hold, would make it allocate 8 GiB.
    """
    unpacker = Unpacker(max_buffer_size=len(packed))
    unpacker.feed(packed)
    unpacker.skip()


def _checked_map_values(pairs: list[tuple[object, object]]) -> list[object]:
    # Of a key that comes twice, readers in other languages take the other value, and the nodes
    # would differ with equal digests.
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a map has a key twice")
    for key, _ in pairs:
        if type(key) is not str:
            raise ValueError(f"a map has the key {reprlib.repr(key)}, where keys are str")
    return [value for _, value in pairs]


def _refuse_extension(code: int, _: bytes) -> Never:
    raise ValueError(f"extension type {code} is not the timestamp")

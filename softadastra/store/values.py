"""What a packed value may be, and what it stands for.

Bytes from the network are checked before they are believed, and nothing is allocated for a length
that is merely claimed. All functions are pure, and safe to call from any thread.
"""

from __future__ import annotations

import reprlib
from typing import Never

from msgpack import OutOfData, Unpacker, unpackb

from softadastra.errors import ProtocolError
from softadastra.types import Value

__all__ = ["NESTING_MAX", "check_packed_value", "unpack_value"]

NESTING_MAX = 8
"""Containers inside each other: `[[1]]` has 2. A limit, so that no value exhausts a stack."""

_CONTAINER_TAGS = frozenset(bytes((tag,)) for tag in (*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""First bytes of fixmap and fixarray, array 16 and 32, map 16 and 32."""


def unpack_value(packed: bytes) -> Value:
    """Return the value that `pack_value` packed, or that `check_packed_value` let pass.

    A datetime comes out in UTC; what another writer stored finer than a microsecond is cut off.
    """
    value: Value = unpackb(packed, timestamp=3)
    return value


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

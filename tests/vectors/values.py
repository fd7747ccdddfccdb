"""Packed values: what a value may be, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

from softadastra.types import Value

__all__ = ["REFUSED_VALUES", "UNUSUAL_VALUES", "VALUES", "plain_value", "value_from"]

VALUES: Final[list[tuple[str, Value]]] = [
    ("nothing", None),
    ("false", False),
    ("true", True),
    ("zero", 0),
    ("the greatest one-byte integer", 127),
    ("the least integer", -(2**63)),
    ("the greatest integer", 2**64 - 1),
    ("a float", 1.5),
    ("not a number", math.nan),
    ("infinity", -math.inf),
    ("an empty text", ""),
    ("text", "ä\U0001f600"),
    ("bytes", b"\x00\xff"),
    ("a list", [1, "a", None]),
    ("a map", {"b": 1, "a": [True]}),
    ("eight deep", [[[[[[[[]]]]]]]]),
    ("the epoch", datetime(1970, 1, 1, tzinfo=UTC)),
    ("an instant with microseconds", datetime(2023, 11, 14, 22, 13, 20, 7, tzinfo=UTC)),
    ("before 1970", datetime(1, 1, 1, tzinfo=UTC)),
    ("the last instant", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
]
"""Name and value; a node packs each in the shortest form."""

UNUSUAL_VALUES: Final[list[tuple[str, Value, str]]] = [
    ("an integer in more bytes than it needs", 1, "cd0001"),
    ("a 32-bit float", 1.5, "ca3fc00000"),
    ("an instant in 96 bits", datetime(1970, 1, 1, tzinfo=UTC), "c70cff" + "00" * 12),
    ("a list with a long header", [1], "dc000101"),
]
"""Other bytes of a value. They are taken as they are, stored, and passed on unchanged."""

REFUSED_VALUES: Final[list[tuple[str, str]]] = [
    ("the unused byte", "c1"),
    ("cut off", "a261"),
    ("two objects", "0101"),
    ("nine deep", "91" * 8 + "90"),
    ("an integer as a map's key", "810101"),
    ("bytes as a map's key", "81c4016101"),
    ("a key twice", "82a16101a16102"),
    ("text that is not UTF-8", "a1ff"),
    ("a surrogate in UTF-8", "a3eda080"),
    ("an extension that is no timestamp", "d40500"),
    ("a timestamp of two bytes", "d5ff0000"),
    ("an instant behind the year 9999", "c70cff000000000000003afff44180"),
    ("a billion nanoseconds", "d7ff" + (1_000_000_000 << 34).to_bytes(8, "big").hex()),
    ("a claimed length", "ddffffffff"),
]  # fmt: skip


def plain_value(value: Value) -> Any:
    """Give a value as JSON; what JSON does not have is an object of one key that begins with $."""
    match value:
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case bytes():
            return {"$bytes": value.hex()}
        case datetime():
            return {"$instant": value.isoformat()}
        case list():
            return [plain_value(item) for item in value]
        case dict():
            return {key: plain_value(item) for key, item in value.items()}
        case _:
            return value


def value_from(plain: Any) -> Value:
    """Give the value that JSON says."""
    match plain:
        case {"$float": str(text)}:
            return float(text)
        case {"$bytes": str(text)}:
            return bytes.fromhex(text)
        case {"$instant": str(text)}:
            return datetime.fromisoformat(text)
        case list():
            return [value_from(item) for item in plain]
        case dict():
            return {key: value_from(item) for key, item in plain.items()}
        case _:
            value: Value = plain
            return value

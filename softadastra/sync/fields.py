"""The parts of messages that have no parts: numbers, texts and lists, with their limits.

What is wrong is a ProtocolError that says so in a few words, whatever the bytes are.
"""

from __future__ import annotations

import re
from typing import Any, Final

from softadastra.errors import ProtocolError
from softadastra.store.siblings import RESOLUTION

__all__ = [
    "AGE_MS_MAX",
    "BATCH_ENTRIES_MAX",
    "CLAIMED_MAX",
    "FEATURES_MAX",
    "FEATURE_BYTES_MAX",
    "FLAGS_MAX",
    "HAVES_MAX",
    "KEY_BYTES_MAX",
    "LIVES_MAX",
    "MEMBERS_MAX",
    "NODE_ID_BYTES_MAX",
    "ORIGINS_MAX",
    "POLICIES_BYTES_MAX",
    "RANGES_MAX",
    "REJECT_WORDS_BYTES_MAX",
    "U64_MAX",
    "VALUE_BYTES_MAX",
    "clipped",
    "exactly",
    "is_obeyed",
    "listed",
    "node_name",
    "number",
    "numbers",
    "text",
]

BATCH_ENTRIES_MAX: Final = 4_096
CLAIMED_MAX: Final = 1 << 20
"""Writes that one batch may claim: 8 MiB of index at the receiver."""
ORIGINS_MAX: Final = 16_384
"""A node without a log is a new origin at each start; about 30 bytes each in a have."""
MEMBERS_MAX: Final = 1_024
AGE_MS_MAX: Final = 1 << 48
HAVES_MAX: Final = 1 << 20
"""On one connection: a year of them."""
LIVES_MAX: Final = 4_096
REJECT_WORDS_BYTES_MAX: Final = 1_024
FEATURES_MAX: Final = 64
FEATURE_BYTES_MAX: Final = 64
RANGES_MAX: Final = 4_096
NODE_ID_BYTES_MAX: Final = 255
POLICIES_BYTES_MAX: Final = 4_096
KEY_BYTES_MAX: Final = 65_536
VALUE_BYTES_MAX: Final = 1 << 20
"""What options allow at most: with any key it fits into a message of whoever passes it on."""
U64_MAX: Final = 2**64 - 1
FLAGS_MAX: Final = RESOLUTION

CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What terminals obey: Unicode's category Cc, which never changes. Other characters that are not
shown may be letters in the next version of Unicode, and nodes know different ones."""


def number(value: object, name: str, low: int = 0, high: int = U64_MAX) -> int:
    """Check an integer's type and range."""
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"{name} is {clipped(value)}, expected {low} to {high}")
    return value


def numbers(
    value: object, name: str, count: int, *, low: int = 0, high: int = U64_MAX
) -> list[int]:
    """Check a list of integers."""
    if (
        type(value) is not list
        or len(value) != count
        or not set(map(type, value)) <= {int}
        or (value and not (min(value) >= low and max(value) <= high))
    ):
        raise ProtocolError(f"{name} is not a list of {count} numbers from {low} to {high}")
    return value


def text(value: object, name: str, bytes_max: int) -> str:
    """Check a non-empty text."""
    if type(value) is not str or not 0 < len(value.encode()) <= bytes_max:
        raise ProtocolError(f"{name} is {clipped(value)}, expected 1 to {bytes_max} bytes of text")
    return value


def node_name(value: object, name: str) -> str:
    """Check by what name a node greets: people see it, on terminals too."""
    found = text(value, name, NODE_ID_BYTES_MAX)
    if is_obeyed(found):
        raise ProtocolError(f"{name} is {clipped(found)}, expected no control characters")
    return found


def is_obeyed(name: str) -> bool:
    """Whether a terminal does something else with a name than to show it."""
    return CONTROL_CHARACTERS.search(name) is not None


def listed(value: object, name: str, count_max: int) -> list[Any]:
    """Check a list's length."""
    if type(value) is not list or len(value) > count_max:
        raise ProtocolError(f"{name} is {clipped(value)}, expected a list of at most {count_max}")
    return value


def clipped(value: object) -> str:
    """Describe a hostile value without printing all of it."""
    return repr(value)[:80] if type(value) in (str, bytes, int, float) else type(value).__name__


def exactly(value: object, name: str, count: int) -> list[Any]:
    """Check that a list has this many elements."""
    if type(value) is not list or len(value) != count:
        raise ProtocolError(f"{name} is {clipped(value)}, expected a list of {count}")
    return value

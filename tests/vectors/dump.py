"""Messages byte by byte: each MessagePack object on a line, with what it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgpack

__all__ = ["annotated"]

BYTES_A_LINE: Final = 16
WHOLE_BYTES_MAX: Final = 12
"""A list of no more bytes stands on one line."""


class Object(NamedTuple):
    """One MessagePack object in a message."""

    start: int
    inside: int
    """Where its first item begins; its end when it is no list."""
    end: int
    items: list[Object]


def parsed(payload: bytes, start: int) -> Object:
    """Find where an object and its items begin and end."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(payload[start:])
    head = payload[start]
    is_short = head & 0xF0 == 0x90
    if not is_short and head not in (0xDC, 0xDD):
        unpacker.skip()
        end = start + unpacker.tell()
        return Object(start, end, end, [])
    count = unpacker.read_array_header()
    at = inside = start + unpacker.tell()
    items = []
    for _ in range(count):
        items.append(parsed(payload, at))
        at = items[-1].end
    return Object(start, inside, at, items)


def shown(payload: bytes, found: Object) -> str:
    value = msgpack.unpackb(payload[found.start : found.end])
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case bytes():
            return f"bytes {value.hex()}"
        case _:
            return repr(value)


def lines_of(
    payload: bytes, found: Object, name: str, depth: int
) -> Iterator[tuple[int, bytes, str]]:
    """Give (offset, bytes, words) of an object."""
    indent = "  " * depth
    if not found.items or (depth and found.end - found.start <= WHOLE_BYTES_MAX):
        words = f"{indent}{name} {shown(payload, found)}".rstrip()
        yield found.start, payload[found.start : found.end], words
        return
    head = payload[found.start : found.inside]
    yield found.start, head, f"{indent}{name} list of {len(found.items)}"
    for item in found.items:
        yield from lines_of(payload, item, "", depth + 1)


def annotated(payload: bytes, names: Sequence[str]) -> str:
    """Give a message's bytes with what they are.

    Args:
        payload: the message.
        names: of its elements.
    """
    whole = parsed(payload, 0)
    rows = [(0, payload[: whole.inside], f"list of {len(whole.items)}")]
    for item, name in zip(whole.items, names, strict=True):
        rows += lines_of(payload, item, f"{name}:", 0)
    lines = []
    for offset, data, words in rows:
        for at in range(0, len(data), BYTES_A_LINE):
            part = data[at : at + BYTES_A_LINE].hex(" ")
            told = words if at == 0 else ""
            lines.append(f"{offset + at:4}  {part:<{3 * BYTES_A_LINE - 1}}  {told}".rstrip())
    return "\n".join(lines)

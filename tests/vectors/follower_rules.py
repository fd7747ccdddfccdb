"""The rules of docs/protocol.md that need no state: sets of numbers, lives, order, what bytes mean.

A part of `follower.py`, and as that one written from the document alone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgpack
import xxhash

U64 = 2**64 - 1

Ranges = list[tuple[int, int]]
Origin = tuple[str, int]
Sibling = tuple[Origin, int, int, int, bytes, int]
State = tuple[list[Sibling], dict[Origin, int]]
Lives = list[tuple[int, int]]


class Type(IntEnum):
    """The second element of a message."""

    HELLO = 1
    REJECT = 2
    BATCH = 3
    ACK = 4
    HAVE = 5
    SNAPSHOT_BEGIN = 6
    SNAPSHOT_RANGE = 7
    SNAPSHOT_COMMIT = 8
    PING = 9
    PONG = 10
    BYE = 11


def add(ranges: Ranges, first: int, last: int) -> Ranges:
    """Add numbers to a set of numbers (section 2)."""
    joined: Ranges = []
    for low, high in sorted([*ranges, (first, last)]):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def within(n: int, ranges: Ranges) -> bool:
    return any(first <= n <= last for first, last in ranges)


def base_of(ranges: Ranges) -> int:
    """The number up to which all are in a set."""
    return ranges[0][1] if ranges and ranges[0][0] == 1 else 0


def includes(ranges: Ranges, others: Ranges) -> bool:
    """Whether all of the others are in a set of numbers."""
    return all(any(a <= first and last <= b for a, b in ranges) for first, last in others)


def have_of(wire: list[Any]) -> dict[Origin, Ranges]:
    have = {}
    for node_id, incarnation, base, flat, *_ in wire:
        above = list(zip(flat[::2], flat[1::2], strict=True))
        have[node_id, incarnation] = [(1, base), *above] if base else above
    return have


def tops_of(wire: list[Any]) -> dict[Origin, int]:
    """Up to where each origin is known: what is here, or what is named."""
    ranges = have_of(wire)
    tops = {origin: last_of(ranges[origin]) for origin in ranges}
    return tops | {(item[0], item[1]): item[4] for item in wire if len(item) == 5}


def last_of(ranges: Ranges) -> int:
    return ranges[-1][1] if ranges else 0


def wire_have(have: dict[Origin, Ranges], named: dict[Origin, int] | None = None) -> list[Any]:
    wire = []
    for origin in dict.fromkeys([*have, *(named or {})]):
        ranges = have.get(origin, [])
        base = base_of(ranges)
        above = ranges[1:] if base else ranges
        beyond = (named or {}).get(origin, 0)
        told = [beyond] if beyond > last_of(ranges) else []
        wire.append([*origin, base, [n for found in above for n in found], *told])
    return wire


def lives_of(wire: list[Any], origins: list[Origin]) -> dict[Origin, Lives]:
    return {origins[at]: list(zip(flat[::2], flat[1::2], strict=True)) for at, *flat in wire}


def begun(origin: Origin) -> Lives:
    return [(0, origin[1]), (1, origin[1])]


def has_parted(ours: Lives, top: int, theirs: Lives, their_top: int) -> bool:
    """Whether two histories of an origin part (section 5)."""
    ours = [life for life in ours if life[0] <= top]
    theirs = [life for life in theirs if life[0] <= their_top]
    if theirs and theirs[0][0] == 1:
        theirs = [ours[0], *theirs]
    common = [life for life in theirs if life in ours]
    if not common:
        return bool(theirs) and theirs[0][0] <= top
    our_next = ours[ours.index(common[-1]) + 1 :]
    their_next = theirs[theirs.index(common[-1]) + 1 :]
    if our_next and their_next:
        return True
    if our_next:
        return their_top >= our_next[0][0]
    return bool(their_next) and top >= their_next[0][0]


def covered(state: State, origin: Origin, n: int) -> bool:
    """Whether a state knows a write of its key to be superseded."""
    siblings, context = state
    return context.get(origin, 0) >= n or any(s[0] == origin and s[1] > n for s in siblings)


def rank(sibling: Sibling) -> tuple[int, bytes, int, int]:
    """The total order: stamp, bytes of the node id, incarnation, n."""
    (node_id, incarnation), n, stamp, *_ = sibling
    return stamp, node_id.encode(), incarnation, n


def shown(siblings: list[Sibling]) -> list[Sibling]:
    """The siblings that count, in the total order."""
    resolutions = [s for s in siblings if s[5]]
    counting = [s for s in siblings if not s[5] or s is resolutions[-1]]
    greatest = {s[4]: s for s in counting}
    return [s for s in counting if greatest[s[4]] is s]


def is_conflict(siblings: list[Sibling]) -> bool:
    """Whether several siblings count, and not all are removes."""
    return len(shown(siblings)) > 1 and any(s[4] for s in siblings)


def fingerprint(key: str, version: int, value: bytes) -> int:
    """What a sibling adds to the digest."""
    seed = (version << 17 | len(key)) & U64
    return xxhash.xxh3_128_intdigest(key.encode() + value, seed)


def column(value: Any, rows: int, stride: int) -> list[int]:
    return value if isinstance(value, list) else [value + stride * i for i in range(rows)]


class Content:
    """What a BATCH or a SNAPSHOT_RANGE brings: elements 2 to 15 of BATCH."""

    def __init__(self, wire: list[Any]) -> None:
        self.id, self.told, origins, lives, claims, keys = wire[:6]
        names = [(node_id, incarnation) for node_id, incarnation in origins]
        at, ns, base, stamps, versions, values, flags, states = wire[6:]
        rows = len(values)
        columns = zip(
            [names[i] for i in column(at, rows, 0)],
            column(ns, rows, 1),
            [base + stamp for stamp in column(stamps, rows, 0)],
            column(versions, rows, 0),
            values,
            column(flags, rows, 0),
            strict=True,
        )
        self.origins = names
        self.lives = lives_of(lives, names)
        held: list[State] = [([row], {}) for row in columns]
        for siblings, flat in states:
            context = {names[o]: n for o, n in zip(flat[::2], flat[1::2], strict=True)}
            held.append(([(names[o], *rest) for o, *rest in siblings], context))
        self.entries: dict[str, State] = dict(zip(keys, held, strict=True))
        self.named: dict[Origin, int] = {}
        for _, context in held:
            for origin, n in context.items():
                self.named[origin] = max(n, self.named.get(origin, 0))
        self.dots: dict[Origin, Ranges] = {}
        for at, first, runs in claims:
            self.bring(names[at], first, first + sum(runs[::3]) - 1)
        for siblings, _ in held:
            for origin, n, *_ in siblings:
                self.bring(origin, n, n)

    def bring(self, origin: Origin, first: int, last: int) -> None:
        self.dots[origin] = add(self.dots.get(origin, []), first, last)

    def top(self, origin: Origin) -> int:
        """The highest number that is brought or named."""
        return max(last_of(self.dots.get(origin, [])), self.named.get(origin, 0))


class Rejected(Exception):  # noqa: N818  # the word of the protocol
    """The node refused the greeting."""


class Parted(Exception):  # noqa: N818  # the word of the protocol
    """A history here is not the node's: begin anew."""


class Snapshot:
    """A snapshot that comes in."""

    def __init__(self, number: int, have: dict[Origin, Ranges], lives: dict[Origin, Lives]) -> None:
        self.number, self.have, self.lives = number, have, lives
        self.finished: str | None = None
        self.is_complete = False
        self.candidates: set[tuple[str, Origin, int]] = set()

    def is_finished(self, key: str) -> bool:
        """Whether the range of a key has come."""
        if self.is_complete:
            return True
        return self.finished is not None and key.encode() <= self.finished.encode()


def packed(kind: int, *elements: Any) -> bytes:
    return bytes(msgpack.packb([1, kind, *elements]))

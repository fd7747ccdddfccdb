"""Reading messages: each element is checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgpack

from softadastra.errors import ProtocolError
from softadastra.store.changes import Claim
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState
from softadastra.store.values import check_packed_value
from softadastra.sync.fields import (
    AGE_MS_MAX,
    BATCH_ENTRIES_MAX,
    CLAIMED_MAX,
    FEATURE_BYTES_MAX,
    FEATURES_MAX,
    FLAGS_MAX,
    HAVES_MAX,
    KEY_BYTES_MAX,
    LIVES_MAX,
    MEMBERS_MAX,
    NODE_ID_BYTES_MAX,
    ORIGINS_MAX,
    POLICIES_BYTES_MAX,
    RANGES_MAX,
    REJECT_WORDS_BYTES_MAX,
    U64_MAX,
    clipped,
    exactly,
    listed,
    node_name,
    number,
    numbers,
    text,
)
from softadastra.sync.messages import (
    Ack,
    Batch,
    Have,
    Haves,
    Hello,
    Lives,
    Named,
    Ping,
    Pong,
    Reject,
    RejectReason,
    Report,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)

__all__ = [
    "read_ack",
    "read_batch",
    "read_begin",
    "read_commit",
    "read_have",
    "read_hello",
    "read_ping",
    "read_pong",
    "read_range",
    "read_reject",
    "refuse_claimed_lengths",
    "refuse_extension",
]


def refuse_claimed_lengths(payload: bytes) -> None:
    """Walk over a message without building it: 13 us of the 1 ms that a batch of 87 kB takes.

    `unpackb` may allocate an array by the length that it claims: a thousand inside each other, each
    claiming the million elements that the message could hold, are 10 GB.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(payload))
    unpacker.feed(payload)
    unpacker.skip()


def refuse_extension(code: int, _data: bytes) -> None:
    """Refuse extension types: values travel packed, nothing else has any."""
    raise ProtocolError(f"extension type {code} in a message")


def read_origin(value: object) -> Origin:
    """Read [node id, incarnation]."""
    node_id, incarnation = exactly(value, "an origin", 2)
    return Origin(text(node_id, "a node id", NODE_ID_BYTES_MAX), number(incarnation, "incarnation"))


def read_haves(value: object) -> Haves:
    """Read what `plain_haves` makes of what is here."""
    haves: dict[Origin, DotSet] = {}
    left = RANGES_MAX
    for item in listed(value, "have", ORIGINS_MAX):
        node_id, incarnation, base, above = exactly(item, "a have", 4)
        flat = listed(above, "the ranges of a have", 2 * left)
        left -= len(flat) // 2
        flat = numbers(flat, "the ranges of a have", len(flat))
        ranges = list(zip(flat[::2], flat[1::2], strict=False))
        edge = number(base, "the base of a have")
        for first, last in ranges:
            if not edge + 1 < first <= last:
                raise ProtocolError("the ranges of a have are not sorted and apart")
            edge = last
        if len(flat) % 2:
            raise ProtocolError("the ranges of a have are not pairs")
        origin = read_origin([node_id, incarnation])
        if origin in haves:
            raise ProtocolError(f"a have names {clipped(node_id)} twice, with one incarnation")
        haves[origin] = DotSet(base, ranges)
    return haves


def read_lives(value: object, origins: int) -> list[tuple[int, Sequence[Life]]]:
    """Read what `plain_lives` makes."""
    told: list[tuple[int, Sequence[Life]]] = []
    for item in listed(value, "lives", ORIGINS_MAX):
        flat = listed(item, "the lives of an origin", 2 * LIVES_MAX + 1)
        position, *rest = numbers(flat, "the lives of an origin", len(flat)) or [-1]
        lives = [Life(*life) for life in zip(rest[::2], rest[1::2], strict=False)]
        if len(rest) % 2 or not rest or not 0 <= position < origins:
            raise ProtocolError("lives are not an origin and pairs")
        if any(a.first >= b.first for a, b in pairwise(lives)):
            raise ProtocolError("the lives of an origin are not in order")
        told.append((position, lives))
    return told


def read_lives_of(origins: Iterable[Origin], value: object) -> Lives:
    """Read the lives of the origins of a have."""
    table = list(origins)
    return {table[position]: lives for position, lives in read_lives(value, len(table))}


def read_histories(have: object, lives: object) -> tuple[Haves, Named, Lives]:
    """Read what `plain_haves` makes of what is here, and of what is named by contexts."""
    items = listed(have, "have", ORIGINS_MAX)
    known = [item[:4] if type(item) is list and len(item) == 5 else item for item in items]
    haves = read_haves(known)
    named: dict[Origin, int] = {}
    for item, (origin, dots) in zip(items, haves.items(), strict=True):
        if len(item) == 5:
            named[origin] = number(item[4], "the named number of a have", dots.top + 1)
    has = {origin: dots for origin, dots in haves.items() if dots.top or origin not in named}
    return has, named, read_lives_of(haves, lives)


def read_neighbours(value: object) -> frozenset[str]:
    """Read a list of node ids."""
    names = listed(value, "neighbours", ORIGINS_MAX)
    return frozenset(text(name, "a neighbour", NODE_ID_BYTES_MAX) for name in names)


def read_digest(value: object) -> bytes:
    """Read 16 bytes."""
    if type(value) is not bytes or len(value) != 16:
        raise ProtocolError(f"digest is {clipped(value)}, expected 16 bytes")
    return value


def read_hello(
    protocols: object,
    features: object,
    cluster: object,
    node_id: object,
    incarnation: object,
    nonce: object,
    wall_ms: object,
    policies: object,
    have: object,
    lives: object,
    digest: object,
    credit: object,
    neighbours: object,
    resume: object,
    count: object,
) -> Hello:
    """Read a Hello."""
    lowest, highest = numbers(exactly(protocols, "protocols", 2), "protocols", 2)
    if lowest > highest:
        raise ProtocolError(f"protocols from {lowest} to {highest}")
    names = listed(features, "features", FEATURES_MAX)
    has, named, told = read_histories(have, lives)
    return Hello(
        protocols=(lowest, highest),
        features=frozenset(text(name, "a feature", FEATURE_BYTES_MAX) for name in names),
        cluster=text(cluster, "cluster", NODE_ID_BYTES_MAX),
        node_id=node_name(node_id, "node id"),
        incarnation=number(incarnation, "incarnation"),
        nonce=number(nonce, "nonce"),
        wall_ms=number(wall_ms, "wall clock", 0, 2**48),
        policies=text(policies, "policies", POLICIES_BYTES_MAX),
        have=has,
        named=named,
        lives=told,
        digest=read_digest(digest),
        credit=number(credit, "credit", 1, 1024),
        neighbours=read_neighbours(neighbours),
        resume=None if resume is None else read_resume(resume),
        number=number(count, "the number of a greeting", 0, U64_MAX - HAVES_MAX),
    )


def read_resume(value: object) -> tuple[int, str]:
    """Read [snapshot, key]."""
    snapshot, key = exactly(value, "resume", 2)
    return number(snapshot, "snapshot"), text(key, "key", KEY_BYTES_MAX)


def read_reject(reason: object, words: object) -> Reject:
    """Read a Reject."""
    known = number(reason, "reason", 1, len(RejectReason))
    return Reject(RejectReason(known), text(words, "words", REJECT_WORDS_BYTES_MAX))


def read_batch(
    batch_id: object,
    told: object,
    origins: object,
    lives: object,
    claims: object,
    keys: object,
    origin_column: object,
    number_column: object,
    stamp_base: object,
    stamp_column: object,
    version_column: object,
    values: object,
    flag_column: object,
    states: object,
) -> Batch:
    """Read a Batch."""
    table = [read_origin(o) for o in listed(origins, "origins", ORIGINS_MAX)]
    if len(set(table)) != len(table):
        raise ProtocolError("a batch names an origin twice")
    names = listed(keys, "keys", BATCH_ENTRIES_MAX)
    if not set(map(type, names)) <= {str} or len(set(names)) != len(names) or "" in names:
        raise ProtocolError("keys are not distinct non-empty texts")
    for key in names:
        if len(key) * 4 > KEY_BYTES_MAX and len(key.encode()) > KEY_BYTES_MAX:
            raise ProtocolError(f"a key of {len(key.encode())} bytes, at most {KEY_BYTES_MAX}")
    packed = listed(values, "values", BATCH_ENTRIES_MAX)
    rows = len(packed)
    others = listed(states, "states", BATCH_ENTRIES_MAX)
    if rows + len(others) != len(names):
        raise ProtocolError(f"{len(names)} keys for {rows} values and {len(others)} states")
    check_values(packed)
    base = number(stamp_base, "stamp base")
    top = len(table) - 1
    if rows and top < 0:
        raise ProtocolError("values without an origin")
    return Batch(
        id=number(batch_id, "batch id"),
        told=number(told, "told"),
        origins=table,
        lives=read_lives(lives, len(table)),
        claims=read_claims(claims, len(table), len(names)),
        keys=names,
        columns=(
            column(origin_column, "origins", rows, stride=0, high=top),
            column(number_column, "numbers", rows, stride=1),
            [
                base + delta
                for delta in column(stamp_column, "stamps", rows, stride=0, high=U64_MAX - base)
            ],
            column(version_column, "versions", rows, stride=0),
            packed,
            column(flag_column, "flags", rows, stride=0, high=FLAGS_MAX),
        ),
        states=[read_state(state, top) for state in others],
    )


def check_values(packed: list[Any]) -> None:
    """Check that each is one packed value, or the empty bytes of a remove."""
    if not set(map(type, packed)) <= {bytes}:
        raise ProtocolError("a value is not bytes")
    for value in packed:
        if value:
            check_packed_value(value)


def column(value: object, name: str, rows: int, *, stride: int, high: int = U64_MAX) -> list[int]:
    """Read a column: a list, or the first number of a regular one.

    Numbers of writes, whose stride is 1, begin at 1.
    """
    if type(value) is list:
        return numbers(value, name, rows, low=stride, high=high)
    first = number(value, name, stride if rows else 0, high)
    if not stride or rows < 2:
        return [first] * rows
    number(first + rows - 1, name)
    return list(range(first, first + rows))


def read_claims(value: object, origins: int, entries: int) -> list[Claim]:
    """Read claims: each dot belongs to an entry of this batch."""
    claims: list[Claim] = []
    total = 0
    for item in listed(value, "claims", BATCH_ENTRIES_MAX):
        origin, first, runs = exactly(item, "a claim", 3)
        flat = listed(runs, "runs", 3 * BATCH_ENTRIES_MAX)
        flat = numbers(flat, "runs", len(flat))
        if not flat or len(flat) % 3:
            raise ProtocolError("the runs of a claim are not triples")
        triples = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        for count, position, stride in triples:
            total += count
            if not count or stride > 1 or position + (count - 1) * stride >= entries:
                raise ProtocolError("a claim names an entry that is not in its batch")
            if total > CLAIMED_MAX:
                raise ProtocolError(f"a batch claims more than {CLAIMED_MAX} writes")
        number(first, "the first number of a claim", 1, U64_MAX - total + 1)
        claims.append(Claim(number(origin, "origin", 0, origins - 1), first, triples))
    return claims


def read_state(value: object, origin_max: int) -> KeyState:
    """Read [siblings, context]."""
    siblings, context = exactly(value, "a state", 2)
    rows = []
    for row in listed(siblings, "siblings", BATCH_ENTRIES_MAX):
        *head, packed, flags = exactly(row, "a sibling", 6)
        origin, n, stamp, version = numbers(head, "a sibling", 4)
        number(origin, "origin", 0, origin_max)
        number(n, "the number of a write", 1)
        check_values([packed])
        rows.append((origin, n, stamp, version, packed, number(flags, "flags", 0, FLAGS_MAX)))
    flat = listed(context, "context", 2 * ORIGINS_MAX)
    flat = numbers(flat, "context", len(flat))
    if len(flat) % 2 or any(origin > origin_max for origin in flat[::2]):
        raise ProtocolError("a context names an origin that is not in its batch")
    if not rows or len({row[:2] for row in rows}) != len(rows):
        raise ProtocolError("a state has no sibling, or one twice")
    return KeyState(tuple(rows), dict(zip(flat[::2], flat[1::2], strict=True)))


def read_ack(batches: object, have: object, credit: object) -> Ack:
    """Read an Ack."""
    ids = listed(batches, "batches", 1024)
    return Ack(
        numbers(ids, "batches", len(ids)), read_haves(have), number(credit, "credit", 1, 1024)
    )


def read_have(
    count: object,
    have: object,
    lives: object,
    digest: object,
    neighbours: object,
    known: object,
) -> Have:
    """Read a Have."""
    reports = {}
    for item in listed(known, "known", MEMBERS_MAX):
        node_id, age_ms, dots = exactly(item, "a report", 3)
        name = text(node_id, "a node id", NODE_ID_BYTES_MAX)
        reports[name] = Report(number(age_ms, "age", 0, AGE_MS_MAX), read_haves(dots))
    has, named, told = read_histories(have, lives)
    return Have(
        number(count, "the number of a Have", 1),
        has,
        named,
        told,
        read_digest(digest),
        read_neighbours(neighbours),
        reports,
    )


def read_begin(snapshot: object, batch_id: object, have: object, lives: object) -> SnapshotBegin:
    """Read a SnapshotBegin."""
    has = read_haves(have)
    return SnapshotBegin(
        number(snapshot, "snapshot"), number(batch_id, "batch id"), has, read_lives_of(has, lives)
    )


def read_range(
    snapshot: object, after: object, last: object, is_end: object, *batch: object
) -> SnapshotRange:
    """Read a SnapshotRange."""
    content = read_batch(*batch)
    end = text(last, "last", KEY_BYTES_MAX)
    start = None if after is None else text(after, "after", KEY_BYTES_MAX)
    if type(is_end) is not bool:
        raise ProtocolError(f"the end of a range is {clipped(is_end)}, expected true or false")
    # The end is behind every key but those that begin with it.
    inside = all((start is None or key > start) and (is_end or key <= end) for key in content.keys)
    if content.claims or not inside:
        raise ProtocolError("a range has claims, or keys that are not its own")
    return SnapshotRange(number(snapshot, "snapshot"), start, end, is_end, content)


def read_commit(snapshot: object, batch_id: object) -> SnapshotCommit:
    """Read a SnapshotCommit."""
    return SnapshotCommit(number(snapshot, "snapshot"), number(batch_id, "batch id"))


def read_ping(sent_ms: object) -> Ping:
    """Read a Ping."""
    return Ping(number(sent_ms, "time"))


def read_pong(sent_ms: object) -> Pong:
    """Read a Pong."""
    return Pong(number(sent_ms, "time"))

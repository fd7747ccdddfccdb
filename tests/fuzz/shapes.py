"""What decoders are fed: messages and records as they may be, and what may come instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import msgpack
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from softadastra.packing import pack_value
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

U64_MAX = 2**64 - 1
u64 = st.integers(0, U64_MAX) | st.sampled_from([0, 1, 2**63, 2**64 - 1])
names = st.text(min_size=1, max_size=8)
greeted_names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
origins = st.builds(Origin, names, u64)
packed = st.one_of(
    st.just(b""),
    (
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5)
    ).map(lambda value: pack_value(value, max_bytes=100)),
)


def apart(cuts: set[int]) -> DotSet:
    """Dots whose base and ranges begin and end at these numbers."""
    base, *edges = sorted(cuts)
    # A range that touches what is below it would be one with it.
    ranges: list[tuple[int, int]] = []
    edge = base
    for first, last in zip(edges[::2], edges[1::2], strict=False):
        if first > edge + 1:
            ranges.append((first, last))
            edge = last
    return DotSet(base, ranges)


dots = st.sets(u64, min_size=1, max_size=7).map(apart)
haves = st.dictionaries(origins, dots, max_size=3)
lives = st.dictionaries(u64, u64, min_size=1, max_size=3).map(
    lambda named: [Life(first, life) for first, life in sorted(named.items())]
)
digests = st.binary(min_size=16, max_size=16)
neighbours = st.frozensets(names, max_size=3)


Fields: TypeAlias = dict[str, SearchStrategy[Any]]


@st.composite
def named_beyond(draw: st.DrawFn, has: dict[Origin, DotSet]) -> dict[Origin, int]:
    """Numbers that only contexts name, of origins of a have and of others."""
    tops = {origin: 0 for origin in draw(st.lists(origins, max_size=2)) if origin not in has}
    tops |= {origin: dots.top for origin, dots in has.items() if dots.top}
    chosen = {origin: top for origin, top in tops.items() if top < U64_MAX and draw(st.booleans())}
    return {origin: draw(st.integers(top + 1, U64_MAX)) for origin, top in chosen.items()}


@st.composite
def lived(draw: st.DrawFn, kind: Callable[..., Message], fields: Fields) -> Message:
    """A message with a have, and lives of some of its origins."""
    has = draw(haves)
    beyond = {} if kind is SnapshotBegin else {"named": draw(named_beyond(has))}
    known = dict.fromkeys([*has, *beyond.get("named", {})])
    told = {origin: draw(lives) for origin in known if draw(st.booleans())}
    drawn = {name: draw(field) for name, field in fields.items()}
    return kind(have=has, lives=told, **beyond, **drawn)


@st.composite
def batches(draw: st.DrawFn, *, claims: bool = True) -> Batch:
    """A batch that holds together, of any numbers."""
    table = draw(st.lists(origins, min_size=1, max_size=3, unique=True))
    keys = draw(st.lists(names, max_size=5, unique=True))
    rows = draw(st.integers(0, len(keys)))
    top = st.integers(0, len(table) - 1)
    numbers = st.integers(1, 2**64 - 1) | st.sampled_from([1, 2**64 - 1])

    def column(values: SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    def state() -> KeyState:
        ids = draw(st.lists(st.tuples(top, numbers), min_size=1, max_size=3, unique=True))
        siblings = tuple(
            (*dot, draw(u64), draw(u64), draw(packed), draw(st.integers(0, 1))) for dot in ids
        )
        return KeyState(siblings, draw(st.dictionaries(top, u64, max_size=2)))

    return Batch(
        id=draw(u64),
        told=draw(u64),
        origins=table,
        lives=[(i, draw(lives)) for i in range(len(table)) if draw(st.booleans())],
        claims=[
            Claim(draw(top), draw(st.integers(1, 2**63)), [(count, draw(st.integers(0, 0)), 0)])
            for count in draw(st.lists(st.integers(1, 9), max_size=2))
        ]
        if claims and keys
        else [],
        keys=keys,
        columns=(
            column(top),
            column(numbers),
            column(u64),
            column(u64),
            column(packed),
            column(st.integers(0, 1)),
        ),
        states=[state() for _ in keys[rows:]],
    )


def ranges_of(batch: Batch, snapshot: int, is_first: bool) -> SnapshotRange:
    """A range that holds a batch's entries."""
    last = max(batch.keys, default="z")
    after = None if is_first or "\0" in batch.keys else "\0"
    return SnapshotRange(snapshot, after, max(last, "z"), True, replace(batch, claims=[]))


messages: SearchStrategy[Message] = st.one_of(
    lived(
        Hello,
        {
            "protocols": st.tuples(u64, u64).map(lambda found: (min(found), max(found))),
            "features": st.frozensets(names, max_size=2),
            "cluster": names,
            "node_id": greeted_names,
            "incarnation": u64,
            "nonce": u64,
            "wall_ms": st.integers(0, 2**48),
            "policies": names,
            "digest": digests,
            "credit": st.integers(1, 1024),
            "neighbours": neighbours,
            "resume": st.none() | st.tuples(u64, names),
            "number": st.integers(0, 2**64 - 1 - 2**20),
        },
    ),
    st.builds(Reject, st.sampled_from(RejectReason), names),
    batches(),
    st.builds(Ack, st.lists(u64, max_size=3), haves, st.integers(1, 1024)),
    lived(
        Have,
        {
            "number": st.integers(1, 2**64 - 1),
            "digest": digests,
            "neighbours": neighbours,
            "known": st.dictionaries(
                names, st.builds(Report, st.integers(0, 2**48), haves), max_size=2
            ),
        },
    ),
    lived(SnapshotBegin, {"snapshot": u64, "id": u64}),
    st.builds(ranges_of, batches(claims=False), u64, st.booleans()),
    st.builds(SnapshotCommit, u64, u64),
    st.builds(Ping, u64),
    st.builds(Pong, u64),
    st.just(Bye()),
)

plain: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=10)
    | st.just(msgpack.Timestamp(1, 0))
    | st.just(msgpack.ExtType(5, b"")),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=2)
    ),
    max_leaves=12,
)
"""Anything that MessagePack has."""


def places(value: object, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """The place of each element, at any depth."""
    found = [path] if path else []
    for index, item in enumerate(value if isinstance(value, list) else ()):
        found += places(item, (*path, index))
    return found


def with_element(value: Any, path: tuple[int, ...], element: object) -> Any:
    """A copy with another element at this place."""
    index, *rest = path
    changed = list(value)
    changed[index] = with_element(value[index], tuple(rest), element) if rest else element
    return changed


@st.composite
def mangled(draw: st.DrawFn, whole: SearchStrategy[bytes]) -> bytes:
    """Bytes of which a few are left out, changed or added."""
    content = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(content)

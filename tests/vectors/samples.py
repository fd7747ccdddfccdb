"""Messages that are vectors, of each type.

The first message of each type is the one that the document shows byte by byte.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgpack

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
from softadastra.sync.wire import MessageType, encode

__all__ = [
    "BATCH",
    "DIGEST",
    "EMPTY",
    "HELLO",
    "MESSAGES",
    "MIXED",
    "RANGE",
    "A",
    "Sample",
    "edited",
]

U64 = 2**64 - 1
STAMP = 1_700_000_000_000 << 16
A, B, C = Origin("till", 7), Origin("office", 9), Origin("barn", 5)
HAVES = {A: DotSet(5, [(7, 9), (11, 11)]), B: DotSet(2)}
DIGEST = bytes(range(16))


class Sample(NamedTuple):
    """A message that is a vector."""

    name: str
    words: str
    message: Message


HELLO = Hello(
    protocols=(1, 1),
    features=frozenset(),
    cluster="shop",
    node_id="till",
    incarnation=7,
    nonce=12_345,
    wall_ms=1_700_000_000_000,
    policies="last_write_wins",
    have={A: DotSet(5), B: DotSet(2)},
    named={},
    lives={},
    digest=DIGEST,
    credit=16,
    neighbours=frozenset(),
    resume=None,
    number=40_000,
)
BATCH = Batch(
    id=1,
    told=0,
    origins=[A],
    lives=[],
    claims=[Claim(0, 1, [(2, 0, 1)])],
    keys=["a", "b"],
    columns=([0, 0], [1, 2], [STAMP, STAMP], [1, 1], [b"\x01", b"\xa1x"], [0, 0]),
    states=[],
)
MIXED = Batch(
    id=3,
    told=2,
    origins=[A, B],
    lives=[(1, [Life(5, 77), Life(9, U64)])],
    claims=[Claim(0, 5, [(2, 0, 1), (7, 2, 0)]), Claim(1, 1, [(1, 3, 1)])],
    keys=["x", "y", "z", "w"],
    columns=(
        [0, 0, 1],
        [5, 6, 9],
        [STAMP, STAMP, STAMP + 7],
        [1, 1, 3],
        [b"\x01", b"", b"\xa1v"],
        [0, 0, 1],
    ),
    states=[KeyState(((0, 4, STAMP, 1, b"\x02", 0), (1, 1, STAMP + 1, 2, b"\x03", 1)), {1: 6})],
)
EMPTY = Batch(id=2, told=0, origins=[], lives=[], claims=[], keys=[], columns=([],) * 6, states=[])
RANGE = SnapshotRange(1, None, "b", False, replace(BATCH, id=3, claims=[]))

MESSAGES: Final[dict[MessageType, list[Sample]]] = {
    MessageType.HELLO: [
        Sample("plain", "a node of two origins' writes greets", HELLO),
        Sample(
            "everything",
            "several protocols, a feature, ranges above a base, an origin that only contexts name, "
            "lives, neighbours, a resumed "
            "snapshot, and the greatest numbers",
            replace(
                HELLO,
                protocols=(1, 3),
                features=frozenset({"compress", "ärger"}),
                incarnation=U64,
                nonce=0,
                wall_ms=2**48,
                have=HAVES,
                named={C: 1},
                lives={B: [Life(0, 9), Life(1, 9)], A: [Life(3, 8), Life(5, U64)]},
                credit=1_024,
                neighbours=frozenset({"office", "bar"}),
                resume=(2**40, "key"),
                number=U64 - 2**20,
            ),
        ),
        Sample("empty", "a newcomer has nothing", replace(HELLO, have={}, digest=bytes(16))),
    ],
    MessageType.REJECT: [
        Sample("cluster", "another cluster", Reject(RejectReason.DIFFERENT_CLUSTER, "not ours")),
        *(
            Sample(reason.name.lower(), f"reason {reason.value}", Reject(reason, "words"))
            for reason in RejectReason
            if reason is not RejectReason.DIFFERENT_CLUSTER
        ),
    ],
    MessageType.BATCH: [
        Sample("regular", "two writes of one origin, all columns regular", BATCH),
        Sample(
            "mixed",
            "two origins, a tombstone, a conflict with a context, lives, a run of overwrites",
            MIXED,
        ),
        Sample("empty", "nothing at all, as the last range of a snapshot may be", EMPTY),
        Sample(
            "one row",
            "of a single row all columns are regular; the greatest numbers",
            replace(
                BATCH,
                id=U64,
                told=U64,
                claims=[Claim(0, U64, [(1, 0, 0)])],
                keys=["k"],
                columns=([0], [U64], [U64], [U64], [b"\xc0"], [1]),
            ),
        ),
        Sample(
            "states alone",
            "no entry of one sibling without a context: the columns are empty",
            replace(
                MIXED, keys=["w"], columns=([],) * 6, claims=[Claim(1, 1, [(1, 0, 0)])], lives=[]
            ),
        ),
        Sample(
            "columns",
            "one origin and consecutive numbers, but stamps, versions and flags that differ",
            replace(
                BATCH,
                columns=([0, 0], [1, 2], [STAMP + 3, STAMP], [1, 2], [b"\x01", b"\x02"], [1, 0]),
            ),
        ),
    ],
    MessageType.ACK: [
        Sample("one", "a batch is durable", Ack([1], {A: DotSet(2)}, 16)),
        Sample("several", "with ranges above the base", Ack([1, 2, U64], HAVES, 1)),
        Sample("none", "writes came from elsewhere", Ack([], {B: DotSet(1)}, 1_024)),
    ],
    MessageType.HAVE: [
        Sample("plain", "the first one", Have(1, {A: DotSet(5)}, {}, {}, DIGEST, frozenset(), {})),
        Sample(
            "everything",
            "with numbers that only contexts name, lives, neighbours and reports of others",
            Have(
                U64,
                HAVES,
                {A: 12, C: U64},
                {A: [Life(0, 7), Life(1, 7), Life(4, 3)], C: [Life(1, 6)]},
                DIGEST,
                frozenset({"office", "bar"}),
                {"attic": Report(5_000, HAVES), "cellar": Report(2**48, {})},
            ),
        ),
    ],
    MessageType.SNAPSHOT_BEGIN: [
        Sample("plain", "H is what the sender has", SnapshotBegin(1, 2, {A: DotSet(5)}, {})),
        Sample("lives", "with lives of H", SnapshotBegin(U64, 0, HAVES, {A: [Life(3, 1)]})),
    ],
    MessageType.SNAPSHOT_RANGE: [
        Sample("first", "the first keys up to b; others are behind it", RANGE),
        Sample(
            "last",
            "the rest, with a conflict",
            SnapshotRange(1, "b", "\U0010ffff\U0010ffff", True, replace(MIXED, claims=[])),
        ),
        Sample(
            "nothing",
            "an empty store is one empty range",
            SnapshotRange(1, None, "\U0010ffff\U0010ffff", True, EMPTY),
        ),
    ],
    MessageType.SNAPSHOT_COMMIT: [
        Sample("plain", "all ranges are acknowledged", SnapshotCommit(1, 9))
    ],
    MessageType.PING: [
        Sample("plain", "a clock of 300 ms", Ping(300)),
        Sample("zero", "the least", Ping(0)),
        Sample("greatest", "the greatest", Ping(U64)),
    ],
    MessageType.PONG: [Sample("plain", "the clock of the ping", Pong(300))],
    MessageType.BYE: [Sample("plain", "nothing but its type", Bye())],
}


def edited(message: Message, *changes: tuple[int, Any]) -> bytes:
    """Give the bytes of a message with elements replaced, by position."""
    plain = msgpack.unpackb(encode(message))
    for position, value in changes:
        plain[position] = value
    return bytes(msgpack.packb(plain))

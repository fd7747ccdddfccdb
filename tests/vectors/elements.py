"""The elements of each message: position, type, range, meaning, and values at its edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from softadastra.sync.fields import (
    BATCH_ENTRIES_MAX,
    FEATURE_BYTES_MAX,
    FEATURES_MAX,
    FLAGS_MAX,
    HAVES_MAX,
    KEY_BYTES_MAX,
    MEMBERS_MAX,
    NODE_ID_BYTES_MAX,
    ORIGINS_MAX,
    POLICIES_BYTES_MAX,
    U64_MAX,
)
from softadastra.sync.messages import PROTOCOL, RejectReason
from softadastra.sync.wire import MessageType

__all__ = ["ELEMENTS", "Element", "table"]


class Kind(Protocol):
    """What an element may be."""

    @property
    def words(self) -> str: ...

    @property
    def accepted(self) -> list[Any]: ...

    @property
    def refused(self) -> list[Any]: ...


def said(number: int) -> str:
    """Give a number as people read it."""
    powers = {U64_MAX: "2^64 - 1", 2**48: "2^48"}
    return powers.get(number, f"{number:,}")


@dataclass(frozen=True)
class Number:
    low: int = 0
    high: int = U64_MAX

    @property
    def words(self) -> str:
        return f"integer, {said(self.low)} to {said(self.high)}"

    @property
    def accepted(self) -> list[Any]:
        return [self.low, self.high]

    @property
    def refused(self) -> list[Any]:
        beyond = [self.high + 1] if self.high < U64_MAX else []
        return [self.low - 1, *beyond, True, None, "1", 1.0, []]


@dataclass(frozen=True)
class Text:
    size: int

    @property
    def words(self) -> str:
        return f"text, 1 to {said(self.size)} bytes"

    @property
    def accepted(self) -> list[Any]:
        return ["n", "n" * self.size, "ä" * (self.size // 2)]

    @property
    def refused(self) -> list[Any]:
        return ["", "n" * (self.size + 1), "ä" * (self.size // 2 + 1), b"n", 1, None]


@dataclass(frozen=True)
class Name(Text):
    """What a node is called."""

    @property
    def words(self) -> str:
        return f"{super().words}, no control characters"

    @property
    def refused(self) -> list[Any]:
        return [*super().refused, *(f"n{control}" for control in "\x00\n\x1b\x1f\x7f\x80\x9f")]

    @property
    def accepted(self) -> list[Any]:
        return [*super().accepted, " ", "~", "\u00a0", "\u202e"]


@dataclass(frozen=True)
class Bytes:
    size: int

    @property
    def words(self) -> str:
        return f"bytes, {self.size}"

    @property
    def accepted(self) -> list[Any]:
        return [bytes(self.size)]

    @property
    def refused(self) -> list[Any]:
        return [bytes(self.size - 1), bytes(self.size + 1), "x" * self.size, None]


@dataclass(frozen=True)
class Boolean:
    words: str = "boolean"
    accepted: tuple[Any, ...] = (False, True)
    refused: tuple[Any, ...] = (0, 1, None)


@dataclass(frozen=True)
class Listing:
    """A list; `items` makes one of so many."""

    most: int
    of: str
    items: Callable[[int], list[Any]]
    least: int = 0
    """Fewer are only refused when something else needs them."""

    @property
    def words(self) -> str:
        return f"list of at most {said(self.most)} {self.of}"

    @property
    def accepted(self) -> list[Any]:
        return [self.items(self.least), self.items(self.most)]

    @property
    def refused(self) -> list[Any]:
        return [self.items(self.most + 1), None, 1, "x", [None]]


@dataclass(frozen=True)
class Said:
    """What only words say, with examples."""

    words: str
    accepted: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Element:
    """One element of a message."""

    name: str
    kind: Any
    meaning: str


HAVES: Final = Listing(ORIGINS_MAX, "haves", lambda count: [["n", i, 1, []] for i in range(count)])
NAMES: Final = Listing(ORIGINS_MAX, "node ids", lambda count: [f"n{i}" for i in range(count)])
CREDIT: Final = Number(1, 1_024)
U64: Final = Number()


def lived(meaning: str) -> list[Element]:
    """Give the two elements of a have and its lives."""
    lives = Listing(ORIGINS_MAX, "lists of lives", lambda count: [[0, 1, 1]] * count)
    return [
        Element("have", HAVES, meaning),
        Element("lives", lives, "of origins in `have`, by position"),
    ]


def column(name: str, high: int, low: int, meaning: str, *, top: str = "") -> Element:
    kind = Said(
        f"column of integers, {said(low)} to {top or said(high)}",
        (low, [low], high, [high]),
        (low - 1, [low - 1], [low, low], [], None, True, [True], "1"),
    )
    return Element(name, kind, meaning)


BATCH: Final = [
    Element("id", U64, "of this batch, for its acknowledgement; rising on a connection"),
    Element("told", U64, "the number of what its sender had told last, HELLO or HAVE"),
    Element(
        "origins",
        Listing(ORIGINS_MAX, "origins", lambda count: [["n", i] for i in range(count)], 1),
        "distinct; all numbers of origins below are positions in this list, from 0",
    ),
    Element(
        "lives",
        Listing(ORIGINS_MAX, "lists of lives", lambda count: [[0, 1, 1]] * count),
        "of origins, by position: those that the receiver may not know",
    ),
    Element(
        "claims",
        Listing(BATCH_ENTRIES_MAX, "claims", lambda count: [[0, 1, [1, 0, 0]]] * count),
        "which writes this brings, and the entry of each",
    ),
    Element(
        "keys",
        Said(
            f"list of at most {said(BATCH_ENTRIES_MAX)} texts, 1 to {said(KEY_BYTES_MAX)} bytes",
            (["k" * KEY_BYTES_MAX], ["ä" * (KEY_BYTES_MAX // 2)]),
            (
                ["k" * (KEY_BYTES_MAX + 1)],
                ["ä" * (KEY_BYTES_MAX // 2 + 1)],
                [""],
                [b"k"],
                [1],
                None,
            ),
        ),
        "distinct: those of the rows, then those of the states",
    ),
    column("row origins", 0, 0, "whose write stands for each key", top="the last of `origins`"),
    column("row numbers", U64_MAX, 1, "of the writes; shrinks to its first when each is one more"),
    Element("stamp base", U64, "is added to each of the next"),
    column("row stamps", U64_MAX, 0, "less the base; with it at most 2^64 - 1"),
    column("row versions", U64_MAX, 0, "how many writes deep the value is"),
    Element(
        "row values",
        Said(
            f"list of at most {said(BATCH_ENTRIES_MAX)} bytes",
            ([b""], [b"\x01"]),
            (["x"], [1], [b"\xc1"], [b"\x01\x01"], [], None, b"\x01"),
        ),
        "packed values; empty: a tombstone",
    ),
    column("row flags", FLAGS_MAX, 0, "1: a resolution"),
    Element(
        "states",
        Said(
            f"list of at most {said(BATCH_ENTRIES_MAX)} states",
            ([],),
            ([[]], [[[], []]], None, 1),
        ),
        "of the keys behind the rows': several siblings, or a context",
    ),
]

ELEMENTS: Final[dict[MessageType, list[Element]]] = {
    MessageType.HELLO: [
        Element(
            "protocols",
            Said("list of 2 integers", ([0, 1], [1, U64_MAX]), ([1], [1, 1, 1], [-1, 1], 1, None)),
            "the lowest and the highest that the sender speaks",
        ),
        Element(
            "features",
            Listing(
                FEATURES_MAX,
                f"texts, 1 to {FEATURE_BYTES_MAX} bytes",
                lambda count: [f"{i:0{FEATURE_BYTES_MAX}}" for i in range(count)],
            ),
            "what else the sender can do; unknown ones are ignored; none are defined",
        ),
        Element("cluster", Text(NODE_ID_BYTES_MAX), "must be equal on both sides"),
        Element("node id", Name(NODE_ID_BYTES_MAX), "the sender"),
        Element("incarnation", U64, "of the sender's own origin"),
        Element("nonce", U64, "drawn when the sender's process opens"),
        Element("wall clock", Number(0, 2**48), "the sender's, milliseconds since 1970 in UTC"),
        Element("policies", Text(POLICIES_BYTES_MAX), "must be equal on both sides"),
        *lived("all that the sender has"),
        Element("digest", Bytes(16), "of the sender's state"),
        Element("credit", CREDIT, "how many unacknowledged messages the sender takes"),
        Element("neighbours", NAMES, "whom the sender is connected to"),
        Element(
            "resume",
            Said(
                "nothing, or list of snapshot and key",
                (None, [U64_MAX, "k"], [0, "k" * KEY_BYTES_MAX]),
                ([1], [1, ""], ["k", 1], [-1, "k"], [1, "k" * (KEY_BYTES_MAX + 1)], 1),
            ),
            "which snapshot of the receiver's the sender has begun, and its last finished key",
        ),
        Element(
            "number",
            Number(0, U64_MAX - HAVES_MAX),
            "the HAVEs of this connection have the next ones; another one on each connection",
        ),
    ],
    MessageType.REJECT: [
        Element("reason", Number(1, len(RejectReason)), "see section 6"),
        Element("words", Text(1_024), "for people"),
    ],
    MessageType.BATCH: BATCH,
    MessageType.ACK: [
        Element(
            "batches",
            Listing(1_024, "integers", lambda count: list(range(count))),
            "the ids that are durable at the sender of this",
        ),
        Element("have", HAVES, "what it has now of some origins; exact for those"),
        Element("credit", CREDIT, "as in HELLO, from now on"),
    ],
    MessageType.HAVE: [
        Element("number", Number(1), "one more than that of the HAVE before, or of the greeting"),
        *lived("all that the sender has"),
        Element("digest", Bytes(16), "of the sender's state"),
        Element("neighbours", NAMES, "whom the sender is connected to"),
        Element(
            "known",
            Listing(MEMBERS_MAX, "reports", lambda count: [[f"n{i}", 0, []] for i in range(count)]),
            "what others have: lists of node id, age in ms (0 to 2^48), have",
        ),
    ],
    MessageType.SNAPSHOT_BEGIN: [
        Element("snapshot", U64, "another number than any snapshot of this sender had"),
        Element("id", U64, "for its acknowledgement"),
        *lived("H: all that the sender has now"),
    ],
    MessageType.SNAPSHOT_RANGE: [
        Element("snapshot", U64, "the one that has begun"),
        Element(
            "after",
            Said("nothing, or a key", (None,), ("", 1, "k" * (KEY_BYTES_MAX + 1))),
            "the `last` of the range before; nothing: this is the first",
        ),
        Element("last", Text(KEY_BYTES_MAX), "the range ends with this key"),
        Element("end", Boolean(), "no key is behind this range"),
        *BATCH,
    ],
    MessageType.SNAPSHOT_COMMIT: [
        Element("snapshot", U64, "the one that ends"),
        Element("id", U64, "for its acknowledgement"),
    ],
    MessageType.PING: [Element("time", U64, "the sender's clock; means nothing to others")],
    MessageType.PONG: [Element("time", U64, "the `time` of the PING")],
    MessageType.BYE: [],
}
"""Behind the protocol and the type."""


def table(kind: MessageType) -> str:
    """Give a message's elements as a table."""
    rows = [
        ("0", "protocol", f"integer {PROTOCOL}", "as in every message"),
        ("1", "type", f"integer {kind.value}", kind.name),
    ]
    shown = ELEMENTS[kind]
    if kind is MessageType.SNAPSHOT_RANGE:
        shown = [*shown[:4], Element("id ... states", Said("as 2 to 15 of BATCH"), "no claims")]
    for position, element in enumerate(shown, 2):
        last = f" - {len(ELEMENTS[kind]) + 1}" if "..." in element.name else ""
        rows.append((f"{position}{last}", element.name, element.kind.words, element.meaning))
    lines = ["| # | element | type and range | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])

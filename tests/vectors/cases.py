"""The cases of `rules.py`: by file and rule, each with a name and what goes in."""

from __future__ import annotations

from typing import Any, Final

from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.siblings import KeyState, Sibling, State
from tests.vectors.plain import Plain, plain_dots, plain_lives, plain_sibling
from tests.vectors.rules import plain_state

__all__ = ["CASES"]

WALL = 1_700_000_000_000
S = WALL << 16
U64 = 2**64 - 1


def row(origin: int, n: int, stamp: int = S, value: bytes = b"\x01", **rest: int) -> Sibling:
    return origin, n, stamp, rest.get("version", 1), value, rest.get("flags", 0)


def state(*siblings: Sibling, **context: int) -> KeyState:
    """A state; its context is named by `of_` and the origin's number."""
    return KeyState(siblings, {int(name[3:]): n for name, n in context.items()})


def case(name: str, **fields: Any) -> Plain:
    return {"name": name, **fields}


def siblings(*rows: Sibling) -> list[Plain]:
    return [plain_sibling(sibling) for sibling in rows]


def entry(key: str, held: State) -> Plain:
    return {"key": key, **(plain_state(held) or {})}


def had(**dots: DotSet) -> list[Plain]:
    return [{"origin": int(name[3:]), **plain_dots(found)} for name, found in dots.items()]


def merging(
    name: str,
    ours: State | None,
    theirs: State,
    *,
    keeps: bool = False,
    had_here: list[Plain] | None = None,
) -> Plain:
    return case(
        name,
        keeps_siblings=keeps,
        had=had_here or [],
        ours=plain_state(ours),
        theirs=plain_state(theirs),
    )


def living(name: str, ours: list[Life], top: int, theirs: list[Life], their_top: int) -> Plain:
    return case(
        name,
        incarnation=7,
        ours=plain_lives(ours),
        top=top,
        theirs=plain_lives(theirs),
        their_top=their_top,
    )


def writing(name: str, held: State | None, **fields: Any) -> Plain:
    usual = {"top": 2, "clock": S, "wall_ms": WALL, "value": "02"}
    return case(name, state=plain_state(held), **{**usual, **fields})


def pair(name: str, a: DotSet, b: DotSet) -> Plain:
    return case(name, a=plain_dots(a), b=plain_dots(b))


PAIRS: Final = [
    pair("one base inside the other", DotSet(9), DotSet(4)),
    pair("a gap between", DotSet(3, [(7, 9), (12, 12)]), DotSet(5, [(8, 8), (13, 20)])),
    pair("what joins", DotSet(3, [(5, 6)]), DotSet(0, [(4, 4), (7, 9)])),
    pair("nothing and something", DotSet(), DotSet(2, [(4, 4)])),
    pair("something and nothing", DotSet(2, [(4, 4)]), DotSet()),
    pair("the greatest numbers", DotSet(0, [(U64, U64)]), DotSet(U64 - 1)),
]

CASES: Final[dict[str, dict[str, list[Plain]]]] = {
    "digest": {
        "fingerprint": [
            case("ascii", key="a", version=1, value="01"),
            case("the length is in characters", key="äöü", version=2, value="a178"),
            case("beyond the basic plane", key="\U0001f600", version=3, value="c0"),
            case("a greater version", key="a", version=2**47, value="01"),
            case("a version of more than 48 bits is cut", key="a", version=U64, value="01"),
            case("the key's end is not the value's begin", key="ab", version=1, value="01"),
        ],
        "digest": [
            case("nothing", entries=[]),
            case("a tombstone is nothing", entries=[entry("a", row(0, 1, value=b""))]),
            case("one", entries=[entry("a", row(0, 1))]),
            case(
                "two, whatever stamps and origins",
                entries=[
                    entry("a", row(1, 9, S + 5)),
                    entry("b", row(0, 2, value=b"\xa1x", version=2)),
                ],
            ),
            case(
                "all siblings that have a value, whether they are shown or not",
                entries=[
                    entry("a", state(row(0, 1), row(1, 1), row(2, 1, value=b""))),
                    entry("b", state(row(0, 2, flags=1), row(1, 2, value=b"\x02", flags=1))),
                ],
            ),
        ],
    },
    "merge": {
        "order": [
            case("by stamp first", siblings=siblings(row(0, 1, S + 1), row(1, 2, S))),
            case(
                "then by node id, in the order of its bytes, incarnation and number",
                siblings=siblings(row(3, 1), row(2, 1), row(0, 2), row(0, 1), row(1, 5)),
            ),
        ],
        "shown": [
            case("one", siblings=siblings(row(0, 1))),
            case("two values", siblings=siblings(row(1, 1), row(0, 1, value=b"\x02"))),
            case("equal values collapse to the greatest", siblings=siblings(row(1, 1), row(0, 1))),
            case(
                "of several resolutions the greatest counts",
                siblings=siblings(
                    row(1, 1, flags=1), row(0, 1, value=b"\x02", flags=1), row(2, 1, value=b"\x03")
                ),
            ),
            case("a remove counts", siblings=siblings(row(1, 1), row(0, 1, value=b""))),
        ],
        "merge": [
            merging("a new key", None, row(0, 1)),
            merging("the next write of one writer", row(0, 1), row(0, 2, value=b"\x02")),
            merging("an older write comes late", row(0, 2), row(0, 1)),
            merging("the same again", row(0, 1), row(0, 1)),
            merging("an overwrite by another names what it saw", row(0, 1),
                    state(row(1, 1, S - 9, b"\x02"), of_0=1)),
            merging("a conflict under last_write_wins", row(0, 1), row(1, 1, S + 1, b"\x02")),
            merging("equal stamps: the greater node id", row(1, 5, S, b"\x02"), row(0, 1)),
            merging("a remove wins as any write", row(0, 1), row(1, 1, S + 1, b"")),
            merging("a conflict under another policy", row(0, 1), row(1, 1, S + 1, b"\x02"),
                    keeps=True),
            merging("a write over both", state(row(1, 1), row(0, 1, value=b"\x02")),
                    state(row(2, 1, S + 9, b"\x03"), of_0=1, of_1=1), keeps=True),
            merging("a write over one of two", state(row(1, 1), row(0, 1, value=b"\x02")),
                    state(row(2, 1, S + 9, b"\x03"), of_0=1), keeps=True),
            merging("what we had and hold no more is obsolete", None, row(0, 3),
                    had_here=had(of_0=DotSet(3))),
            merging("contexts join", state(row(0, 4), of_1=2), state(row(0, 4), of_1=3, of_2=1)),
        ],
        "outlived": [
            case(
                "a value over a collected tombstone does not name it",
                ours=plain_state(row(0, 2, value=b"")),
                theirs=plain_state(row(2, 1, S + 9)),
                told=had(of_0=DotSet(2)),
            ),
            case(
                "what the sender did not have is concurrent",
                ours=plain_state(row(0, 2)),
                theirs=plain_state(row(2, 1, S + 9)),
                told=had(of_0=DotSet(1)),
            ),
            case(
                "what the state names itself is no matter of this",
                ours=plain_state(row(0, 2)),
                theirs=plain_state(state(row(2, 1, S + 9), of_0=2)),
                told=had(of_0=DotSet(2)),
            ),
        ],
    },
    "writes": {
        "write": [
            writing("a new key", None, top=0),
            writing("over an own write", row(0, 2, version=4)),
            writing("over another's write", row(1, 5, S + 9, version=4)),
            writing(
                "over a conflict: above the greatest of all",
                state(row(1, 1, version=3), row(2, 1, S + 9, b"\x03"), of_3=6),
            ),
            writing("over an own and another's", state(row(0, 2), row(1, 1, value=b"\x03"))),
            writing("an equal value is no write", row(1, 5, value=b"\x02")),
            writing("a remove", row(0, 2), value=""),
            writing("a remove of nothing is no write", None, value=""),
            writing("the wall clock is behind", row(0, 2), wall_ms=WALL - 5, clock=S + 3),
            writing("the last stamp and version stay", row(1, 5, U64, version=U64)),
        ],
        "next_stamp": [
            case("the wall clock is ahead", clock=S, wall_ms=WALL + 1),
            case("the same millisecond", clock=S, wall_ms=WALL),
            case("the counter runs over", clock=S + 65_535, wall_ms=WALL),
        ],
        "observed": [
            case("an older stamp", clock=S, stamp=S - 1, wall_ms=WALL),
            case("a later stamp", clock=S, stamp=S + 5, wall_ms=WALL),
            case("60 s ahead at most", clock=S, stamp=(WALL + 60_001) << 16, wall_ms=WALL),
        ],
    },
    "have": {"union": PAIRS, "difference": PAIRS, "intersection": PAIRS, "contains": PAIRS},
    "lives": {
        "history": [
            case("opened once", incarnation=7, known=[], told=[]),
            case(
                "two later lives; what names the origin is not kept",
                incarnation=7,
                known=plain_lives([Life(61, 8)]),
                told=plain_lives([Life(1, 7), Life(61, 8), Life(101, 9)]),
            ),
            case(
                "nothing was written in the first life",
                incarnation=7,
                known=[],
                told=plain_lives([Life(0, 7), Life(1, 8)]),
            ),
        ],
        "parting": [
            living("equal", [Life(61, 8)], 100, [Life(1, 7), Life(61, 8)], 100),
            living("theirs is longer", [Life(61, 8)], 80, [Life(1, 7), Life(61, 8)], 100),
            living("theirs has a life more", [], 60, [Life(1, 7), Life(61, 8)], 100),
            living("a copy of the first 50 writes was written to", [Life(61, 8)], 120,
                   [Life(1, 7), Life(51, 9)], 53),
            living("a copy of the first 100 writes was written to", [Life(61, 8)], 120,
                   [Life(61, 8), Life(101, 9)], 103),
            living("both begin a life at 101: the greater splits off", [Life(101, 8)], 120,
                   [Life(1, 7), Life(101, 9)], 103),
            living("we know no life there, they begin one", [], 120,
                   [Life(1, 7), Life(101, 9)], 103),
            living("they tell no life that is ours", [Life(61, 8)], 100,
                   [Life(70, 5), Life(90, 6)], 100),
            living("they begin behind all that we have", [], 50, [Life(70, 5)], 100),
            living("a follower that forgot the lives", [Life(61, 8)], 100, [], 100),
        ],
        "split": [
            case("in what stays", after=100, state=plain_state(row(0, 60))),
            case("in what moves: it superseded what stays", after=100,
                 state=plain_state(row(0, 103))),
            case("a context reaches over both", after=100,
                 state=plain_state(state(row(1, 4), of_0=102))),
            case("a branch that is known by its name", after=100,
                 state=plain_state(state(row(2, 5), of_0=30))),
        ],
    },
}  # fmt: skip

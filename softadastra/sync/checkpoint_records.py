"""The bytes of a checkpoint's records: its parts, with origins by their position in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, assert_never

from softadastra.store.changes import Lost
from softadastra.store.checkpoint import Entries, History, Part, Rows, Totals
from softadastra.store.dots import DotSet, Range
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState, Sibling
from softadastra.sync.columns import shrunk
from softadastra.sync.kinds import Kind

__all__ = ["decode_part", "encode_part", "pairs"]


def encode_part(part: Part) -> tuple[Kind, Any]:
    """Give a part's kind, and what is to be packed."""
    match part:
        case History(origin, have, collected, lives, named):
            dots = (plain_dots(have), plain_dots(collected))
            return Kind.HISTORY, (*origin, *dots, [*chain.from_iterable(lives)], named)
        case Entries(keys, siblings, states):
            columns: Any = [list(column) for column in zip(*siblings, strict=True)] or [[]] * 6
            others = [
                (state.siblings, [*chain.from_iterable(state.context.items())]) for state in states
            ]
            return Kind.ENTRIES, (keys, *shrunk(columns), others)
        case Rows(origin, numbers, keys):
            table = {key: i for i, key in enumerate(dict.fromkeys(keys))}
            # Nearly each is one more than the one before: a byte.
            steps = [n - before for before, n in pairwise([0, *numbers])]
            return Kind.ROWS, (origin, steps, list(table), [table[key] for key in keys])
        case Lost():
            return Kind.LOST, part
        case Totals():
            digest = part.digest.to_bytes(16, "big")
            return Kind.TOTALS, (part.clock, part.last_remote, digest)
        case _ as unreachable:
            assert_never(unreachable)


def decode_part(kind: int, fields: Sequence[Any]) -> Part:
    """Read a part; the bytes are intact, the log has checked them."""
    match kind:
        case Kind.HISTORY:
            node_id, incarnation, have, collected, lives, named = fields
            told = [Life(*life) for life in pairs(lives)]
            origin = Origin(node_id, incarnation)
            return History(origin, dots_of(have), dots_of(collected), told, named)
        case Kind.ENTRIES:
            keys, *columns, others = fields
            states = [
                KeyState(tuple(map(tuple, siblings)), dict(pairs(context)))
                for siblings, context in others
            ]
            return Entries(keys, siblings_of(columns), states)
        case Kind.ROWS:
            position, steps, keys, positions = fields
            return Rows(position, list(accumulate(steps)), [keys[i] for i in positions])
        case Kind.LOST:
            key, loser, winner = fields
            return Lost(key, tuple(loser), tuple(winner))
        case _:
            clock, last_remote, digest = fields
            return Totals(clock, last_remote, int.from_bytes(digest, "big"))


def siblings_of(columns: Sequence[Any]) -> list[Sibling]:
    """Make siblings of columns, as `shrunk` gives them."""
    origins, numbers, base, stamps, versions, values, flags = columns
    rows = len(values)
    if isinstance(stamps, int):
        told: Iterable[int] = repeat(base, rows)
    else:
        told = [base + stamp for stamp in stamps]
    return list(
        zip(
            origins if isinstance(origins, list) else repeat(origins, rows),
            numbers if isinstance(numbers, list) else range(numbers, numbers + rows),
            told,
            versions if isinstance(versions, list) else repeat(versions, rows),
            values,
            flags if isinstance(flags, list) else repeat(flags, rows),
            strict=True,
        )
    )


def plain_dots(dots: DotSet) -> tuple[int, list[int]]:
    """Give the base, and the ranges above it flat."""
    return dots.base, [*chain.from_iterable(dots.above)]


def dots_of(plain: tuple[int, list[int]]) -> DotSet:
    """Read what `plain_dots` gives."""
    base, flat = plain
    return DotSet(base, pairs(flat))


def pairs(flat: list[int]) -> list[Range]:
    """Give first, last, first, last ... as ranges."""
    return list(zip(flat[::2], flat[1::2], strict=True))

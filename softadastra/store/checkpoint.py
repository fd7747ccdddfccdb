"""A replica's state as records: what a log begins with that was rewritten.

It is taken at one moment, which copies no table. The records are made a few keys at a time while
writes go on; of a key that changes meanwhile the replica keeps what it held at that moment
(`Replica.kept`). Memory: the old states of those that change, until all records are made.

The origins come first. All else names them by their position among these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Final, NamedTuple, TypeAlias, assert_never

from softadastra.store.changes import OWN, Lost
from softadastra.store.dots import DotSet
from softadastra.store.index import OriginLog, Stretch
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, Sibling, State, siblings_of

__all__ = ["Checkpoint", "Entries", "History", "Part", "Rows", "Totals", "restore"]

PART_KEYS: Final = 128
"""Keys in one record: some 0.1 ms of work, so that a writer who waits for this thread waits no
longer, and so many that the headers of frames are a hundredth of the file."""
PART_BYTES: Final = 1 << 16
"""And about as many bytes of values, unless one has more."""
LISTED_KEYS: Final = 2_048
"""Keys whose states are looked up together."""
ROWS_MAX: Final = 1_024
"""Rows that are looked at for one record: 0.3 ms of work."""


class History(NamedTuple):
    """What is known of one origin."""

    origin: Origin
    have: DotSet
    collected: DotSet
    lives: Sequence[Life]
    named: int


class Entries(NamedTuple):
    """Some keys and their states."""

    keys: list[str]
    """The keys of `siblings`, then those of `states`."""
    siblings: list[Sibling]
    states: list[KeyState]


class Rows(NamedTuple):
    """Writes of one origin that were superseded, and may still be asked for, with their keys."""

    origin: int
    numbers: list[int]
    keys: list[str]


class Totals(NamedTuple):
    """What belongs to no key."""

    clock: int
    last_remote: int
    digest: int
    """Of all entries: they need not be hashed again."""


Part: TypeAlias = History | Entries | Rows | Lost | Totals


class Checkpoint:
    """The state of a replica at the moment when this is made.

    Args:
        replica: whose state; it may change afterwards. It has no other checkpoint under way.
    """

    def __init__(self, replica: Replica) -> None:
        assert replica.kept is None, "one at a time"
        known = {OWN: None}
        known |= {number: None for number, _ in replica.haves()}
        known |= {number: None for number, lives in replica.lives.items() if lives}
        known |= {number: None for number, n in replica.named.items() if n}
        self._positions = {number: position for position, number in enumerate(known)}
        """Origin number -> its position here."""
        self._is_same_order = all(number == i for number, i in self._positions.items())
        self._histories = [self._history(replica, number) for number in known]
        self._rows = [(number, replica.logs[number].lend()) for number, _ in replica.haves()]
        self._replica = replica
        self._entries = replica.entries
        self._listed = replica.ordered.listed
        self._lost = list(replica.lost)
        self._totals = Totals(replica.clock, replica.last_remote, replica.digest_sum)
        self._kept = replica.kept = {}

    def _history(self, replica: Replica, number: int) -> History:
        log = replica.logs.get(number)
        return History(
            replica.origins[number],
            DotSet(log.base, log.ranges_beyond()) if log is not None else DotSet(),
            log.collected.copy() if log is not None else DotSet(),
            list(replica.lives.get(number, ())),
            replica.named.get(number, 0),
        )

    def parts(self) -> Iterator[Part]:
        """Give all records, in the order in which they are to be evolved.

        In any thread, beside one that changes the replica. Who does not take all of them calls
        `Replica.end_checkpoint`.
        """
        yield from self._histories
        yield from self._entry_parts()
        for number, stretches in self._rows:
            yield from self._row_parts(number, stretches)
        for lost in self._lost:
            yield Lost(lost.key, self._sibling(lost.loser), self._sibling(lost.winner))
        yield self._totals
        self._replica.end_checkpoint()

    def _entry_parts(self) -> Iterator[Entries]:
        keys: list[str] = []
        siblings: list[Sibling] = []
        keys_of_states: list[str] = []
        states: list[KeyState] = []
        size = 0
        for key, state in self._states():
            if state is None:
                continue  # it had left
            if isinstance(state, KeyState):
                keys_of_states.append(key)
                states.append(self._state(state))
                size += sum(len(s[4]) for s in state.siblings)
            else:
                keys.append(key)
                siblings.append(state if self._is_same_order else self._sibling(state))
                size += len(state[4])
            if len(keys) + len(states) >= PART_KEYS or size >= PART_BYTES:
                yield Entries(keys + keys_of_states, siblings, states)
                keys, siblings, keys_of_states, states, size = [], [], [], [], 0
        if keys or states:
            yield Entries(keys + keys_of_states, siblings, states)

    def _states(self) -> Iterator[tuple[str, State | None]]:
        keys, size = self._listed
        for first in range(0, size, LISTED_KEYS):
            some = keys[first : min(first + LISTED_KEYS, size)]
            yield from zip(some, self._held(some), strict=True)

    def _held(self, keys: Sequence[str | None]) -> list[State | None]:
        """Give what these keys held at the moment."""
        # In this order: who changes one keeps the old state first.
        states = list(map(self._entries.get, keys))  # type: ignore[arg-type]  # None is no key
        kept = self._kept
        return list(map(kept.get, keys, states)) if kept else states  # type: ignore[arg-type]  # so

    def _row_parts(self, number: int, stretches: Sequence[Stretch]) -> Iterator[Rows]:
        """Give the rows of an origin, but for those of writes that stand: their entries tell."""
        part = Rows(self._positions[number], [], [])
        looked_at = 0
        for first, rows, size in stretches:
            for start in range(0, size, ROWS_MAX):
                keys = rows[start : min(start + ROWS_MAX, size)]
                for n, key, state in zip(
                    count(first + start), keys, self._held(keys), strict=False
                ):
                    if type(state) is tuple:
                        stands = state[1] == n and state[0] == number
                    else:
                        stands = any(s[1] == n and s[0] == number for s in siblings_of(state))
                    if key is not None and not stands:
                        part.numbers.append(n)
                        part.keys.append(key)
                looked_at += len(keys)
                if looked_at >= ROWS_MAX:
                    # Also with nothing in it: who makes the records a few at a time gets a turn.
                    yield part
                    part, looked_at = Rows(part.origin, [], []), 0
        if part.numbers:
            yield part

    def _sibling(self, sibling: Sibling) -> Sibling:
        return (self._positions[sibling[0]], *sibling[1:])

    def _state(self, state: KeyState) -> KeyState:
        if self._is_same_order:
            return state
        context = {self._positions[number]: n for number, n in state.context.items()}
        return KeyState(tuple(map(self._sibling, state.siblings)), context)


def restore(replica: Replica, part: Part) -> None:
    """Evolve a replica, from nothing, by a record of a checkpoint."""
    match part:
        case History(origin, have, collected, lives, named):
            number = replica.origins.number(origin)
            replica.logs[number] = OriginLog.restored(have, collected)
            replica.lives[number] = list(lives)
            if named:
                replica.named[number] = named
        case Entries(keys, siblings, states):
            replica.restore(keys, siblings, states)
            fill(replica, keys, siblings)
            for key, state in zip(keys[len(siblings) :], states, strict=True):
                fill(replica, repeat(key, len(state.siblings)), state.siblings)
        case Rows(origin, numbers, keys):
            replica.logs[origin].fill(numbers, keys)
        case Lost():
            replica.lost.append(part)
        case Totals():
            replica.restore_totals(**part._asdict())
        case _ as unreachable:
            assert_never(unreachable)


def fill(replica: Replica, keys: Iterable[str], siblings: Sequence[Sibling]) -> None:
    """Give siblings their rows again."""
    origins = {sibling[0] for sibling in siblings}
    if len(origins) == 1:
        # Nearly always: of one writer.
        replica.logs[siblings[0][0]].fill([sibling[1] for sibling in siblings], keys)
    else:
        for key, sibling in zip(keys, siblings, strict=False):
            replica.logs[sibling[0]].fill(sibling[1:2], (key,))

"""A node's state from what is left of its log, when records are missing in it.

Up to the first missing record the state is what it was. From there on nothing rests on what may be
missing:

- A batch says itself which writes it brings, and the state of the key of each; so does a record of
  own writes. They are taken as they are, in order, and claim their own writes and no others.
- What claims more than it brings is not believed: the end of a snapshot, which supposes all of its
  ranges, and what was collected.
- In a checkpoint that lacks a part, the entries that are left are taken, with the rows of their
  keys. What it says to be had beside these is not believed: it may have stood in the missing part.
- A record may be missing that gave this node's writes another name, or began another life. Then
  those behind it are not claimed under a name that may be wrong; and so it is with a batch that
  brings a history which does not go on from what is here.

The state is claimed under a new incarnation, each origin up to where it is sure (`adopted`). So a
node never says that it has more than it holds, and the peers bring the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgpack

from softadastra.store.adopting import adopted
from softadastra.store.changes import OWN, Collected, Committed, Lost, OwnWrites, Write, Writes
from softadastra.store.checkpoint import Entries, History, Rows, Totals
from softadastra.store.index import OriginLog
from softadastra.store.lives import Life, begun, parting
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, Sibling, State, siblings_of
from softadastra.store.splitting import Split
from softadastra.sync.engine import Engine
from softadastra.sync.histories import tops_of
from softadastra.sync.kinds import Kind
from softadastra.sync.members import Member
from softadastra.sync.messages import Batch
from softadastra.sync.records import (
    Arrived,
    Counted,
    Forgotten,
    Lived,
    Placed,
    Pruned,
    Record,
    Registered,
    Released,
    decode_record,
)
from softadastra.sync.settings import EngineOptions

__all__ = ["LostNumbers", "Missing", "Salvage", "Salvaged"]

U64_MAX: Final = 2**64 - 1
U64_BYTES: Final = 9
"""What the largest number takes in a record."""
PARTS: Final = frozenset({Kind.HISTORY, Kind.ENTRIES, Kind.ROWS, Kind.LOST, Kind.TOTALS})
NAMING: Final = frozenset({Kind.LIVED, Kind.SPLIT})
"""Kinds that say what the own writes behind them are called."""


class Missing(NamedTuple):
    """Records that are missing at one place."""

    first: int
    """The position of the first one, from 1."""
    kinds: Sequence[int]
    """Of those of which it is known."""
    unknown: Sequence[tuple[int, int]]
    """How many others, of how many bytes, stood together; nothing of what nothing is behind."""

    def may_have_named(self, own: Origin) -> bool:
        """Whether one of them may have given own writes another name, or begun a life.

        A life takes its 9 bytes: of 64 random bits the upper half is zero once in 2**32 times.
        """
        if not NAMING.isdisjoint(self.kinds):
            return True
        least_lived = 2 + U64_BYTES
        least_split = len(msgpack.packb([*own])) + 1 + U64_BYTES
        return any(
            least <= size and (records > 1 or size < least + U64_BYTES)
            for least in (least_lived, least_split)
            for records, size in self.unknown
        )


class LostNumbers(NamedTuple):
    """Writes of this node that are in no record that is left, and may be at peers."""

    behind: int
    """The position of the record in front of which they are missing."""
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """The state of the new life."""

    engine: Engine
    renamed: int
    """Writes that go on under new numbers of this node."""
    numbers: list[LostNumbers]


class Salvage:
    """Takes what is left of one log, record by record.

    Args:
        node_id: whose log it is.
        incarnation: of the log.
        is_rewritten: whether the log began with a checkpoint.
        policies: what happens to concurrent writes.
        options: of the engine.
        draw: gives 64 random bits.
    """

    def __init__(
        self,
        node_id: str,
        incarnation: int,
        *,
        is_rewritten: bool,
        policies: Policies,
        options: EngineOptions,
        draw: Callable[[], int],
    ) -> None:
        self._options, self._draw = options, draw
        self._engine = Engine(
            Replica(node_id, incarnation, policies), options, nonce=draw(), jitter=lambda: 0.5
        )
        self._sure: dict[int, int] | None = None
        """Up to which number each origin is known; None: nothing is missing so far."""
        self._is_own_sure = True
        self._is_in_checkpoint = is_rewritten
        self._numbers: list[LostNumbers] = []

    @property
    def _replica(self) -> Replica:
        return self._engine.replica

    def miss(self, missing: Missing) -> None:
        """Take note that records are missing here."""
        replica = self._replica
        if self._sure is None:
            self._sure = {number: replica.reach(number) for number in range(len(replica.origins))}
            if self._is_in_checkpoint:
                self._keep_what_stands()
        if missing.may_have_named(replica.origins[OWN]) or (
            self._is_in_checkpoint and missing.first == 1
        ):
            self._is_own_sure = False

    def take(self, position: int, kind: int, payload: bytes) -> str | None:
        """Take a record that is left.

        Args:
            position: in the log, from 1.
            kind: of the record.
            payload: its bytes.

        Returns:
            Why it is of no use; None: it was taken.

        Raises:
            StoreError: a newer version wrote it, which knows what to do with it.
            Exception: it is none, though its checksum is right, and the state is of no use any
                more: begin anew, and miss this one.
        """
        record = decode_record(kind, payload, self._replica.origins)
        if isinstance(record, Totals) or kind not in PARTS:
            if self._is_in_checkpoint and self._sure is not None:
                self._keep_what_stands()
            self._is_in_checkpoint = False
        if self._sure is None:
            self._engine.evolve(record)
        elif kind in PARTS:
            self._take_part(position, record, self._sure)
        else:
            return self._take(position, kind, payload, record, self._sure)
        return None

    def result(self, incarnation: int) -> Salvaged:
        """Give the state of the new life. Nothing may be taken any more.

        Args:
            incarnation: of the new life.
        """
        old, replica = self._engine, self._replica
        sure = self._sure
        if sure is None:
            sure = {number: replica.reach(number) for number in range(len(replica.origins))}
        new, renamed = adopted(replica, sure, incarnation, self._draw)
        engine = Engine(new, self._options, nonce=self._draw(), jitter=lambda: 0.5)
        for node_id in old.members.forgotten:
            engine.members.forget(node_id)
        engine.members.forgotten_retries = old.members.forgotten_retries
        for member in old.members:
            engine.members.restore(replace(member, confirmed=0))
        engine.delivery.released = new.top
        return Salvaged(engine=engine, renamed=renamed, numbers=self._numbers)

    # Behind a missing record.

    def _take(
        self, position: int, kind: int, payload: bytes, record: Record, sure: dict[int, int]
    ) -> str | None:
        match record:
            case Write() | Writes():
                self._take_writes(position, record, sure)
            case Arrived():
                return self._take_arrived(kind, payload, record, sure)
            case Split():
                self._split(record, sure)
            case Committed():
                self._replica.learn_lives(record.lives, record.top_of)
            case Member() | Registered() | Forgotten() | Counted() | Lived():
                self._engine.evolve(record)
            case Collected() | Pruned() | Released() | Placed():
                pass
            case _:
                raise AssertionError("parts of a checkpoint are taken elsewhere")
        return None

    def _take_writes(self, position: int, writes: OwnWrites, sure: dict[int, int]) -> None:
        replica = self._replica
        top = replica.logs[OWN].top
        if writes.first <= top:
            # Numbers began anew: under which name is not known.
            self._split(Split(replica.origins[OWN], replica.reach(OWN), self._draw()), sure)
            self._is_own_sure = False
            top = 0
        if writes.first > top + 1:
            self._numbers.append(LostNumbers(position, top + 1, writes.first - 1))
        self._engine.evolve(writes)
        if self._is_own_sure:
            sure[OWN] = writes.first + len(writes.keys) - 1

    def _take_arrived(
        self, kind: int, payload: bytes, record: Arrived, sure: dict[int, int]
    ) -> str | None:
        """Take a batch as a node takes one from a peer: if it goes on from what is here."""
        replica, message = self._replica, record.message
        batch = message if isinstance(message, Batch) else message.batch
        tops = tops_of(batch)
        told = dict(batch.lives)
        for place, origin in enumerate(batch.origins):
            number = replica.origins.number(origin)
            lives = told.get(place) or begun(origin.incarnation)
            top = max(lives[-1].first, tops[place])
            parted = parting(replica.history(number), sure.get(number, 0), lives, top)
            if parted is None:
                continue
            if parted.after is None or not parted.is_ours:
                return f"the writes of {origin.node_id!r} in it do not go on from those before"
            self._split(Split(origin, parted.after, parted.life), sure)
        # What numbers stand for may have changed.
        record = decode_record(kind, payload, replica.origins)  # type: ignore[assignment]  # an Arrived again
        firsts = firsts_of(batch)
        for place, origin in enumerate(batch.origins):
            number = replica.origins.number(origin)
            so_far, first = sure.get(number, 0), firsts.get(place, U64_MAX)
            if is_told(replica.history(number), so_far, told.get(place), first):
                sure[number] = max(tops[place], so_far)
        self._engine.evolve(record)
        return None

    def _split(self, record: Split, sure: dict[int, int]) -> None:
        """Give a branch its name, here too."""
        origins = self._replica.origins
        name = Origin(record.origin.node_id, record.life)
        number, known = origins.number(record.origin), origins.known(name)
        up_to = sure.pop(number, 0)
        so_far = 0 if known is None else sure.pop(known, 0)
        self._engine.evolve(record)
        sure[origins.number(record.origin)] = min(up_to, record.after)
        sure[origins.number(name)] = max(up_to - record.after, so_far)

    # In a checkpoint that lacks a part.

    def _keep_what_stands(self) -> None:
        """Believe no more of what a checkpoint says to be had than the rows of entries.

        All entries come before any row, but for those of the writes that stand.
        """
        replica = self._replica
        for number, log in list(replica.logs.items()):
            kept = replica.logs[number] = OriginLog()
            for n, key in log.rows():
                if key in replica.entries:
                    kept.add(n, key)
        for key, state in replica.entries.items():
            self._add_rows(key, state)

    def _take_part(self, position: int, record: Record, sure: dict[int, int]) -> None:
        replica = self._replica
        match record:
            case History(origin, have, _, lives, named):
                # A position is what parts name an origin by, and histories come first.
                self._meet(position - 2)
                number = replica.origins.number(origin)
                replica.lives[number] = list(lives)
                sure[number] = max(have.top, named)
            case Entries(keys, siblings, states):
                found: list[State] = [*siblings, *states]
                for key, state in zip(keys, found, strict=True):
                    self._meet(max(origins_of(state), default=0))
                    replica.replace([(key, state)])
                    self._add_rows(key, state)
            case Rows(origin, numbers, keys):
                self._meet(origin)
                for n, key in zip(numbers, keys, strict=True):
                    replica.logs[origin].add(n, key)
            case Totals(clock, last_remote, _):
                replica.clock, replica.last_remote = clock, last_remote
            case Lost():
                self._meet(max(record.loser[0], record.winner[0]))
                replica.lost.append(record)
            case _:
                raise AssertionError("no part of a checkpoint")

    def _meet(self, number: int) -> None:
        """Let a number stand for an origin whose history is missing, if it stands for none."""
        origins = self._replica.origins
        while len(origins) <= number:
            origins.number(Origin(self._replica.node_id, self._draw()))

    def _add_rows(self, key: str, state: State) -> None:
        for origin, n, *_ in siblings_of(state):
            self._replica.logs[origin].add(n, key)


def origins_of(state: Sibling | KeyState) -> set[int]:
    """Give the origins that a state names, by number."""
    named = {s[0] for s in siblings_of(state)}
    return named | state.context.keys() if isinstance(state, KeyState) else named


def is_told(known: Sequence[Life], sure: int, told: Sequence[Life] | None, first: int) -> bool:
    """Whether all lives of an origin are known, up to what a batch brings, with what it tells.

    Args:
        known: its history here.
        sure: up to which number that was certain before.
        told: the lives behind what the receiver of the batch had, or the last one; None: there are
            no others than the first.
        first: the first number that the batch claims; its receiver had none from there on.
    """
    if not told or any(life in known and life.first <= sure for life in told):
        return True
    return min(told[0].first, first) <= sure + 1


def firsts_of(batch: Batch) -> dict[int, int]:
    """Give the first number of each origin, by position, that a batch claims."""
    firsts: dict[int, int] = {}
    for position, first, _ in batch.claims:
        firsts[position] = min(first, firsts.get(position, first))
    return firsts

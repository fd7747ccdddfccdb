"""Choosing what a peer lacks, as one batch: claims, and the current state of the key of each.

A batch carries states, not writes: a backlog of a million writes to one key is one entry. It
claims superseded writes together with the state that superseded them, so that what a peer
holds is complete wherever the link dies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.index import OriginLog
from softadastra.store.replica import Arrivals, Claim, Replica
from softadastra.store.siblings import KeyState, Sibling, State, siblings_of
from softadastra.sync.messages import Batch
from softadastra.sync.wire import BATCH_ENTRIES_MAX, CLAIMED_MAX

__all__ = ["Limits", "Load", "batch_of", "build_batch", "covered", "entry_size", "missing"]

ENTRY_OVERHEAD_BYTES = 32
"""More than numbers, stamp, version and headers of an entry take."""


class Limits(NamedTuple):
    """How much goes into one batch: what is reached first; at least one entry."""

    entries: int
    size_bytes: int


class Load(NamedTuple):
    """A batch, and the writes (by origin number) that its receiver then has."""

    batch: Batch
    covers: list[tuple[int, Range]]
    writes: int


def missing(log: OriginLog, sent: DotSet, last: int | None) -> Iterator[Range]:
    """Give the ranges of an origin that are here and neither there nor on their way.

    Args:
        log: what this node has.
        sent: what the peer has, and what is on its way to it.
        last: the last write that may be sent; None: all may.
    """
    if log.base > sent.base or log.beyond:
        for first, final in subtract(subtract(log.ranges(), log.collected), sent):
            final = final if last is None else min(final, last)
            if first <= final:
                yield first, final


class Loader:
    """Fills one batch."""

    def __init__(self, replica: Replica, limits: Limits, withheld: Callable[[str], bool]) -> None:
        self.replica = replica
        self.limits = limits
        self.withheld = withheld
        self.rows: dict[str, int] = {}
        self.size_bytes = 0
        self.claimed = 0
        self.covers: list[tuple[int, Range]] = []
        self.claims: list[tuple[int, int, list[str]]] = []

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes in."""
        return (
            len(self.rows) >= min(self.limits.entries, BATCH_ENTRIES_MAX)
            or self.size_bytes >= self.limits.size_bytes
            or self.claimed >= CLAIMED_MAX
        )

    def load(self, origin: int, first: int, last: int) -> None:
        """Claim the writes from first to last, as far as they fit."""
        log = self.replica.logs[origin]
        entries = self.replica.entries
        start = first
        keys: list[str] = []
        for n in range(first, min(last, first + CLAIMED_MAX - self.claimed - 1) + 1):
            key = log.key(n)
            assert key is not None, "what is collected is not claimed"
            if self.withheld(key):
                self._claim(origin, start, keys)
                start, keys = n + 1, []
                continue
            if key not in self.rows:
                size = entry_size(key, entries[key])
                if self.rows and (self.is_full or self.size_bytes + size > self.limits.size_bytes):
                    break
                self.rows[key] = len(self.rows)
                self.size_bytes += size
            keys.append(key)
        self._claim(origin, start, keys)

    def _claim(self, origin: int, first: int, keys: list[str]) -> None:
        if keys:
            self.claims.append((origin, first, keys))
            self.claimed += len(keys)
            self.covers.append((origin, (first, first + len(keys) - 1)))

    def batch(self, batch_id: int) -> Load | None:
        """Give what was loaded; None when that is nothing."""
        if not self.rows:
            return None
        batch = batch_of(self.replica, self.rows, self.claims, batch_id)
        # Its receiver adds the dots of the siblings as well as the claimed ones.
        claimed_dots: dict[int, DotSet] = {}
        for origin, (first, last) in self.covers:
            claimed_dots.setdefault(origin, DotSet()).add(first, last)
        for key in self.rows:
            for origin, n, *_ in siblings_of(self.replica.entries[key]):
                if n not in claimed_dots.get(origin, NONE):
                    self.covers.append((origin, (n, n)))
        return Load(batch, self.covers, self.claimed)


NONE = DotSet()


def covered(arrivals: Arrivals) -> dict[int, DotSet]:
    """Give the writes that a batch brings, by origin number: claimed, and of its siblings."""
    dots: dict[int, DotSet] = {}
    for origin, first, runs in arrivals.claims:
        count = sum(run[0] for run in runs)
        dots.setdefault(origin, DotSet()).add(first, first + count - 1)
    for state in arrivals.states:
        for sibling in state.siblings:
            dots.setdefault(sibling[0], DotSet()).add(sibling[1], sibling[1])
    for sibling in arrivals.siblings:
        have = dots.setdefault(sibling[0], DotSet())
        if sibling[1] not in have:
            have.add(sibling[1], sibling[1])
    return dots


def batch_of(
    replica: Replica,
    chosen: Iterable[str],
    claims: Iterable[tuple[int, int, list[str]]],
    batch_id: int,
) -> Batch:
    """Put the current states of keys, and claims that belong to them, into a message.

    Args:
        replica: what this node holds.
        chosen: the keys.
        claims: (origin number, first write, key of each write from there).
        batch_id: of this session, rising.
    """
    simple: list[str] = []
    siblings: list[Sibling] = []
    keys_of_states: list[str] = []
    states: list[KeyState] = []
    for key in chosen:
        state = replica.entries[key]
        if isinstance(state, KeyState):
            keys_of_states.append(key)
            states.append(state)
        else:
            simple.append(key)
            siblings.append(state)
    keys = simple + keys_of_states
    position = {key: i for i, key in enumerate(keys)}
    numbers: dict[int, int] = {}

    def wire(origin: int) -> int:
        return numbers.setdefault(origin, len(numbers))

    columns = [list(column) for column in zip(*siblings, strict=True)] or [[]] * 6
    for origin in dict.fromkeys(columns[0]):
        wire(origin)
    wire_claims = [
        Claim(wire(origin), first, runs(map(position.__getitem__, claimed)))
        for origin, first, claimed in claims
    ]
    wire_states = [
        KeyState(
            tuple((wire(s[0]), *s[1:]) for s in state.siblings),
            {wire(o): n for o, n in state.context.items()},
        )
        for state in states
    ]
    ours, ns, stamps, versions, values, flags = columns
    return Batch(
        id=batch_id,
        origins=[replica.origins[origin] for origin in numbers],
        claims=wire_claims,
        keys=keys,
        columns=([numbers[o] for o in ours], ns, stamps, versions, values, flags),
        states=wire_states,
    )


def entry_size(key: str, state: State) -> int:
    """Give about how many bytes an entry takes in a message."""
    return len(key) + sum(len(s[4]) + ENTRY_OVERHEAD_BYTES for s in siblings_of(state))


def runs(positions: Iterable[int]) -> list[tuple[int, int, int]]:
    """Fold the entry positions of consecutive writes into (count, position, stride) runs."""
    folded: list[tuple[int, int, int]] = []
    count = start = stride = 0
    for position in positions:
        if count == 1 and position in (start, start + 1):
            stride = position - start
            count = 2
        elif count and position == start + count * stride and count > 1:
            count += 1
        else:
            if count:
                folded.append((count, start, stride))
            count, start, stride = 1, position, 1
    if count:
        folded.append((count, start, stride))
    return folded


def build_batch(
    replica: Replica,
    wanted: Iterable[tuple[int, Range]],
    *,
    batch_id: int,
    limits: Limits,
    withheld: Callable[[str], bool],
) -> Load | None:
    """Put as much of the wanted writes into one batch as fits.

    Args:
        replica: what this node holds.
        wanted: (origin number, range) of writes that the peer lacks.
        batch_id: of this session, rising.
        limits: how much fits.
        withheld: whether a key's state may not leave yet (`auto_queue=False`).

    Returns:
        The batch; None when nothing is wanted, or all of it is withheld.
    """
    loader = Loader(replica, limits, withheld)
    for origin, (first, last) in wanted:
        loader.load(origin, first, last)
        if loader.is_full:
            break
    return loader.batch(batch_id)

"""Choosing what a peer lacks, as one batch: claims, and the current state of the key of each.

A batch carries states, not writes: a backlog of a million writes to one key is one entry. It
claims superseded writes together with the state that superseded them, so that what a peer
holds is complete wherever the link dies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple, Protocol

from softadastra.store.changes import Arrivals, Claim
from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.index import OriginLog
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, Sibling, State, context_of, siblings_of
from softadastra.sync.histories import lives_behind
from softadastra.sync.messages import Batch
from softadastra.sync.wire import BATCH_ENTRIES_MAX, CLAIMED_MAX

__all__ = ["Limits", "Load", "batch_of", "build_batch", "covered", "entry_size", "missing"]

ENTRY_OVERHEAD_BYTES = 44
"""At least what numbers, stamp, version, flags and headers of a sibling take."""
ORIGIN_OVERHEAD_BYTES = 12
CONTEXT_BYTES = 12
CLAIM_BYTES = 18
RUN_BYTES = 9
"""At least what they take, with the largest numbers that can be in them."""


class Limits(NamedTuple):
    """How much goes into one batch: what is reached first; at least one entry."""

    entries: int
    size_bytes: int


class Load(NamedTuple):
    """A batch, and the writes (by origin number) that its receiver then has."""

    batch: Batch
    covers: list[tuple[int, Range]]
    writes: int


class Receiver(Protocol):
    """What a batch supposes to be known to its receiver, as `session.Session` does."""

    number_told: int
    """Which number had what it was told last."""
    known: defaultdict[int, DotSet]
    """What it has, by origin number."""


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
    """Fills one batch, and stops before any limit that its reader holds it to."""

    def __init__(self, replica: Replica, limits: Limits, withheld: Callable[[str], bool]) -> None:
        self.replica = replica
        self.limits = limits
        self.withheld = withheld
        self.rows: dict[str, int] = {}
        self.size_bytes = 0
        self.claimed = 0
        self.runs = 0
        """No fewer than the runs that the claims fold into."""
        self.covers: list[tuple[int, Range]] = []
        self.claims: list[tuple[int, int, list[str]]] = []
        self._named: set[int] = set()

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes in."""
        return (
            len(self.rows) >= min(self.limits.entries, BATCH_ENTRIES_MAX)
            or self.size_bytes >= self.limits.size_bytes
            or self.claimed >= CLAIMED_MAX
            or self.runs >= BATCH_ENTRIES_MAX
            or len(self.claims) >= BATCH_ENTRIES_MAX
        )

    def load(self, origin: int, first: int, last: int) -> None:
        """Claim the writes from first to last, as far as they fit."""
        log = self.replica.logs[origin]
        start, previous = first, ""
        keys: list[str] = []
        self._name(origin)
        for n in range(first, min(last, first + CLAIMED_MAX - self.claimed - 1) + 1):
            key = log.key(n)
            assert key is not None, "what is collected is not claimed"
            if self.withheld(key):
                self._claim(origin, start, keys)
                start, keys = n + 1, []
                continue
            if key != previous:
                if self.rows and self.is_full:
                    break
                if key not in self.rows and not self._enter(key):
                    break
                self.runs += 1
                self.size_bytes += RUN_BYTES
                previous = key
            keys.append(key)
        self._claim(origin, start, keys)

    def _enter(self, key: str) -> bool:
        """Take in a key's state, if it fits; the first one always does."""
        state = self.replica.entries[key]
        size = entry_size(key, state)
        if self.rows and self.size_bytes + size > self.limits.size_bytes:
            return False
        self.rows[key] = len(self.rows)
        self.size_bytes += size
        for sibling in siblings_of(state):
            self._name(sibling[0])
        for origin in context_of(state):
            self._name(origin)
        return True

    def _name(self, origin: int) -> None:
        if origin not in self._named:
            self._named.add(origin)
            node_id = self.replica.origins[origin].node_id
            self.size_bytes += len(node_id.encode()) + ORIGIN_OVERHEAD_BYTES

    def _claim(self, origin: int, first: int, keys: list[str]) -> None:
        if keys:
            self.claims.append((origin, first, keys))
            self.size_bytes += CLAIM_BYTES
            self.claimed += len(keys)
            self.covers.append((origin, (first, first + len(keys) - 1)))

    def batch(self, batch_id: int, receiver: Receiver) -> Load | None:
        """Give what was loaded; None when that is nothing."""
        if not self.rows:
            return None
        batch = batch_of(self.replica, self.rows, self.claims, batch_id, receiver)
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
    receiver: Receiver,
) -> Batch:
    """Put the current states of keys, and claims that belong to them, into a message.

    Args:
        replica: what this node holds.
        chosen: the keys.
        claims: (origin number, first write, key of each write from there).
        batch_id: of this session, rising.
        receiver: what it knows.
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
        told=receiver.number_told,
        origins=[replica.origins[origin] for origin in numbers],
        lives=lives_behind(replica, numbers, receiver.known),
        claims=wire_claims,
        keys=keys,
        columns=([numbers[o] for o in ours], ns, stamps, versions, values, flags),
        states=wire_states,
    )


def entry_size(key: str, state: State) -> int:
    """Give about how many bytes an entry takes in a message."""
    size = len(key) if key.isascii() else len(key.encode())
    size += CONTEXT_BYTES * len(context_of(state))
    return size + sum(len(s[4]) + ENTRY_OVERHEAD_BYTES for s in siblings_of(state))


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


def single(
    replica: Replica,
    origin: int,
    writes: Range,
    batch_id: int,
    receiver: Receiver,
    withheld: Callable[[str], bool],
) -> Load | None:
    """Put one write into a batch, as nearly always right behind a put: in a third of the time.

    Returns:
        What `Loader` gives for it; None when there are more writes, or others in its key's state.
    """
    n, last = writes
    if n != last:
        return None
    key = replica.logs[origin].key(n)
    assert key is not None, "what is collected is not claimed"
    state = replica.entries[key]
    if type(state) is not tuple or state[1] != n or state[0] != origin or withheld(key):
        return None
    _, _, stamp, version, packed, flags = state
    batch = Batch(
        id=batch_id,
        told=receiver.number_told,
        origins=[replica.origins[origin]],
        lives=lives_behind(replica, {origin: 0}, receiver.known) if replica.lives else [],
        claims=[Claim(0, n, [(1, 0, 1)])],
        keys=[key],
        columns=([0], [n], [stamp], [version], [packed], [flags]),
        states=[],
    )
    return Load(batch, [(origin, writes)], 1)


def build_batch(
    replica: Replica,
    wanted: Iterable[tuple[int, Range]],
    *,
    batch_id: int,
    receiver: Receiver,
    limits: Limits,
    withheld: Callable[[str], bool],
) -> Load | None:
    """Put as much of the wanted writes into one batch as fits.

    Args:
        replica: what this node holds.
        wanted: (origin number, range) of writes that the peer lacks.
        batch_id: of this session, rising.
        receiver: what it knows.
        limits: how much fits.
        withheld: whether a key's state may not leave yet (`auto_queue=False`).

    Returns:
        The batch; None when nothing is wanted, or all of it is withheld.
    """
    rest = iter(wanted)
    begun = list(islice(rest, 2))
    if len(begun) == 1 and (load := single(replica, *begun[0], batch_id, receiver, withheld)):
        return load
    loader = Loader(replica, limits, withheld)
    for origin, (first, last) in chain(begun, rest):
        loader.load(origin, first, last)
        if loader.is_full:
            break
    return loader.batch(batch_id, receiver)

"""Choosing what a peer lacks, as one batch: claims, and the current state of the key of each.

A batch carries states, not writes: a backlog of a million writes to one key is one entry. It
claims superseded writes together with the state that superseded them, so that what a peer
holds is complete wherever the link dies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Final, NamedTuple, Protocol, cast

from softadastra.store.changes import Arrivals, Claim
from softadastra.store.digest import values_size
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
PART_WRITES = 256
"""Of writes that are loaded together. A key of several siblings has those of its part loaded one by
one."""


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


def missing(log: OriginLog, sent: DotSet, last: int | None) -> list[Range]:
    """Give the ranges of an origin that are here and neither there nor on their way.

    Args:
        log: what this node has.
        sent: what the peer has, and what is on its way to it.
        last: the last write that may be sent; None: all may.
    """
    base, collected = log.base, log.collected
    if not (log.beyond or collected.above or sent.above):  # nearly always
        first, final = max(collected.base, sent.base) + 1, base if last is None else min(base, last)
        return [(first, final)] if first <= final else []
    ranges = subtract(subtract(log.ranges(), collected), sent)
    if last is None:
        return list(ranges)
    return [(first, min(final, last)) for first, final in ranges if first <= last]


class Loader:
    """Fills one batch, and stops before any limit that its reader holds it to."""

    def __init__(
        self, replica: Replica, limits: Limits, withheld: Callable[[str], bool] | None
    ) -> None:
        self.replica = replica
        self.limits = limits
        self.withheld = withheld
        self.rows: dict[str, State] = {}
        self.size_bytes = 0
        self.claimed = 0
        self.runs = 0
        """No fewer than the runs that the claims fold into."""
        self.covers: list[tuple[int, Range]] = []
        self.claims: list[tuple[int, int, list[str]]] = []
        self._named: set[int] = set()
        self._previous = ""
        """The key of the write that was claimed last: another one of it is in no other run."""

    @property
    def room(self) -> int:
        """How many entries more go in, as far as their number is what limits."""
        return min(self.limits.entries, BATCH_ENTRIES_MAX) - len(self.rows)

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes in."""
        return (
            self.room <= 0
            or self.size_bytes >= self.limits.size_bytes
            or self.claimed >= CLAIMED_MAX
            or self.runs >= BATCH_ENTRIES_MAX
            or len(self.claims) >= BATCH_ENTRIES_MAX
        )

    def load(self, origin: int, first: int, last: int) -> None:
        """Claim the writes from first to last, as far as they fit."""
        self._name(origin)
        self._previous = ""
        log, n = self.replica.logs[origin], first
        end = min(last, first + CLAIMED_MAX - self.claimed - 1)
        while n <= end:
            part = log.keys(n, min(n + PART_WRITES - 1, end))
            fresh = part[: self.room]
            if self._enter_usual(fresh):
                self._claim(origin, n, fresh)
                n += len(fresh)
            elif self._load_each(origin, n, part):
                n += len(part)
            else:
                break

    def _enter_usual(self, keys: list[str]) -> bool:
        """Take in keys by columns, if each is new here and has one sibling, and all of them fit.

        In a quarter of the instructions that it takes one by one: a backlog costs its sender a
        third of the time.
        """
        if not keys or self.withheld is not None or len(set(keys)) < len(keys):
            return False
        states = list(map(self.replica.entries.__getitem__, keys))
        if KeyState in set(map(type, states)) or not self.rows.keys().isdisjoint(keys):
            return False
        siblings = cast("list[Sibling]", states)
        text = "".join(keys)
        size = len(text) if text.isascii() else len(text.encode())
        size += values_size(siblings) + len(keys) * (ENTRY_OVERHEAD_BYTES + RUN_BYTES)
        if self.size_bytes + size > self.limits.size_bytes:
            return False
        if self.runs + len(keys) > BATCH_ENTRIES_MAX:
            return False
        self.rows.update(zip(keys, states, strict=True))
        self.size_bytes += size
        self.runs += len(keys)
        self._previous = keys[-1]
        for origin in {sibling[0] for sibling in siblings}:
            self._name(origin)
        return True

    def _load_each(self, origin: int, first: int, keys: list[str]) -> bool:
        """Claim the writes of these keys one by one; give whether all fit."""
        start = first
        claimed: list[str] = []
        for n, key in enumerate(keys, first):
            if self.withheld is not None and self.withheld(key):
                self._claim(origin, start, claimed)
                start, claimed = n + 1, []
                continue
            if key != self._previous:
                is_full = bool(self.rows) and self.is_full
                if is_full or (key not in self.rows and not self._enter(key)):
                    self._claim(origin, start, claimed)
                    return False
                self.runs += 1
                self.size_bytes += RUN_BYTES
                self._previous = key
            claimed.append(key)
        self._claim(origin, start, claimed)
        return True

    def _enter(self, key: str) -> bool:
        """Take in a key's state, if it fits; the first one always does."""
        state = self.replica.entries[key]
        size = entry_size(key, state)
        if self.rows and self.size_bytes + size > self.limits.size_bytes:
            return False
        self.rows[key] = state
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
        """Claim writes from `first` on, together with those before it."""
        if not keys:
            return
        self.claimed += len(keys)
        last = first + len(keys) - 1
        if self.covers and (before := self.covers[-1])[0] == origin and before[1][1] == first - 1:
            self.claims[-1][2].extend(keys)
            self.covers[-1] = (origin, (before[1][0], last))
        else:
            self.claims.append((origin, first, keys))
            self.covers.append((origin, (first, last)))
            self.size_bytes += CLAIM_BYTES

    def batch(self, batch_id: int, receiver: Receiver) -> Load | None:
        """Give what was loaded; None when that is nothing."""
        if not self.rows:
            return None
        batch = batch_of(self.replica, self.rows, self.claims, batch_id, receiver)
        # Its receiver adds the dots of the siblings as well as the claimed ones.
        origin, (first, last) = self.covers[0]
        others = [
            sibling[:2]
            for state in self.rows.values()
            for sibling in ((state,) if type(state) is tuple else siblings_of(state))
            if sibling[0] != origin or not first <= sibling[1] <= last
        ]
        claimed_dots: dict[int, DotSet] = {}
        for origin, claimed in self.covers:
            claimed_dots.setdefault(origin, DotSet()).add(*claimed)
        self.covers += [(o, (n, n)) for o, n in others if n not in claimed_dots.get(o, NONE)]
        return Load(batch, self.covers, self.claimed)


NONE: Final = DotSet()


def covered(arrivals: Arrivals) -> dict[int, DotSet]:
    """Give the writes that a batch brings, by origin number: claimed, and of its siblings."""
    dots: dict[int, DotSet] = {}
    for claim in arrivals.claims:
        dots.setdefault(claim.origin, DotSet()).add(claim.first, claim.last)
    for state in arrivals.states:
        for sibling in state.siblings:
            dots.setdefault(sibling[0], DotSet()).add(sibling[1], sibling[1])
    siblings = arrivals.siblings
    if arrivals.claims:
        # Nearly all are those that it claims first.
        claim = arrivals.claims[0]
        origin, first, last = claim.origin, claim.first, claim.last
        siblings = [s for s in siblings if s[0] != origin or not first <= s[1] <= last]
    for sibling in siblings:
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
    keys, siblings, states = parted(replica, list(chosen))
    position = dict(zip(keys, range(len(keys)), strict=True))
    numbers: dict[int, int] = {}

    def wire(origin: int) -> int:
        return numbers.setdefault(origin, len(numbers))

    # Not by zip: it makes an iterator for each, and so many new objects have the interpreter look
    # through all that are there, in a store of 300,000 keys for 30 ms.
    ours = [s[0] for s in siblings]
    for origin in dict.fromkeys(ours):
        wire(origin)
    wire_claims = [
        Claim(wire(origin), first, folded(claimed, keys, position))
        for origin, first, claimed in claims
    ]
    wire_states = [
        KeyState(
            tuple((wire(s[0]), *s[1:]) for s in state.siblings),
            {wire(o): n for o, n in state.context.items()},
        )
        for state in states
    ]
    columns = (
        list(map(numbers.__getitem__, ours)),
        [s[1] for s in siblings],
        [s[2] for s in siblings],
        [s[3] for s in siblings],
        [s[4] for s in siblings],
        [s[5] for s in siblings],
    )
    return Batch(
        id=batch_id,
        told=receiver.number_told,
        origins=[replica.origins[origin] for origin in numbers],
        lives=lives_behind(replica, numbers, receiver.known),
        claims=wire_claims,
        keys=keys,
        columns=columns,
        states=wire_states,
    )


def parted(replica: Replica, keys: list[str]) -> tuple[list[str], list[Sibling], list[KeyState]]:
    """Give the keys, those of one sibling without a context first, and both kinds of states."""
    held = list(map(replica.entries.__getitem__, keys))
    if KeyState not in set(map(type, held)):
        return keys, cast("list[Sibling]", held), []
    siblings = {key: s for key, s in zip(keys, held, strict=True) if not isinstance(s, KeyState)}
    states = {key: s for key, s in zip(keys, held, strict=True) if isinstance(s, KeyState)}
    return [*siblings, *states], list(siblings.values()), list(states.values())


def entry_size(key: str, state: State) -> int:
    """Give about how many bytes an entry takes in a message."""
    size = len(key) if key.isascii() else len(key.encode())
    size += CONTEXT_BYTES * len(context_of(state))
    return size + sum(len(s[4]) + ENTRY_OVERHEAD_BYTES for s in siblings_of(state))


def folded(
    claimed: list[str], keys: list[str], position: Mapping[str, int]
) -> list[tuple[int, int, int]]:
    """Give the runs of consecutive writes of these keys."""
    start = position[claimed[0]]
    if keys[start : start + len(claimed)] == claimed:
        return [(len(claimed), start, 1)]
    return runs(map(position.__getitem__, claimed))


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
    withheld: Callable[[str], bool] | None,
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
    if type(state) is not tuple or state[1] != n or state[0] != origin:
        return None
    if withheld is not None and withheld(key):
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
    withheld: Callable[[str], bool] | None,
) -> Load | None:
    """Put as much of the wanted writes into one batch as fits.

    Args:
        replica: what this node holds.
        wanted: (origin number, range) of writes that the peer lacks.
        batch_id: of this session, rising.
        receiver: what it knows.
        limits: how much fits.
        withheld: whether a key's state may not leave yet (`auto_queue=False`); None: all may.

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

"""One node's copy of the replicated state: entries, index and digest, changed only by records.

Every change comes as a value (`Writes`, `Arrivals`) that is durable before it is given to
`evolve_*`; recovery is the same calls over the log. Reading is safe from any thread: an entry
is one immutable object, replaced in one step. Changing is for one thread at a time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from xxhash import xxh3_128_intdigest

from softadastra.store.dots import DotSet, Range, subtract
from softadastra.store.index import OriginLog
from softadastra.store.keys import OrderedKeys
from softadastra.store.origins import Origin, Origins
from softadastra.store.policies import LAST_WRITE_WINS, Policies
from softadastra.store.siblings import (
    RESOLUTION,
    TOMBSTONE,
    KeyState,
    Sibling,
    State,
    context_of,
    merge,
    order,
    siblings_of,
    simplest,
)

__all__ = [
    "OWN",
    "Arrivals",
    "Claim",
    "Collected",
    "Committed",
    "Lost",
    "Merged",
    "Replica",
    "Visitor",
    "Writes",
]

OWN = 0
"""The number of this node's own origin: the first that a replica meets."""

MASK_64 = 2**64 - 1
MASK_128 = 2**128 - 1


class Writes(NamedTuple):
    """This node's next writes, decided and not yet done. One record in the log.

    A named tuple, not a dataclass: it is made at each put (2x faster).
    """

    first: int
    """The number of the first write; the others follow without a gap."""
    clock: int
    """The local clock after them."""
    keys: list[str]
    states: list[State]
    """What each write makes of its key; a later one of the same key replaces it."""


class Claim(NamedTuple):
    """Consecutive writes of one origin that a batch brings, by the position of their entry.

    Each run is (count, position, stride): stride 1 for writes of consecutive entries, 0 for
    writes of one and the same entry.
    """

    origin: int
    first: int
    runs: list[tuple[int, int, int]]


class Arrivals(NamedTuple):
    """A peer's batch, with origins by our numbers."""

    claims: list[Claim]
    keys: list[str]
    """The keys of `siblings`, then those of `states`, each once."""
    siblings: list[Sibling]
    """Entries with one sibling and no context: nearly all."""
    states: list[KeyState]


class Lost(NamedTuple):
    """A write that did not know of another one, and lost to it."""

    key: str
    loser: Sibling
    winner: Sibling


class Merged(NamedTuple):
    """What a batch changed."""

    keys: list[str]
    """Whose entries changed here."""
    lost: list[Lost]


class Collected(NamedTuple):
    """Index rows that nobody will ask for, and tombstones that go with theirs."""

    ranges: dict[int, list[Range]]
    keys: list[str]


Visitor: TypeAlias = tuple[str, int, int]
"""A sibling of a key: (key, origin number, n)."""


class Committed(NamedTuple):
    """The end of a snapshot: what its sender had, and which of our siblings are obsolete."""

    have: dict[int, DotSet]
    drops: list[Visitor]


LOST_MAX = 1_000
"""How many lost writes are kept to be looked at: a bound for memory, not a promise to anyone."""


def fingerprint(key: str, sibling: Sibling) -> int:
    """Give what one live sibling adds to the digest: a hash of key, version and value.

    XXH3 is not cryptographic: members are trusted with the data. 0.2 us; BLAKE2b takes 0.6.
    """
    # The length keeps apart what the bytes alone do not: where the key ends.
    seed = (sibling[3] << 16 | len(key)) & MASK_64
    return xxh3_128_intdigest(key.encode() + sibling[4], seed)


class Replica:
    """The entries of all keys, with the index of all writes that made them.

    Args:
        node_id: this node.
        incarnation: of this node's log.
        policies: what happens to concurrent writes.
    """

    __slots__ = (
        "_digest",
        "_live",
        "_ordered",
        "clock",
        "conflicted",
        "entries",
        "last_remote",
        "logs",
        "lost",
        "me",
        "node_id",
        "origins",
        "policies",
        "rank",
        "tombstones",
    )

    def __init__(
        self, node_id: str, incarnation: int, policies: Policies = LAST_WRITE_WINS
    ) -> None:
        self.node_id = node_id
        self.policies = policies
        self.origins = Origins()
        self.me = self.origins.number(Origin(node_id, incarnation))
        assert self.me == OWN
        self.entries: dict[str, State] = {}
        self.logs: defaultdict[int, OriginLog] = defaultdict(OriginLog)
        self.logs[self.me] = OriginLog()
        self.clock = 0
        """The last stamp given out here, or a later one that was seen."""
        self.last_remote = 0
        """The number, at its origin, of the last write taken from a peer."""
        self.conflicted: dict[str, None] = {}
        """The keys that have several siblings."""
        self.tombstones: dict[str, None] = {}
        """The keys that hold nothing but a remove."""
        self.lost: deque[Lost] = deque(maxlen=LOST_MAX)
        """The latest writes that lost a conflict under last_write_wins."""
        self._digest = 0
        self._live = 0
        self._ordered = OrderedKeys()
        self.rank = order(self.origins)
        """The total order of siblings."""

    @property
    def top(self) -> int:
        """The number of this node's last write."""
        return self.logs[self.me].base

    def __len__(self) -> int:
        return self._live

    @property
    def digest(self) -> bytes:
        """16 bytes, equal on two nodes exactly when their live keys, values and versions are.

        The sum of the siblings' fingerprints: kept up with each write, whatever their order.
        """
        return self._digest.to_bytes(16, "big")

    def value(self, key: str) -> bytes | None:
        """Give the packed value of a key, None when it is absent or removed."""
        sibling = self.sibling(key)
        return sibling[4] if sibling else None

    def sibling(self, key: str) -> Sibling | None:
        """Give the sibling that stands for a key, None when it is absent or removed."""
        state = self.entries.get(key)
        if state is None:
            return None
        if not isinstance(state, KeyState):
            return state if state[4] else None
        live = [s for s in siblings_of(state) if s[4]]
        return max(live, key=self.rank) if live else None

    def page(self, *, prefix: str, after: str | None, limit: int) -> list[str]:
        """Give up to `limit` keys in order, removed ones included, that come after `after`."""
        return self._ordered.page(self.entries, prefix=prefix, after=after, limit=limit)

    def keys_between(self, after: str | None, last: str) -> list[str]:
        """Give the keys behind `after` up to `last`, removed ones included."""
        return self._ordered.between(self.entries, after=after, last=last)

    def dots_of(self, arrivals: Arrivals) -> set[Visitor]:
        """Give all siblings of a batch."""
        found = zip(arrivals.keys, arrivals.siblings, strict=False)
        dots = {(key, s[0], s[1]) for key, s in found}
        for key, state in zip(
            arrivals.keys[len(arrivals.siblings) :], arrivals.states, strict=True
        ):
            dots.update((key, s[0], s[1]) for s in state.siblings)
        return dots

    def visitors(self, arrivals: Arrivals) -> list[Visitor]:
        """Give the siblings of a batch that this node has not had."""
        return [dot for dot in self.dots_of(arrivals) if not self._had(dot[1], dot[2])]

    def evolve_writes(self, writes: Writes) -> None:
        """Do this node's own writes. They are durable."""
        _, clock, keys, states = writes
        self._replace(zip(keys, states, strict=True))
        if self.lost:
            self._settle(zip(keys, states, strict=True))
        self.logs[self.me].extend(writes.first, keys)
        self.clock = max(self.clock, clock)

    def evolve_arrivals(self, arrivals: Arrivals) -> Merged:
        """Merge a peer's batch. It is durable."""
        keys, logs, entries = arrivals.keys, self.logs, self.entries
        conflicts: list[Lost] = []
        vanished: list[str] = []
        merged: list[tuple[str, State]] = []
        for key, theirs in zip(keys, arrivals.siblings, strict=False):
            ours = entries.get(key)
            origin, n = theirs[0], theirs[1]
            if ours is None or (not isinstance(ours, KeyState) and ours[0] == origin):
                # The usual cases of `merge`: a new key, or the next write of its one writer.
                if n not in logs[origin] and (ours is None or n > ours[1]):
                    merged.append((key, theirs))
            else:
                self._merge(key, ours, theirs, merged, conflicts, vanished)
        for key, state in zip(keys[len(arrivals.siblings) :], arrivals.states, strict=True):
            self._merge(key, entries.get(key), state, merged, conflicts, vanished)
        self._replace(merged)
        self.lost += conflicts
        for claim in arrivals.claims:
            self._claim(claim, keys)
        # What is claimed for a key that is collected here has no state to be sent with.
        self._vanish([key for key in keys if key not in entries])
        # Without the dots of what it was sent a node would hold writes that it can never
        # pass on, and the loss of one node would split the rest for good.
        for key, sibling in zip(keys, arrivals.siblings, strict=False):
            log = logs[sibling[0]]
            if sibling[1] > log.base:
                log.add(sibling[1], key)
        for key, state in zip(keys[len(arrivals.siblings) :], arrivals.states, strict=True):
            for sibling in state.siblings:
                logs[sibling[0]].add(sibling[1], key)
        self._vanish(vanished)
        return Merged([key for key, _ in merged], conflicts)

    def evolve_collected(self, collected: Collected) -> None:
        """Let go rows, and the entries of tombstones.

        A tombstone that was written over since this was decided stays.
        """
        for number, ranges in collected.ranges.items():
            for first, last in ranges:
                self.logs[number].collect(first, last)
        gone = [
            key
            for key in collected.keys
            if key in self.tombstones
            and all(s[1] in self.logs[s[0]].collected for s in siblings_of(self.entries[key]))
        ]
        for key in gone:
            del self.entries[key]
            del self.tombstones[key]
        self._ordered.discard(gone)

    def evolve_committed(self, committed: Committed) -> None:
        """End a snapshot: what it showed to be obsolete goes, what its sender had is had."""
        dropped: dict[str, set[tuple[int, int]]] = {}
        for key, origin, n in committed.drops:
            dropped.setdefault(key, set()).add((origin, n))
        changed: list[tuple[str, State]] = []
        vanished: list[str] = []
        for key, dots in dropped.items():
            state = self.entries.get(key)
            kept = tuple(s for s in siblings_of(state) if s[:2] not in dots)
            if kept:
                changed.append((key, simplest(kept, context_of(state))))
            else:
                vanished.append(key)
        self._replace(changed)
        self._vanish(vanished)
        for number, had in committed.have.items():
            log = self.logs[number]
            ours = DotSet(log.base, log.ranges_beyond())
            for first, last in list(subtract(had.ranges(), ours)):
                log.collect(first, last)

    def _vanish(self, keys: list[str]) -> None:
        """Remove entries that have no sibling left, with their rows.

        No write is ever claimed for a key without a state.
        """
        if not keys:
            return
        held = [key for key in keys if key in self.entries]
        # As a tombstone an entry leaves the digest and the counts; then it leaves.
        self._replace((key, (OWN, 0, 0, 0, TOMBSTONE, 0)) for key in held)
        for key in held:
            del self.entries[key]
            del self.tombstones[key]
        self._ordered.discard(held)
        gone = set(keys)
        for log in self.logs.values():
            for n in [n for n, key in log.rows() if key in gone]:
                log.collect(n, n)

    def _merge(
        self,
        key: str,
        ours: State | None,
        theirs: State,
        merged: list[tuple[str, State]],
        conflicts: list[Lost],
        vanished: list[str],
    ) -> None:
        state, losers = merge(
            ours,
            theirs,
            had=self._had,
            rank=self.rank,
            keeps_siblings=self.policies.keeps_siblings(key),
        )
        conflicts += (Lost(key, loser, siblings_of(state)[0]) for loser in losers)
        if state is None:
            if ours is not None:
                vanished.append(key)
        elif state != ours:
            merged.append((key, state))

    def _had(self, origin: int, n: int) -> bool:
        # Looking adds no origin: their order is what batches follow, and visitors come in any.
        log = self.logs.get(origin)
        return log is not None and n in log

    def _claim(self, claim: Claim, keys: list[str]) -> None:
        log = self.logs[claim.origin]
        n = claim.first
        for count, position, stride in claim.runs:
            run = keys[position : position + count] if stride else [keys[position]] * count
            log.extend(n, run)
            n += count
        self.last_remote = n - 1

    def _settle(self, states: Iterable[tuple[str, State]]) -> None:
        """Strike off what a resolution has settled."""
        settled = {
            key for key, state in states if any(s[5] & RESOLUTION for s in siblings_of(state))
        }
        if settled:
            kept = [lost for lost in self.lost if lost.key not in settled]
            self.lost.clear()
            self.lost += kept

    def _replace(self, states: Iterable[tuple[str, State]]) -> None:
        """Give keys new states. All changes, and recovery, come through this loop."""
        entries, digest, live = self.entries, self._digest, self._live
        for key, new in states:
            old = entries.get(key)
            if old is None:
                self._ordered.add(key)
            elif not isinstance(old, KeyState):
                if old[4]:
                    digest -= fingerprint(key, old)
                    live -= 1
                else:
                    self.tombstones.pop(key, None)
            else:
                part, count = self._weigh(key, old.siblings)
                digest -= part
                live -= count
                self.conflicted.pop(key, None)
                self.tombstones.pop(key, None)
            if not isinstance(new, KeyState):
                if new[4]:
                    digest += fingerprint(key, new)
                    live += 1
                else:
                    self.tombstones[key] = None
            else:
                part, count = self._weigh(key, new.siblings)
                digest += part
                live += count
                if len(new.siblings) > 1:
                    self.conflicted[key] = None
                elif not count:
                    self.tombstones[key] = None
            entries[key] = new
        self._digest = digest & MASK_128
        self._live = live

    def _weigh(self, key: str, siblings: tuple[Sibling, ...]) -> tuple[int, int]:
        """Give what a key adds to the digest, and to the number of keys."""
        parts = [fingerprint(key, sibling) for sibling in siblings if sibling[4]]
        return sum(parts), bool(parts)

    def haves(self) -> Iterator[tuple[int, OriginLog]]:
        """Give every origin, by number, of which this node has a write."""
        return ((number, log) for number, log in self.logs.items() if log.base or log.beyond)

"""One node's copy of the replicated state: entries, index and digest, changed only by records.

Every change comes as a value (`Writes`, `Arrivals`) that is durable before it is given to
`evolve_*`; recovery is the same calls over the log. Reading is safe from any thread: an entry
is one immutable object, replaced in one step. Changing is for one thread at a time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import cast

from softadastra.store.changes import (
    OWN,
    Arrivals,
    Claim,
    Collected,
    Committed,
    Lost,
    Merged,
    OwnWrites,
    Replacement,
    Visitor,
    Write,
)
from softadastra.store.digest import MASK_128, fingerprint, values_size, weigh
from softadastra.store.dots import DotSet, subtract
from softadastra.store.histories import Histories
from softadastra.store.keys import OrderedKeys
from softadastra.store.origins import Origin
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
    shown,
    siblings_of,
    simplest,
    standing,
    widened,
)
from softadastra.store.table import Table

__all__ = ["Replica"]

NOTHING = DotSet()

LOST_MAX = 1_000
"""How many lost writes are kept to be looked at: a bound for memory, not a promise to anyone."""


class Replica(Histories):
    """The entries of all keys, with the index of all writes that made them.

    Args:
        node_id: this node.
        incarnation: of this node's log.
        policies: what happens to concurrent writes.
    """

    __slots__ = (
        "_digest",
        "_live",
        "_size_bytes",
        "clock",
        "conflicted",
        "entries",
        "kept",
        "last_remote",
        "lost",
        "observed",
        "ordered",
        "policies",
        "rank",
        "tombstones",
    )

    def __init__(
        self, node_id: str, incarnation: int, policies: Policies = LAST_WRITE_WINS
    ) -> None:
        super().__init__(Origin(node_id, incarnation))
        self.policies = policies
        self.entries = Table()
        self.clock = 0
        """The last stamp given out here, or a later one that was seen."""
        self.last_remote = 0
        """The highest number, at its origin, of a write taken from a peer."""
        self.conflicted: dict[str, None] = {}
        """The keys of which several siblings count, and not all are removes."""
        self.tombstones: dict[str, None] = {}
        """The keys of which nothing but removes counts."""
        self.lost: deque[Lost] = deque(maxlen=LOST_MAX)
        """The latest writes that lost a conflict under last_write_wins."""
        self.kept: dict[str, State | None] | None = None
        """While a checkpoint is made: of the keys that have changed since it was begun, what they
        held then."""
        self.observed: list[Replacement] | None = None
        """What records have replaced, while somebody observes it: he takes it after each one."""
        self.ordered = OrderedKeys()
        """The keys as they came; and in order, as far as anybody has asked."""
        self._digest = 0
        self._live = 0
        self._size_bytes = 0
        self.rank = order(self.origins)
        """The total order of siblings."""

    def __len__(self) -> int:
        return self._live

    @property
    def size_bytes(self) -> int:
        """How large all keys and values are: characters of keys, bytes of packed values."""
        return self._size_bytes

    @property
    def digest_sum(self) -> int:
        """The digest as the number that it is."""
        return self._digest

    @property
    def digest(self) -> bytes:
        """16 bytes, equal on two nodes exactly when their live keys, values and versions are.

        The sum of the fingerprints of live keys' siblings: kept up with each write, in any order.
        """
        return self._digest.to_bytes(16, "big")

    def value(self, key: str) -> bytes | None:
        """Give the packed value of a key, None when it is absent or removed."""
        sibling = self.sibling(key)
        return sibling[4] if sibling else None

    def sibling(self, key: str) -> Sibling | None:
        """Give the sibling that stands for a key, None when it is absent or removed."""
        state = self.entries.get(key)
        if type(state) is tuple:  # nearly always
            return state if state[4] else None
        return standing(state)

    def page(self, *, prefix: str, after: str | None, limit: int) -> list[str]:
        """Give up to `limit` keys in order, removed ones included, that come after `after`."""
        return self.ordered.page(self.entries, prefix=prefix, after=after, limit=limit)

    def keys_between(self, after: str | None, last: str) -> list[str]:
        """Give the keys behind `after` up to `last`, removed ones included."""
        return self.ordered.between(self.entries, after=after, last=last)

    def visitors(self, arrivals: Arrivals) -> list[Visitor]:
        """Give the siblings of a batch that this node has not had."""
        return [dot for dot in arrivals.dots() if not self.has(dot[1], dot[2])]

    def evolve_writes(self, writes: OwnWrites) -> None:
        """Do this node's own writes. They are durable."""
        if isinstance(writes, Write):
            clock, key, sibling = writes
            self.logs[OWN].follow(sibling[1], key)
            self.replace(((key, sibling),))
        else:
            first, clock, keys, states = writes
            self.logs[OWN].extend(first, keys)
            if not self._enter(keys, states):
                self.replace(zip(keys, states, strict=True))
        if self.lost:
            self._settle(zip(writes.keys, writes.states, strict=True))
        if clock > self.clock:
            self.clock = clock

    def evolve_arrivals(self, arrivals: Arrivals, outlived: Iterable[Visitor] = ()) -> Merged:
        """Merge a peer's batch. It is durable.

        Args:
            arrivals: its content.
            outlived: siblings that it supersedes without saying so.
        """
        self.learn_lives(arrivals.lives, arrivals.top_of)
        if self.observed is None and self._begin(arrivals):
            return Merged(arrivals.keys, [], [])
        contexts: dict[str, dict[int, int]] = defaultdict(dict)
        for key, origin, n in outlived:
            contexts[key][origin] = max(n, contexts[key].get(origin, 0))
        keys, logs, entries = arrivals.keys, self.logs, self.entries
        conflicts: list[Lost] = []
        vanished: list[str] = []
        merged: list[tuple[str, State]] = []
        suspects: list[tuple[str, Sibling]] = []
        for key, theirs in zip(keys, arrivals.siblings, strict=False):
            ours = entries.get(key)
            origin, n = theirs[0], theirs[1]
            if ours is None or (not isinstance(ours, KeyState) and ours[0] == origin):
                # The usual cases of `merge`: a new key, or the next write of its one writer.
                if n in logs[origin]:
                    suspects.append((key, theirs))
                elif ours is None or n > ours[1]:
                    merged.append((key, theirs))
            else:
                wide = widened(theirs, contexts.get(key))
                suspects += ((key, s) for s in (theirs,) if self.has(s[0], s[1]))
                self._merge(key, ours, wide, merged, conflicts, vanished)
        for key, state in zip(keys[len(arrivals.siblings) :], arrivals.states, strict=True):
            suspects += ((key, s) for s in state.siblings if self.has(s[0], s[1]))
            wide = widened(state, contexts.get(key))
            self._merge(key, entries.get(key), wide, merged, conflicts, vanished)
            for origin, n in state.context.items():
                if n > self.named.get(origin, 0):
                    self.named[origin] = n
        self.replace(merged)
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
        return Merged([key for key, _ in merged], conflicts, suspects)

    def _begin(self, arrivals: Arrivals) -> bool:
        """Merge a batch that is all new, as nearly all of a first sync are.

        It claims the next writes of one origin, each the first one of its key.

        Returns:
            False when it is anything else; then nothing has changed.
        """
        claims, keys, siblings, states, _ = arrivals
        if states or len(claims) != 1 or claims[0].runs != [(len(keys), 0, 1)]:
            return False
        origin, first, _ = claims[0]
        numbers = [sibling[1] for sibling in siblings if sibling[0] == origin]
        if first <= self.top_of(origin) or numbers != list(range(first, first + len(keys))):
            return False
        if not self._enter(keys, siblings):
            return False
        self.logs[origin].extend(first, keys)
        self.last_remote = max(self.last_remote, numbers[-1])
        return True

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
        self._leave(gone)

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
        self.replace(changed)
        self._vanish(vanished)
        self.learn_lives(committed.lives, committed.top_of)
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
        self.replace((key, (OWN, 0, 0, 0, TOMBSTONE, 0)) for key in held)
        self._leave(held)
        gone = set(keys)
        for log in self.logs.values():
            for n in [n for n, key in log.rows() if key in gone]:
                log.collect(n, n)

    def _leave(self, keys: list[str]) -> None:
        """Let go the entries of tombstones."""
        for key in keys:
            if self.kept is not None:
                self.kept.setdefault(key, self.entries[key])
            self._size_bytes -= len(key) + values_size(siblings_of(self.entries.pop(key)))
            del self.tombstones[key]
            self.ordered.left(key)

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
            had=self.has,
            rank=self.rank,
            policy=self.policies.of(key),
        )
        conflicts += (Lost(key, *pair) for pair in losers if pair[0][4] != pair[1][4])
        if state is None:
            if ours is not None:
                vanished.append(key)
        elif state != ours:
            merged.append((key, state))

    def _claim(self, claim: Claim, keys: list[str]) -> None:
        log = self.logs[claim.origin]
        n = claim.first
        for count, position, stride in claim.runs:
            run = keys[position : position + count] if stride else [keys[position]] * count
            log.extend(n, run)
            n += count
        self.last_remote = max(self.last_remote, n - 1)

    def _settle(self, states: Iterable[tuple[str, State]]) -> None:
        """Strike off what a resolution has settled."""
        settled = {
            key for key, state in states if any(s[5] & RESOLUTION for s in siblings_of(state))
        }
        if settled:
            kept = [lost for lost in self.lost if lost.key not in settled]
            self.lost.clear()
            self.lost += kept

    def replace(self, states: Iterable[tuple[str, State]]) -> None:
        """Give keys new states. All changes come through this loop, but those of `_enter`."""
        entries, digest, live = self.entries, self._digest, self._live
        size, observed, kept = self._size_bytes, self.observed, self.kept
        for key, new in states:
            old = entries.get(key)
            if observed is not None:
                observed.append((key, old, new))
            if kept is not None:
                kept.setdefault(key, old)
            if old is None:
                self.ordered.came(key)
                size += len(key)
            elif not isinstance(old, KeyState):
                size -= len(old[4])
                if old[4]:
                    digest -= fingerprint(key, old)
                    live -= 1
                else:
                    self.tombstones.pop(key, None)
            else:
                part, count = weigh(key, old.siblings)
                digest -= part
                live -= count
                size -= values_size(old.siblings)
                self.conflicted.pop(key, None)
                self.tombstones.pop(key, None)
            if not isinstance(new, KeyState):
                size += len(new[4])
                if new[4]:
                    digest += fingerprint(key, new)
                    live += 1
                else:
                    self.tombstones[key] = None
            else:
                part, count = weigh(key, new.siblings)
                digest += part
                live += count
                size += values_size(new.siblings)
                if not count:
                    self.tombstones[key] = None
                elif len(shown(new.siblings)) > 1:
                    self.conflicted[key] = None
            entries[key] = new
        self._digest = digest & MASK_128
        self._live = live
        self._size_bytes = size

    def _enter(self, keys: list[str], states: Sequence[State]) -> bool:
        """Do `replace` for new keys of one value each, by columns.

        With `_begin` an entry of a backlog costs its receiver two thirds of the time.

        Returns:
            False when they are anything else, or somebody observes, or a checkpoint is made; then
            nothing has changed.
        """
        if (
            self.observed is not None
            or self.kept is not None
            or KeyState in set(map(type, states))
            or not self.entries.keys().isdisjoint(keys)
            or len(set(keys)) < len(keys)
        ):
            return False
        siblings = cast("Sequence[Sibling]", states)
        if TOMBSTONE in [sibling[4] for sibling in siblings]:
            return False
        self.ordered.came_all(keys)
        self._digest = (self._digest + sum(map(fingerprint, keys, siblings))) & MASK_128
        self._live += len(keys)
        self._size_bytes += sum(map(len, keys)) + values_size(siblings)
        self.entries.update(zip(keys, siblings, strict=True))
        return True

    def restore(self, keys: list[str], siblings: list[Sibling], states: list[KeyState]) -> None:
        """Take in keys of a checkpoint; what they add to the digest comes at its end."""
        self.entries.update(zip(keys, siblings, strict=False))
        self.ordered.came_all(keys[: len(siblings)])
        removed = [key for key, s in zip(keys, siblings, strict=False) if not s[4]]
        self.tombstones.update(dict.fromkeys(removed))
        self._live += len(siblings) - len(removed)
        self._size_bytes += sum(map(len, keys[: len(siblings)])) + values_size(siblings)
        self.replace(zip(keys[len(siblings) :], states, strict=True))

    def restore_totals(self, *, clock: int, last_remote: int, digest: int) -> None:
        """End a checkpoint."""
        self.clock, self.last_remote, self._digest = clock, last_remote, digest

    def end_checkpoint(self) -> None:
        """Let go what is kept for a checkpoint; when there is none, that is no error."""
        self.kept = None

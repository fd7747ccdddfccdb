"""One node's copy of the replicated state: entries, index and digest, changed only by records.

Every change comes as a value (`Writes`, `Arrivals`) that is durable before it is given to
`evolve_*`; recovery is the same calls over the log. Reading is safe from any thread: an entry
is one immutable object, replaced in one step. Changing is for one thread at a time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

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
from softadastra.store.index import OriginLog
from softadastra.store.keys import OrderedKeys
from softadastra.store.lives import Life, history, joined
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
    shown,
    siblings_of,
    simplest,
    standing,
    widened,
)

__all__ = ["Replica"]

NOTHING = DotSet()

LOST_MAX = 1_000
"""How many lost writes are kept to be looked at: a bound for memory, not a promise to anyone."""


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
        "_size_bytes",
        "clock",
        "conflicted",
        "entries",
        "last_remote",
        "lives",
        "logs",
        "lost",
        "me",
        "named",
        "node_id",
        "observed",
        "ordered",
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
        self.lives: dict[int, list[Life]] = {}
        """The lives of each origin, by number, but for the one that its incarnation names."""
        self.named: dict[int, int] = {}
        """The highest number of each origin, by number, that came in a context."""
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
        self.observed: list[Replacement] | None = None
        """What records have replaced, while somebody observes it: he takes it after each one."""
        self.ordered = OrderedKeys()
        """The keys in order, as far as anybody has asked."""
        self._digest = 0
        self._live = 0
        self._size_bytes = 0
        self.rank = order(self.origins)
        """The total order of siblings."""

    @property
    def top(self) -> int:
        """The number of this node's last write."""
        return self.logs[self.me].base

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

    def evolve_writes(self, writes: OwnWrites) -> None:
        """Do this node's own writes. They are durable."""
        states: Collection[tuple[str, State]]
        if isinstance(writes, Write):
            clock, key, sibling = writes
            states = ((key, sibling),)
            self.logs[OWN].follow(sibling[1], key)
        else:
            first, clock, keys, made = writes
            states = list(zip(keys, made, strict=True))
            self.logs[OWN].extend(first, keys)
        self.replace(states)
        if self.lost:
            self._settle(states)
        if clock > self.clock:
            self.clock = clock

    def evolve_arrivals(self, arrivals: Arrivals, outlived: Iterable[Visitor] = ()) -> Merged:
        """Merge a peer's batch. It is durable.

        Args:
            arrivals: its content.
            outlived: siblings that it supersedes without saying so.
        """
        contexts: dict[str, dict[int, int]] = defaultdict(dict)
        for key, origin, n in outlived:
            contexts[key][origin] = max(n, contexts[key].get(origin, 0))
        self.learn_lives(arrivals.lives)
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
                suspects += ((key, s) for s in (theirs,) if self._had(s[0], s[1]))
                self._merge(key, ours, wide, merged, conflicts, vanished)
        for key, state in zip(keys[len(arrivals.siblings) :], arrivals.states, strict=True):
            suspects += ((key, s) for s in state.siblings if self._had(s[0], s[1]))
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
        self.learn_lives(committed.lives)
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
            self._size_bytes -= len(key) + values_size(siblings_of(self.entries.pop(key)))
            del self.tombstones[key]
            self.ordered.note(key)

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
        winner = siblings_of(state)[:1]
        conflicts += (Lost(key, loser, winner[0]) for loser in losers if loser[4] != winner[0][4])
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
        """Give keys new states. All changes, and recovery, come through this loop."""
        entries, digest, live = self.entries, self._digest, self._live
        size, observed = self._size_bytes, self.observed
        for key, new in states:
            old = entries.get(key)
            if observed is not None:
                observed.append((key, old, new))
            if old is None:
                self.ordered.note(key)
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

    def restore(self, keys: list[str], siblings: list[Sibling], states: list[KeyState]) -> None:
        """Take in keys of a checkpoint; what they add to the digest comes at its end."""
        self.entries.update(zip(keys, siblings, strict=False))
        removed = [key for key, s in zip(keys, siblings, strict=False) if not s[4]]
        self.tombstones.update(dict.fromkeys(removed))
        self._live += len(siblings) - len(removed)
        self._size_bytes += sum(map(len, keys[: len(siblings)])) + values_size(siblings)
        self.replace(zip(keys[len(siblings) :], states, strict=True))

    def restore_totals(self, *, clock: int, last_remote: int, digest: int) -> None:
        """End a checkpoint."""
        self.clock, self.last_remote, self._digest = clock, last_remote, digest

    def history(self, number: int) -> list[Life]:
        """Give the beginning and all lives of an origin."""
        return history(self.origins[number].incarnation, self.lives.get(number, ()))

    def top_of(self, number: int) -> int:
        """Give the highest number that is here of an origin, 0 when none is."""
        # Looking adds no origin: their order is what batches follow.
        log = self.logs.get(number)
        return 0 if log is None else log.top

    def reach(self, number: int) -> int:
        """Give up to which number the history of an origin is known, 0 when none of it is.

        Also a number that is only known to be superseded was given out.
        """
        return max(self.top_of(number), self.named.get(number, 0))

    def learn_lives(self, told: Mapping[int, Sequence[Life]]) -> None:
        """Take in lives of origins, by number."""
        for number, lives in told.items():
            known = self.lives.get(number, ())
            more = joined(self.origins[number].incarnation, known, lives)
            if more != known:  # nearly every batch tells of the last life
                self.lives[number] = more

    def haves(self) -> Iterator[tuple[int, OriginLog]]:
        """Give every origin, by number, of which this node has a write."""
        return ((number, log) for number, log in self.logs.items() if log.base or log.beyond)

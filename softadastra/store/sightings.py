"""What a reader of changes is told: which keys show another value, and since when.

Two ways lead to the same end. A reader that keeps up is told of every change as it becomes visible
(`Observer`). One that resumes, or fell behind, is told the newest value of each key that changed
since, by what the index has and its position lacks (`unseen`): as a peer is, by batches.

A change is another value that `get` gives, of another write. A write that loses a conflict is none,
nor is a tombstone that is collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from softadastra.errors import PositionLostError
from softadastra.store.changes import OWN, Replacement
from softadastra.store.dots import DotSet, subtract
from softadastra.store.origins import Origin
from softadastra.store.positions import NONE_LEARNED, Dot, Had, Moment, Vector, vector_of
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, siblings_of, standing

__all__ = ["Observer", "Sighting", "Unseen", "present", "unseen"]

NOTHING: Final = DotSet()

ENTRY_BYTES: Final = 256
"""About what a sighting takes beside key and value: its tuples, and its share of a vector."""


class Sighting(NamedTuple):
    """A key shows another value. One object each, as many may wait to be told."""

    key: str
    sibling: Sibling
    """The write that stands for it, or the greatest tombstone."""
    vector: Vector
    told: Sequence[Sequence[Dot]] | None = None
    """See `Moment`; None: an own write, and the place is right behind it."""
    last: int = 0
    unexplained: Moment | None = None
    """The place before it, where no new write explains it."""
    is_between: bool = False
    """Whether it has no place of its own, as another one follows that no write explains."""

    @property
    def moment(self) -> Moment:
        """Where the reader is when he was told of it."""
        if self.is_between and self.unexplained is not None:
            return self.unexplained
        if self.told is None:
            return Moment(self.vector, self.sibling[1])
        return Moment(self.vector, None, self.told, self.last)

    @property
    def before(self) -> Moment:
        """The place before it."""
        if self.unexplained is not None:
            return self.unexplained
        if self.told is None:
            return Moment(self.vector, self.sibling[1] - 1)
        return Moment(self.vector, None, self.told, self.last - 1)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return len(self.key) + len(self.sibling[4]) + ENTRY_BYTES


class Observer:
    """Finds what each record has made visible. From its making on, until `stop`.

    Args:
        replica: what is observed; nobody else observes it.
    """

    __slots__ = ("_replica", "_vector", "replaced")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.replaced: list[Replacement] = []
        """What the last record has replaced."""
        replica.observed = self.replaced
        self._vector = vector_of(replica)

    def stop(self) -> None:
        """Observe no more."""
        self._replica.observed = None

    def now(self) -> Moment:
        """Give the place behind all that is visible."""
        return self._behind(self._vector)

    def _behind(self, vector: Vector) -> Moment:
        replica = self._replica
        is_mine = replica.origins[OWN] == vector.me
        return Moment(vector, replica.top if is_mine else None)

    def own(self, key: str, sibling: Sibling) -> Sighting:
        """Give what an own write has made visible: all that its writer has seen it supersedes."""
        return Sighting(key, sibling, self._vector)

    def others(self) -> tuple[list[Sighting], bool]:
        """Give what another record has made visible, and whether the index tells all of it.

        What no new write explains comes first, as where a snapshot showed a key to be obsolete: a
        reader cannot find it again from a place between.
        """
        observed = self.replaced.copy()
        self.replaced.clear()
        had = self._vector
        self._vector = vector_of(self._replica, had)
        changed = shown_anew(observed)
        if not changed:
            return [], True
        told = [self._fresh(key, had) for key, _ in changed]
        if len(changed) == 1 and told[0]:  # nearly always, when few write
            return [Sighting(*changed[0], self._vector, told)], True
        order = sorted(range(len(changed)), key=lambda i: bool(told[i]))
        fresh = [told[i] for i in order]
        hidden = sum(not dots for dots in fresh)
        before = self._behind(had)
        sightings = [
            Sighting(
                *changed[i],
                self._vector,
                fresh,
                index,
                unexplained=before if index < hidden else None,
                is_between=index < hidden - 1,
            )
            for index, i in enumerate(order)
        ]
        return sightings, not hidden

    def _fresh(self, key: str, had: Vector) -> list[Dot]:
        """Give the writes of a key that were not here before."""
        origins = self._replica.origins
        fresh: list[Dot] = []
        for number, n, *_ in siblings_of(self._replica.entries.get(key)):
            origin = origins[number]
            known = had.had.get(origin)
            if n and (known is None or n not in known.dots):
                fresh.append((origin, n))
        return fresh


def shown_anew(observed: Iterable[Replacement]) -> list[tuple[str, Sibling]]:
    """Give the keys that show another value, with the write that stands for each."""
    changes: dict[str, tuple[Sibling | None, Sibling]] = {}
    for key, old, new in observed:
        was = changes[key][0] if key in changes else standing(old)
        changes[key] = (was, standing(new) or siblings_of(new)[-1])
    return [
        (key, now)
        for key, (was, now) in changes.items()
        # By stamp, version and value: a history that gets another name shows nothing new.
        if (now[4] if was is None else was[2:5] != now[2:5])
    ]


class Unseen(NamedTuple):
    """Some of what a reader was not told of yet."""

    sightings: list[Sighting]
    place: Moment
    """Behind them, and behind what there was to pass over."""
    is_all: bool
    """Whether there is no more at this moment."""


def unseen(
    replica: Replica,
    seen: dict[Origin, DotSet],
    *,
    prefix: str,
    rows_max: int,
    bytes_max: int,
) -> Unseen:
    """Give the keys that changed since a place, as they are now; a key once, however often it did.

    Args:
        replica: what this node has.
        seen: the writes that the reader was told of; grows by what is given.
        prefix: what the keys that he wants begin with.
        rows_max: how many writes are looked at.
        bytes_max: at about this size it ends.

    Raises:
        PositionLostError: some of these writes are collected, so that nobody knows their keys.
    """
    found: list[tuple[str, Sibling]] = []
    told: list[list[Dot]] = []
    rows = size = 0
    is_all = True
    check_kept(replica, seen)
    for number, n in missing(replica, seen):
        if rows == rows_max or size >= bytes_max:
            is_all = False
            break
        dots = seen[replica.origins[number]]
        if n in dots:
            continue
        rows += 1
        key = replica.logs[number].key(n)
        assert key is not None, "what is collected was told of"
        siblings = siblings_of(replica.entries[key])
        if all((s[0], s[1]) != (number, n) for s in siblings):
            # Superseded: what has superseded it comes at its own place, or was told.
            dots.add(n, n)
            continue
        names = [(replica.origins[s[0]], s[1]) for s in siblings]
        fresh = [(origin, m) for origin, m in names if m not in seen.get(origin, NOTHING)]
        for origin, m in fresh:
            seen.setdefault(origin, DotSet()).add(m, m)
        if key.startswith(prefix):
            sibling = replica.sibling(key) or siblings[-1]
            found.append((key, sibling))
            told.append(fresh)
            size += len(key) + len(sibling[4]) + ENTRY_BYTES
    vector = vector_seen(replica, seen)
    sightings = [
        Sighting(key, sibling, vector, told, index) for index, (key, sibling) in enumerate(found)
    ]
    return Unseen(sightings, Moment(vector), is_all)


def check_kept(replica: Replica, seen: Mapping[Origin, DotSet]) -> None:
    """Raise PositionLostError when a write is collected that the reader was not told of."""
    for number, log in replica.haves():
        told = seen.get(replica.origins[number], NOTHING)
        if any(True for _ in subtract(log.collected.ranges(), told)):
            raise PositionLostError(
                "what has changed since the position is not kept any more: every peer has it, so "
                "it was collected; watch from 'beginning', and keep nothing that is not told then",
                node_id=replica.origins[number].node_id,
            )


def missing(replica: Replica, seen: dict[Origin, DotSet]) -> Iterator[tuple[int, int]]:
    """Give the writes that are here and were not told of: origin number and n."""
    for number, log in replica.haves():
        dots = seen.setdefault(replica.origins[number], DotSet())
        for first, last in list(subtract(log.ranges(), dots)):
            for n in range(first, last + 1):
                yield number, n


def vector_seen(replica: Replica, seen: Mapping[Origin, DotSet]) -> Vector:
    """Give what a reader was told of, as a vector."""
    had = {
        origin: Had(dots.copy(), replica.history(number), replica.lives.get(number, NONE_LEARNED))
        for origin, dots in seen.items()
        if (number := replica.origins.known(origin)) is not None
    }
    return Vector(had, replica.origins[OWN])


def present(
    replica: Replica, *, prefix: str, after: str | None, keys_max: int, bytes_max: int
) -> tuple[list[tuple[str, Sibling]], str | None]:
    """Give the next keys that have a value, in order, and the last one that was looked at.

    Args:
        replica: what this node has.
        prefix: what they begin with.
        after: the last one that was looked at before; None: begin.
        keys_max: how many are looked at.
        bytes_max: at about this size it ends.
    """
    found: list[tuple[str, Sibling]] = []
    last = None
    size = 0
    for key in replica.page(prefix=prefix, after=after, limit=keys_max):
        if size >= bytes_max:
            break
        last = key
        sibling = replica.sibling(key)
        if sibling is not None:
            found.append((key, sibling))
            size += len(key) + len(sibling[4]) + ENTRY_BYTES
    return found, last

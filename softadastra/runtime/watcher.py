"""One reader of a node's changes, and what waits for it: bounded, and never waited for.

Whoever commits appends to the queue of each watcher, under the lock that he holds anyway. A queue
that is full takes nothing more. Its reader is told so when he comes to that place, and is given the
rest from what the node has (`store/sightings.py`). So a reader that never comes costs a bounded
amount of memory, and nobody's time.

A watcher is in one of three phases:

    PRESENT   it gives the keys that there are, page by page. What changes among those that were
              looked at is queued; what changes behind them will be seen there
    UNSEEN    it gives the newest value of what changed since its place, until nothing is left
    LIVE      it gives every change, from its queue
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from threading import Lock
from typing import Final, Protocol

from softadastra.errors import (
    InvalidArgumentError,
    PositionLostError,
    WatchOverflowError,
)
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.positions import Moment, had_at
from softadastra.store.replica import Replica
from softadastra.store.sightings import Sighting, present, unseen
from softadastra.types import BEGINNING, Located

__all__ = ["Beginning", "Limits", "Watched", "Watcher"]

PAGE_KEYS: Final = 512
"""Keys, or writes of the index, that are looked at under the lock at a time: 1 ms, about."""


class Limits:
    """How much waits for a reader at most.

    Args:
        changes: how many changes.
        size_bytes: how large they are. One change always fits.

    Raises:
        InvalidArgumentError: one of them is no whole number from 1 on.
    """

    __slots__ = ("changes", "size_bytes")

    def __init__(self, changes: int, size_bytes: int) -> None:
        for name, value in (("max_changes", changes), ("max_bytes", size_bytes)):
            if type(value) is not int or value < 1:
                raise InvalidArgumentError(
                    f"{name} is {value!r}, expected a whole number from 1 on", argument=name
                )
        self.changes = changes
        self.size_bytes = size_bytes


class Beginning:
    """The place of who has not been given all that there is."""

    __slots__ = ()

    @property
    def position(self) -> str:
        """The place as text."""
        return BEGINNING


class Watched(Protocol):
    """The node of a watcher."""

    replica: Replica
    lock: Lock
    is_over: bool
    """Whether it is closed, so that nothing more will become visible."""
    passed: Lock | None
    """A gate that the reader who was woken last opens when he has taken; None: nobody is to."""

    def now(self) -> Moment:
        """Give the place behind all that is visible. Holding the lock."""
        ...

    def remove(self, watcher: Watcher) -> None:
        """Let go a watcher. Holding the lock."""
        ...


class Phase(Enum):
    """What a watcher is giving."""

    PRESENT = "present"
    UNSEEN = "unseen"
    LIVE = "live"


class Watcher:
    """One reader of changes. Its methods are safe from any thread, the queue's side but under lock.

    Args:
        watched: the node.
        prefix: what the keys that it is told of begin with.
        limits: how much waits for its reader.
    """

    __slots__ = (
        "_back",
        "_bytes",
        "_is_full",
        "_limits",
        "_lost",
        "_owes_page",
        "_passed",
        "_phase",
        "_place",
        "_queue",
        "_scanned",
        "_seen",
        "_taken",
        "_taken_at",
        "_wake",
        "_watched",
        "is_abandoned",
        "is_closed",
        "is_queueing",
        "prefix",
    )

    def __init__(self, watched: Watched, prefix: str, limits: Limits) -> None:
        self.prefix = prefix
        self.is_closed = False
        """Whether nothing more is given."""
        self.is_queueing = True
        """Whether what becomes visible is to be queued."""
        self.is_abandoned = False
        """Whether nobody refers to its reader any more, so that it is to be let go."""
        self._watched = watched
        self._limits = limits
        self._phase = Phase.LIVE
        self._queue: list[Sighting] = []
        """What became visible and was not taken; oldest first."""
        self._bytes = 0
        """How large the queue is."""
        self._is_full = False
        """Whether something found no room; nothing is queued behind it."""
        self._taken: list[Sighting] = []
        """What the reader is being given, newest first: he takes it off the end without a lock."""
        self._taken_at: Located | None = None
        """The place of all that is taken; None: each has its own."""
        self._place: Located = Beginning()
        """Where the reader is: all before was given, nothing behind."""
        self._scanned: str | None = None
        """PRESENT: the last key that was looked at."""
        self._owes_page = False
        """PRESENT: whether the next page comes before what is queued, which may never end."""
        self._back: Moment | None = None
        """PRESENT: where to look for what found no room, when all pages are given. Until then
        nothing is queued."""
        self._seen: dict[Origin, DotSet] = {}
        """UNSEEN: what the reader was told of."""
        self._lost: PositionLostError | None = None
        self._wake: Callable[[], None] | None = None
        """Lets the reader look again; None: he does not wait."""
        self._passed: Lock | None = None
        """What he opens then, when he waits in a thread."""

    # The side of those who commit, under the lock.

    def begin(self, since: str | None) -> None:
        """Begin at a position; None: now."""
        if since is None:
            self._place = self._watched.now()
        elif since == BEGINNING:
            self._phase = Phase.PRESENT
        else:
            self._go_back(since)
            self._look_back()

    def _go_back(self, position: str) -> None:
        self._seen = had_at(self._watched.replica, position)
        self._phase = Phase.UNSEEN
        self.is_queueing = False

    def see(self, sighting: Sighting) -> None:
        """Queue a change of a key with the prefix, while it is queueing."""
        if self._phase is Phase.PRESENT and (self._scanned is None or sighting.key > self._scanned):
            return
        size = sighting.size_bytes
        limits = self._limits
        if not self._queue:
            if not self._taken and self._phase is Phase.LIVE:
                # All before was given, also what other keys brought.
                self._place = sighting.before
        elif len(self._queue) >= limits.changes or self._bytes + size > limits.size_bytes:
            self._is_full, self._back = True, sighting.before
            self.is_queueing = False
            return
        self._queue.append(sighting)
        self._bytes += size
        self.wake()

    def lose(self, error: PositionLostError) -> None:
        """Note that what was not told cannot be found again, for who looks for it, or will."""
        if self._phase is Phase.UNSEEN or self._back is not None:
            self._lost = error

    def wake(self) -> None:
        """Let the reader look again, if he waits."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()
            self._watched.passed = self._passed

    # The side of the reader.

    def take(self) -> tuple[Sighting, Located] | None:
        """Give the next change, and the place behind it; None: there is none now.

        Raises:
            WatchOverflowError: here some found no room. The next call reads on from here.
            PositionLostError: it cannot go on. It is closed.
        """
        while True:
            try:
                sighting = self._taken.pop()
            except IndexError:
                pass
            else:
                place = self._place = self._taken_at or sighting.moment
                return sighting, place
            with self._watched.lock:
                if self._taken:
                    continue
                # One page at a time, so that others get the lock in between.
                if self.is_closed or not self._advance():
                    return None

    def look(self) -> bool:
        """Look at one page, where nothing is taken; give whether `take` would look at another one.

        Raises as `take`.
        """
        with self._watched.lock:
            if self._taken or self._is_live or self.is_closed:
                return False
            self._advance()
            return not (self._taken or self._is_live)

    @property
    def _is_live(self) -> bool:
        return self._phase is Phase.LIVE

    def arm(self, wake: Callable[[], None], passed: Lock | None = None) -> bool:
        """Have something called, once, when there may be a change, or it is closed.

        Args:
            wake: what is called, under the lock.
            passed: a gate that the reader opens when he has taken; None: he is no thread.

        Returns:
            Whether it is worth waiting; False: take again.
        """
        with self._watched.lock:
            if self._taken or self._queue or self._is_full or self.is_closed:
                return False
            if self._phase is not Phase.LIVE or self.has_ended:
                return False
            self._wake, self._passed = wake, passed
            return True

    @property
    def is_armed(self) -> bool:
        """Whether what was armed was not called yet."""
        return self._wake is not None

    def disarm(self) -> None:
        """Nobody waits any more."""
        with self._watched.lock:
            self._wake = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become visible, as the node is closed."""
        return self._watched.is_over

    def place(self) -> Located:
        """Give where the reader is."""
        with self._watched.lock:
            if self._phase is Phase.LIVE and not (
                self._taken or self._queue or self._is_full or self.is_closed
            ):
                self._place = self._watched.now()
            return self._place

    def close(self) -> None:
        """Give nothing more, and let go what waits. Again is no error."""
        with self._watched.lock:
            self._watched.remove(self)

    def abandon(self) -> None:
        """Queue nothing more, for a reader that is gone.

        Without the lock: the garbage collector calls it, maybe in a thread that holds that.
        """
        self.is_abandoned = True
        self.is_queueing = False
        self._queue = []
        self._taken = []

    def drop(self) -> None:
        """Let go what waits, and the reader. Holding the lock."""
        if not self.is_closed:
            self.is_closed = True
            self._taken.clear()
            self._queue.clear()
            self.wake()

    def _advance(self) -> bool:
        """Look for what is to be given next; give whether to look again. Holding the lock."""
        try:
            return self._step()
        except PositionLostError:
            self._watched.remove(self)
            raise

    def _step(self) -> bool:
        if self._queue and not self._owes_page:
            self._take_queue()
            return True
        if self._is_full and not self._queue:
            self._fall_back()
        match self._phase:
            case Phase.PRESENT:
                self._look_at_page()
            case Phase.UNSEEN:
                self._look_back()
            case Phase.LIVE:
                return False
        return True

    def _take_queue(self) -> None:
        taken, self._queue, self._bytes = self._queue, [], 0
        self._owes_page = self._phase is Phase.PRESENT
        taken.reverse()
        self._give(taken)

    def _give(self, taken: list[Sighting]) -> None:
        # While pages are to come, who went on behind a change would miss them.
        self._taken_at = self._place if self._phase is Phase.PRESENT else None
        self._taken = taken

    def _fall_back(self) -> None:
        """Tell the reader that he fell behind, and go on from where he is."""
        self._is_full = False
        place = self._place
        if self._phase is Phase.LIVE:
            self._back = None
            self._go_back(place.position)
        raise WatchOverflowError(
            f"the reader of a watch of {self.prefix!r} fell behind: more than "
            f"{self._limits.changes} changes or {self._limits.size_bytes} bytes waited for it; "
            "read on for the newest values of what has changed since, or watch from its position",
            position=place.position,
            prefix=self.prefix,
        )

    def _look_at_page(self) -> None:
        self._owes_page = False
        found, last = present(
            self._watched.replica,
            prefix=self.prefix,
            after=self._scanned,
            keys_max=PAGE_KEYS,
            bytes_max=self._limits.size_bytes,
        )
        if last is not None:
            self._scanned = last
            vector = self._watched.now().vector
            self._give([Sighting(key, sibling, vector) for key, sibling in reversed(found)])
            return
        self._scanned = None
        if self._back is not None and not self._is_full:
            back, self._back = self._back, None
            self._go_back(back.position)
            return
        # What is queued became visible behind its page: from here on each has its own place.
        self._phase = Phase.LIVE
        if not self._queue:
            self._place = self._watched.now()

    def _look_back(self) -> None:
        if self._lost is not None:
            raise self._lost
        found = unseen(
            self._watched.replica,
            self._seen,
            prefix=self.prefix,
            rows_max=PAGE_KEYS,
            bytes_max=self._limits.size_bytes,
        )
        if found.is_all:
            self._phase, self._seen = Phase.LIVE, {}
            self.is_queueing = True
        if not found.sightings:
            self._place = found.place
        self._give(found.sightings[::-1])

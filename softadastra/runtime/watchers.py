"""All readers of a node's changes: who commits tells them what each record has made visible."""

from __future__ import annotations

from threading import Lock
from typing import Final

from softadastra.arguments import key_prefix
from softadastra.errors import InvalidStateError, PositionLostError
from softadastra.runtime.watcher import Limits, Watcher
from softadastra.store.changes import Write, Writes
from softadastra.store.positions import Moment
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling, siblings_of
from softadastra.store.sightings import Observer, Sighting
from softadastra.store.splitting import Split
from softadastra.sync.records import Record

__all__ = ["Watchers"]

PASS_MAX_SECONDS: Final = 0.0005
"""How long a reader is waited for: a thread takes 30 to 130 us to wake up. If it is not, it finds
the interpreter taken, sleeps again, and runs when the waker blocks, or at the interpreter's switch
interval, 5 ms: writes were visible 8 % later (measured on two busy cores). One that comes later
than this has no processor to run on."""


class Watchers:
    """All watchers of one node.

    Args:
        replica: the node's data.
        lock: protects it, and this.
    """

    def __init__(self, replica: Replica, lock: Lock) -> None:
        self.replica = replica
        self.lock = lock
        self.is_over = False
        """Whether the node is closed."""
        self.is_any = False
        """Whether anybody watches: then `evolved` is to be called."""
        self.passed: Lock | None = None
        """See `Watched`."""
        self._watchers: list[Watcher] = []
        self._observer: Observer | None = None

    def open(self, prefix: str, since: str | None, limits: Limits) -> Watcher:
        """Begin to watch. Not holding the lock.

        Raises:
            InvalidArgumentError: that is no prefix, or no position.
            PositionLostError: it cannot be gone on from.
            InvalidStateError: the node is closed.
        """
        watcher = Watcher(self, key_prefix(prefix), limits)
        with self.lock:
            if self.is_over:
                raise InvalidStateError("this client is not open: call open(), or use it in a with")
            self._watchers = [each for each in self._watchers if not each.is_abandoned]
            if self._observer is None:
                self._observer = Observer(self.replica)
                self.is_any = True
            try:
                watcher.begin(since)
                self._watchers.append(watcher)
            finally:
                self._rest()
        return watcher

    def now(self) -> Moment:
        """Give the place behind all that is visible. Holding the lock."""
        assert self._observer is not None, "who asks is watched"
        return self._observer.now()

    def evolved(self, record: Record) -> None:
        """Tell the watchers what a record has made visible. Holding the lock, after each record."""
        observer = self._observer
        assert observer is not None, "somebody watches"
        if type(record) is Write:
            self._see_own(observer, record.key, record.sibling)
            observer.replaced.clear()
        elif type(record) is Writes:
            for key, state in zip(record.keys, record.states, strict=True):
                self._see_own(observer, key, siblings_of(state)[0])
            observer.replaced.clear()
        else:
            self._see_others(observer, record)

    def _see_own(self, observer: Observer, key: str, sibling: Sibling) -> None:
        sighting: Sighting | None = None
        for watcher in self._watchers:
            if watcher.is_queueing and key.startswith(watcher.prefix):
                if sighting is None:
                    sighting = observer.own(key, sibling)
                watcher.see(sighting)

    def _see_others(self, observer: Observer, record: Record) -> None:
        sightings, is_indexed = observer.others()
        if isinstance(record, Split) or not is_indexed:
            # Writes have other names now, or a key changed without a new write.
            for watcher in self._watchers:
                watcher.lose(lost_meanwhile())
        for sighting in sightings:
            for watcher in self._watchers:
                if watcher.is_queueing and sighting.key.startswith(watcher.prefix):
                    watcher.see(sighting)

    def let_pass(self) -> None:
        """Let a reader that was woken take before the caller goes on. Not holding the lock."""
        passed, self.passed = self.passed, None
        if passed is not None:
            passed.acquire(timeout=PASS_MAX_SECONDS)

    def remove(self, watcher: Watcher) -> None:
        """Let go a watcher. Holding the lock."""
        watcher.drop()
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        self._rest()

    def _rest(self) -> None:
        if all(each.is_abandoned for each in self._watchers):
            self._watchers.clear()
        if not self._watchers and self._observer is not None:
            self._observer.stop()
            self._observer = None
            self.is_any = False

    def end(self) -> None:
        """The node is closed: what waits is still given, and then the watchers end."""
        with self.lock:
            self.is_over = True
            for watcher in self._watchers:
                watcher.wake()


def lost_meanwhile() -> PositionLostError:
    """Give the error for a reader who looks back while what he looks for goes."""
    return PositionLostError(
        "what has changed since the position cannot be found any more, as writes got other names, "
        "or a snapshot showed some to be obsolete: watch from 'beginning', and keep nothing that "
        "is not told then"
    )

"""A reader of a node's changes, for applications."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from threading import TIMEOUT_MAX
from types import TracebackType
from typing import Self

from softadastra.arguments import seconds
from softadastra.errors import InvalidStateError
from softadastra.runtime.waiting import closed_gate, open_gate
from softadastra.runtime.watcher import Watcher
from softadastra.store.clock import milliseconds
from softadastra.store.origins import Origins
from softadastra.store.siblings import Sibling
from softadastra.store.values import unpack_value
from softadastra.types import Change, Located

__all__ = ["Told", "Watch"]


class Told:
    """What reads a watcher, whether it waits in a thread or in an event loop.

    Args:
        watcher: what it reads.
        origins: those of its node.
        check: raises where it must not be used, as in a forked child.
    """

    def __init__(self, watcher: Watcher, origins: Origins, check: Callable[[], None]) -> None:
        self._watcher = watcher
        self._origins = origins
        self._check = check

    def __del__(self) -> None:
        self._watcher.abandon()

    def _take(self) -> tuple[Change | None, bool]:
        """Give the next change, None when there is none now; and whether none will come."""
        self._check()
        # Asked before: what comes between the two is given too.
        is_last = self._watcher.is_closed or self._watcher.has_ended
        taken = self._watcher.take()
        if taken is None:
            return None, is_last
        sighting, place = taken
        return change_of(sighting.key, sighting.sibling, place, self._origins), False

    @property
    def position(self) -> str:
        """Where to go on: `watch(since=...)`, also after a restart.

        Behind the last change that was given; when nothing waits, behind all that is visible, also
        of other keys. It is younger then than that of the last change, and is kept for longer. Of a
        watch from "beginning" it is "beginning" until all that was there is given: who goes on
        there begins anew, with an empty copy.
        """
        self._check()
        return self._watcher.place().position

    def _close(self) -> None:
        try:
            self._check()
        except InvalidStateError:
            # In a forked child: a thread of the parent may have held the lock for good.
            return
        self._watcher.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, or it could not go on."""
        return self._watcher.is_closed

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<{type(self).__name__} of {self._watcher.prefix!r} {state}>"


class Watch(Told, Iterator[Change]):
    """The changes of a client's keys: `Client.watch` makes it, `close` ends it.

    Iterating waits for the next change, and ends when the watch is closed; when its client is, as
    soon as all is given that changed before. Use it as a context manager, or close it: until then
    each write is handed to it too.

    For one reading thread at a time; several share what there is, each change goes to one of them.
    `close` and `position` are for any thread.

    Raises, from each call that gives a change:
        WatchOverflowError: more waited than the watch holds, so here some changes are missing.
            Going on gives the newest value of each key that changed since, then every change.
        PositionLostError: that cannot be found out any more; the watch is closed.
    """

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = self._next(None)
        if change is None:
            raise StopIteration
        return change

    def get(self, timeout: float | None = None) -> Change | None:
        """Give the next change; None when there is none in time, or none will come.

        With 0 it gives what there is now, and None as soon as all is given.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            InvalidArgumentError: the timeout is no number of seconds from 0 on.
            WatchOverflowError, PositionLostError: see `Watch`.
        """
        return self._next(None if timeout is None else seconds(timeout))

    def _next(self, timeout: float | None) -> Change | None:
        until = None if timeout is None else time.monotonic() + timeout
        watcher = self._watcher
        change, is_last = self._take()
        while not (change or is_last or (until is not None and time.monotonic() >= until)):
            gate, passed = closed_gate(), closed_gate()
            left = -1 if until is None else min(max(0.0, until - time.monotonic()), TIMEOUT_MAX)
            try:
                if watcher.arm(partial(open_gate, gate), passed):
                    gate.acquire(timeout=left)
                change, is_last = self._take()
            finally:
                # Last: who waits for this reader would ask for the interpreter while he takes.
                open_gate(passed)
                if watcher.is_armed:
                    watcher.disarm()
        return change

    def close(self) -> None:
        """End it, and wake who waits. What was not given yet is not; again is no error."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def change_of(key: str, sibling: Sibling, located: Located, origins: Origins) -> Change:
    """Give a change to an application."""
    number, n, stamp, version, packed, _ = sibling
    origin = origins[number].node_id if n else ""
    return Change(
        key=key,
        value=unpack_value(packed) if packed else None,
        is_removed=not packed,
        version=version,
        timestamp_ms=milliseconds(stamp),
        origin=origin,
        sync_id=f"{origin}-{n}" if n else "",
        located=located,
    )

"""Threads that wait for the state to change, as a `threading.Condition` lets them.

A Condition does not survive Ctrl-C: an exception of a signal handler that comes while it takes
or gives back its lock leaves the lock taken for ever, or gives back another thread's. Here
nobody holds the lock while waiting, and every step may be interrupted and done again.
"""

from __future__ import annotations

import time
from _thread import start_new_thread
from collections.abc import Callable, Iterable
from functools import partial
from threading import TIMEOUT_MAX, Lock

from softadastra.errors import InvalidArgumentError
from softadastra.sync.members import Members

__all__ = [
    "Waiters",
    "closed_gate",
    "is_synced",
    "open_gate",
    "shielded",
    "top_of",
    "wanted_of",
]


def closed_gate() -> Lock:
    """Make a gate: a lock that is taken here, and given back to let the one who waits pass."""
    gate = Lock()
    gate.acquire()
    return gate


def open_gate(gate: Lock) -> None:
    """Let the one who waits pass. For one thread at a time; again is no error."""
    # It is taken again by the one who passed, who never waits at it a second time unasked.
    if gate.locked():
        gate.release()


def shielded(function: Callable[[], None]) -> None:
    """Run what an exception of a signal handler must not cut in two, as the opening of sockets.

    It runs in a thread of its own, where signal handlers never run. What they raise here is raised
    when it has ended; what it raises itself goes first.
    """
    outcome: list[BaseException | None] = []
    end = closed_gate()

    def run() -> None:
        try:
            function()
        except BaseException as error:  # belongs to the caller, who raises it
            outcome.append(error)
        else:
            outcome.append(None)
        open_gate(end)

    raised: BaseException | None = None
    try:
        # Not Thread.start: an interrupt of that does not tell whether the thread runs.
        start_new_thread(run, ())
    except RuntimeError:
        raise
    except BaseException as interruption:
        raised = interruption
    while not outcome:
        try:
            end.acquire()
        except BaseException as interruption:
            raised = interruption
    raised = outcome[0] or raised
    if raised is not None:
        raise raised


class Waiters:
    """Those who wait for a change.

    Args:
        lock: protects the state, and this.
    """

    __slots__ = ("_wakes", "lock")

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self._wakes: list[Callable[[], None]] = []

    def notify_all(self) -> None:
        """Let all look at the state again. Holding the lock."""
        if self._wakes:
            wakes, self._wakes = self._wakes, []
            for wake in wakes:
                wake()

    def add(self, wake: Callable[[], None]) -> None:
        """Have something called once, at the next change. Holding the lock; again is no error."""
        if wake not in self._wakes:
            self._wakes.append(wake)

    def discard(self, wake: Callable[[], None]) -> None:
        """Have it not called any more. Holding the lock."""
        if wake in self._wakes:
            self._wakes.remove(wake)

    def wait_for(self, holds: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something holds. Not holding the lock.

        Args:
            holds: asked under the lock, now and after each change.
            timeout: seconds; None waits as long as it takes.

        Returns:
            What it gave at last.
        """
        until = None if timeout is None else time.monotonic() + timeout
        gate = closed_gate()
        wake = partial(open_gate, gate)
        try:
            while True:
                with self.lock:
                    if holds():
                        return True
                    self.add(wake)
                if until is None:
                    gate.acquire()
                    continue
                left = until - time.monotonic()
                if left <= 0:
                    return False
                gate.acquire(timeout=min(left, TIMEOUT_MAX))
        finally:
            with self.lock:
                self.discard(wake)


def wanted_of(peers: str | int | Iterable[str]) -> str | int | frozenset[str]:
    """Read whose confirmation is waited for.

    Raises:
        InvalidArgumentError: it is neither "all" nor "any", no number from 0 on, and no node ids.
    """
    if isinstance(peers, str):
        if peers in ("all", "any"):
            return peers
    elif isinstance(peers, int):
        if type(peers) is int and peers >= 0:
            return peers
    elif isinstance(peers, Iterable):
        names = list(peers)
        if all(isinstance(name, str) for name in names):
            return frozenset(names)
    raise InvalidArgumentError(
        f"peers is {peers!r:.80}, expected 'all', 'any', a number from 0 on or a list of node ids"
    )


def top_of(up_to: int | None, top: int) -> int:
    """Read up to which own write is waited for, of those up to `top`.

    Raises:
        InvalidArgumentError: it is no number from 0 on.
    """
    if up_to is None:
        return top
    if type(up_to) is int and up_to >= 0:
        return min(up_to, top)
    raise InvalidArgumentError(
        f"up_to is {up_to!r:.80}, expected the number of a write, as a PutResult has it in n"
    )


def is_synced(members: Members, top: int, peers: str | int | frozenset[str]) -> bool:
    """Whether own writes up to `top` are durable at "all", "any", so many, or these peers."""
    if top == 0:
        return True
    have = {member.node_id for member in members if member.confirmed >= top}
    match peers:
        case "all":
            # Who was only heard of is served by others, and tells of it every half minute a hop.
            near = {member.node_id for member in members if member.is_near}
            return bool(near) and near <= have
        case "any":
            return bool(have)
        case int():
            return len(have) >= peers
        case _:
            return set(peers) <= have

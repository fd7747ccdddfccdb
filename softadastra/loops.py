"""Between event loops and threads: what an `AsyncClient` waits for, without holding up its loop.

An event loop is used by `call_soon_threadsafe` alone, so any number of loops in as many threads may
share a client. Nothing is polled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Final, NamedTuple, TypeVar

from softadastra.errors import InternalError, InvalidStateError, SoftadastraError
from softadastra.runtime.lookout import Lookout
from softadastra.runtime.tickets import copy_of
from softadastra.runtime.waiting import Waiters
from softadastra.store.writes import Assigned, Assignment

__all__ = ["Rows", "Writer", "in_thread", "post", "settle", "wait_until"]

T = TypeVar("T")

GROUP_WRITES_MAX: Final = 1_024
GROUP_BYTES_MAX: Final = 1 << 20
"""How many writes become one record, beside a batch that is larger by itself: a record of this size
takes longer to write than its sync does."""

STOP_MAX_SECONDS: Final = 1.0
"""How long closing waits for the writes that were asked for: one sync of a slow disk."""

Rows = list[Assigned | None]
"""What became of writes, one row each."""


def post(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Have a loop call something, from any thread. A loop that is closed has nobody who waits."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def settle(future: asyncio.Future[T], outcome: T | BaseException) -> None:
    """Give a future its outcome, in its loop, unless it was cancelled."""
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def begun(function: Callable[[], T]) -> asyncio.Future[T]:
    """Begin to run what may block, in a thread of its own.

    Not in a pool: what waits long there keeps others from ending it, as `close` ends a `connect`.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        outcome: T | BaseException
        try:
            outcome = function()
        except BaseException as error:  # belongs to who waits, who raises it
            outcome = error
        post(loop, partial(settle, future, outcome))

    Thread(target=run, name="softadastra-call", daemon=True).start()
    return future


async def in_thread(function: Callable[[], T], undo: Callable[[], object] | None = None) -> T:
    """Run what may block, in a thread of its own, and wait for it.

    Args:
        function: what to run. When the wait is cancelled it goes on.
        undo: run behind it when the wait is cancelled; then the cancellation waits for both.
    """
    future = begun(function)
    if undo is None:
        return await future
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.exception():
            await asyncio.wait([begun(undo)])
        raise


async def wait_until(waiters: Waiters, holds: Callable[[], bool], timeout: float | None) -> bool:
    """Wait until something holds, as `Waiters.wait_for` does."""
    loop = asyncio.get_running_loop()
    until = None if timeout is None else loop.time() + timeout
    while True:
        changed: asyncio.Future[None] = loop.create_future()
        wake = partial(post, loop, partial(settle, changed, None))
        with waiters.lock:
            if holds():
                return True
            waiters.add(wake)
        try:
            async with asyncio.timeout_at(until):
                await changed
        except TimeoutError:
            with waiters.lock:
                return holds()
        finally:
            with waiters.lock:
                waiters.discard(wake)


class Asked(NamedTuple):
    """What one coroutine wants written."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Rows]
    writes: Sequence[Assignment]

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return sum(len(key) + len(value) for key, value, _ in self.writes)


class Writer(Lookout):
    """The thread that writes for coroutines: what gathers during one sync shares the next.

    Args:
        write: commits writes as one record, and returns when they are durable.
    """

    def __init__(self, write: Callable[[Sequence[Assignment]], Rows]) -> None:
        super().__init__("softadastra-writer", stop_max_seconds=STOP_MAX_SECONDS)
        self._write = write
        self._asked: deque[Asked] = deque()
        self._ask_lock = Lock()
        self._is_over = False

    async def write(self, writes: Sequence[Assignment]) -> Rows:
        """Write, and wait until it is done.

        One that is cancelled while it waits for others is not done; after that it is.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Rows] = loop.create_future()
        with self._ask_lock:
            if self._is_over:
                raise InvalidStateError("this client is not open: call open(), or use it in a with")
            self._asked.append(Asked(loop, future, writes))
        self.tell()
        return await future

    def _look(self) -> None:
        while group := self._group():
            self._commit(group)

    def _ended(self) -> None:
        """Write what was asked for before it was stopped, and nothing more."""
        with self._ask_lock:
            self._is_over = True
        self._look()

    def _group(self) -> list[Asked]:
        """Take who are next; those who wait no more are left out."""
        group: list[Asked] = []
        count = size = 0
        while self._asked and not (group and (count, size) > (0, 0) and self._is_full(count, size)):
            asked = self._asked.popleft()
            if not asked.future.cancelled():
                group.append(asked)
                count += len(asked.writes)
                size += asked.size_bytes
        return group

    def _is_full(self, count: int, size: int) -> bool:
        return count >= GROUP_WRITES_MAX or size >= GROUP_BYTES_MAX

    def _commit(self, group: list[Asked]) -> None:
        writes = [write for asked in group for write in asked.writes]
        outcomes: list[Rows | BaseException]
        try:
            rows = iter(self._write(writes))
            outcomes = [[next(rows) for _ in asked.writes] for asked in group]
        except SoftadastraError as error:
            # Each raises its own: a shared one would collect all their tracebacks.
            outcomes = [copy_of(error) for _ in group]
        except BaseException as error:  # of a bug: who waits must not wait for ever
            outcomes = [InternalError(f"a write failed: {error!r}") for _ in group]
        by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        for asked, outcome in zip(group, outcomes, strict=True):
            by_loop.setdefault(asked.loop, []).append(partial(settle, asked.future, outcome))
        for loop, calls in by_loop.items():
            post(loop, partial(run_all, calls))


def run_all(calls: Sequence[Callable[[], None]]) -> None:
    """Call all of these: a loop that is woken once does it for many."""
    for call in calls:
        call()

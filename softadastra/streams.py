"""What an `AsyncClient` gives to be waited for: views, watches and batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from softadastra.arguments import seconds
from softadastra.batch import Gathered
from softadastra.loops import Rows, post, settle
from softadastra.store.writes import Assignment
from softadastra.types import Change, Storable
from softadastra.watch import Told

__all__ = ["AsyncBatch", "AsyncView", "AsyncWatch"]

T = TypeVar("T")

PAUSE_EVERY: Final = 256
"""After so many keys or changes in a row other coroutines get their turn: half a millisecond."""


class AsyncView(Generic[T]):
    """Some of a client's keys, values or items, live and in key order.

    `async for` yields them and lets other coroutines run in between; `await` gives a list.
    """

    def __init__(self, view: Iterable[T]) -> None:
        self._view = view

    async def __aiter__(self) -> AsyncIterator[T]:
        for position, item in enumerate(self._view, 1):
            yield item
            if position % PAUSE_EVERY == 0:
                await asyncio.sleep(0)

    def __await__(self) -> Generator[Any, None, list[T]]:
        return self._all().__await__()

    async def _all(self) -> list[T]:
        return [item async for item in self]


class AsyncWatch(Told):
    """The changes of a client's keys, as `Watch` gives them to a thread.

    `async for` waits for the next one, and ends when the watch is closed, or its client. For one
    reading coroutine at a time.
    """

    _given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        change = await self._next(None)
        if change is None:
            raise StopAsyncIteration
        return change

    async def get(self, timeout: float | None = None) -> Change | None:
        """Give the next change; None when there is none in time, or none will come. See `Watch`."""
        return await self._next(None if timeout is None else seconds(timeout))

    async def _next(self, timeout: float | None) -> Change | None:
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        while True:
            while self._watcher.look():
                await asyncio.sleep(0)
            change, is_last = self._take()
            if change is not None:
                self._given += 1
                if self._given % PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
                return change
            if is_last or (until is not None and loop.time() >= until):
                return None
            changed: asyncio.Future[None] = loop.create_future()
            if not self._watcher.arm(partial(post, loop, partial(settle, changed, None))):
                continue
            try:
                async with asyncio.timeout_at(until):
                    await changed
            except TimeoutError:
                pass
            finally:
                self._watcher.disarm()

    async def close(self) -> None:
        """End it, and wake who waits. What was not given yet is not; again is no error."""
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncBatch(Gathered):
    """Gathers writes in an `async with` block, as `Batch` does; its end waits for the disk."""

    def __init__(
        self,
        assignment: Callable[[str, Storable], Assignment],
        key: Callable[[str], str],
        write: Callable[[Sequence[Assignment]], Coroutine[Any, Any, Rows]],
    ) -> None:
        super().__init__(assignment, key)
        self._write = write

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asked = self._end(error)
        if asked:
            self._results = await self._write(asked)

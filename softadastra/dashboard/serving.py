"""The thread of a dashboard: an event loop of its own, uvicorn in it, and what it tells."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock, Thread
from typing import Final, TypeVar

import uvicorn

from softadastra.client import Client
from softadastra.dashboard.audience import Audience
from softadastra.dashboard.connections import HEAD_BYTES_MAX, BoundedConnection
from softadastra.dashboard.feed import Feed
from softadastra.dashboard.gate import Gate
from softadastra.dashboard.history import History
from softadastra.dashboard.origins import Origins
from softadastra.dashboard.routes import HEALTH, METRICS, PAGE, router
from softadastra.dashboard.tokens import Token

__all__ = ["Serving"]

T = TypeVar("T")

CALLS_MAX: Final = 4
"""Requests that read or write the node at once; others wait. A disk that hangs takes no more."""

CLOSING_SECONDS_MAX: Final = 5.0
"""How long closing waits for the thread: it takes 0.3 s, unless the disk hangs."""


class Serving:
    """Answers at a socket, from `start` to `close`.

    Args:
        client: the node.
        listener: where; it is closed in the end.
        origins: the names and pages that are answered.
        is_local: whether only this machine reaches it: then metrics need no token.
        token: the secret.
        fault: told where and what a bug raised.
    """

    def __init__(
        self,
        client: Client,
        listener: socket.socket,
        *,
        origins: Origins,
        is_local: bool,
        token: Token,
        fault: Callable[[str, Exception], None],
    ) -> None:
        self._client = client
        self._listener = listener
        self._fault = fault
        self._audience = Audience()
        self._history = History()
        self._executor = ThreadPoolExecutor(CALLS_MAX, "softadastra-dashboard-call")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = Lock()
        """Open when the thread can be ended. No Event, which Ctrl-C may leave locked."""
        self._started.acquire()
        self._is_ended = False
        gate = Gate(
            router(client, self._audience, self._history, self._call),
            origins=origins,
            token=token,
            public=[*PAGE, HEALTH, *([METRICS] if is_local else [])],
            fault=fault,
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                gate,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            )
        )
        self._thread = Thread(target=self._run, name="softadastra-dashboard", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until it can be ended. Interrupted, it ends."""
        try:
            self._thread.start()
            self._started.acquire()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it: what is under way may take a second, streams end at once. Again is no error."""
        self._is_ended = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._end)
        if self._thread.ident is not None:
            self._thread.join(CLOSING_SECONDS_MAX)

    def _end(self) -> None:
        self._audience.end()
        self._server.should_exit = True

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # a bug: it ends the dashboard, and not the node
            self._fault("", error)
        finally:
            if self._loop is None:
                self._started.release()
            self._listener.close()
            self._executor.shutdown(cancel_futures=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.release()
        if self._is_ended:  # `close` came before there was a loop that it could tell
            return
        feed = Feed(self._client, self._audience, self._history)
        telling = asyncio.create_task(self._feed(feed))
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await self._call(feed.close)

    async def _feed(self, feed: Feed) -> None:
        """Tell what happens; what fails is noted, and it goes on."""
        while True:
            try:
                await feed.run(self._call)
            except Exception as error:
                self._fault("/api/stream", error)
                await asyncio.sleep(1)

    def _call(self, function: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, function)

"""What happens, as server-sent events to one page, until it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from softadastra.dashboard.audience import Audience, Viewer

__all__ = ["EventStream"]

BEAT_SECONDS: Final = 10.0
"""Without anything else, a page hears this often that the connection stands; it takes one that was
silent three times as long for lost."""

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep what is sent until it has enough
]


class EventStream:
    """Answers with what an audience is told.

    Args:
        audience: which one.
        greeting: makes the first message.
    """

    def __init__(self, audience: Audience, greeting: Callable[[], str]) -> None:
        self._audience = audience
        self._greeting = greeting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RefusedError when the house is full."""
        viewer = self._audience.admit()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            await self._until_over(viewer, receive, send)
        finally:
            self._audience.dismiss(viewer)

    async def _until_over(self, viewer: Viewer, receive: Receive, send: Send) -> None:
        telling = asyncio.create_task(self._tell(viewer, send))
        leaving = asyncio.create_task(self._leave(receive))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            leaving.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, viewer: Viewer, send: Send) -> None:
        await self._send(send, self._greeting())
        while True:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    found = await viewer.next()
            except TimeoutError:
                found = [": still here\n\n"]
            if found is None:
                await send({"type": "http.response.body", "body": b""})
                return
            await self._send(send, "".join(found))

    async def _send(self, send: Send, text: str) -> None:
        body = text.encode("utf-8", "replace")
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

"""What a dashboard answers to which request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from softadastra.client import Client
from softadastra.dashboard.audience import Audience, message
from softadastra.dashboard.bodies import json_body
from softadastra.dashboard.documents import Document, encoded
from softadastra.dashboard.gate import TRUSTED
from softadastra.dashboard.history import History
from softadastra.dashboard.listing import conflict_page, key_page, one_key, one_peer
from softadastra.dashboard.monitoring import Monitoring
from softadastra.dashboard.settling import Settlement, settle
from softadastra.dashboard.streaming import EventStream
from softadastra.health.exposition import CONTENT_TYPE

__all__ = ["HEALTH", "METRICS", "PAGE", "Call", "router"]

T = TypeVar("T")

DIRECTORY: Final = Path(__file__).parent / "page"

PAGE: Final = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"/{name}": (name, "text/javascript")
        for name in (
            "main.js",
            "node.js",
            "stream.js",
            "elements.js",
            "words.js",
            "overview.js",
            "peers.js",
            "outbox.js",
            "conflicts.js",
            "keys.js",
            "happenings.js",
        )
    },
}
"""The paths of the page, each with its file and type. There is no secret in them."""


METRICS: Final = "/metrics"
HEALTH: Final = "/healthz"


class Call(Protocol):
    """Calls something that may wait, outside of the event loop."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """Give what it returns, or raise what it raises."""


def router(client: Client, audience: Audience, history: History, call: Call) -> Router:
    """Make what answers requests that passed the gate.

    Args:
        client: the node.
        audience: who is told what happens.
        history: of the outbox.
        call: calls what may wait for the node's lock or disk.
    """
    answers = _Answers(client, history, call)
    return Router(
        [
            *(Route(path, _file(name, kind)) for path, (name, kind) in PAGE.items()),
            Route("/api/stream", EventStream(audience, answers.greeting), methods=["GET"]),
            Route("/api/keys", answers.keys),
            Route("/api/key", answers.key),
            Route("/api/peer", answers.peer),
            Route("/api/conflicts", answers.conflicts),
            Route("/api/resolve", answers.resolve, methods=["POST"]),
            Route(METRICS, answers.metrics),
            Route(HEALTH, answers.health),
        ]
    )


class _Answers:
    def __init__(self, client: Client, history: History, call: Call) -> None:
        self._client = client
        self._history = history
        self._call = call
        self._monitoring = Monitoring(client)

    def greeting(self) -> str:
        """The first message to a page."""
        return message("hello", {"outbox": self._history.rows})

    async def keys(self, request: Request) -> Response:
        """Keys with a prefix, a page at a time."""
        prefix, after = _query(request, "prefix"), request.query_params.get("after")
        return await self._read(lambda: key_page(self._client, prefix, after))

    async def key(self, request: Request) -> Response:
        """All of one key."""
        key = _query(request, "key")
        return await self._read(lambda: one_key(self._client, key))

    async def peer(self, request: Request) -> Response:
        """How a peer stands, in words."""
        node_id = _query(request, "id")
        return await self._read(lambda: one_peer(self._client, node_id))

    async def conflicts(self, request: Request) -> Response:
        """Conflicts that wait, or those in which a write lost."""
        is_open, after = _query(request, "state") != "settled", _query(request, "after")
        return await self._read(lambda: conflict_page(self._client, is_open=is_open, after=after))

    async def resolve(self, request: Request) -> Response:
        """Settle a conflict."""
        settlement = Settlement.parse(await json_body(request))
        return await self._read(lambda: settle(self._client, settlement))

    async def metrics(self, _: Request) -> Response:
        """Numbers for Prometheus."""
        text = await self._call(self._monitoring.metrics)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def health(self, request: Request) -> Response:
        """200 when the node is in order, else 503; why not for those who have the token."""
        in_full = bool(request.scope[TRUSTED])
        is_ok, document = await self._call(lambda: self._monitoring.health(in_full=in_full))
        return JSONResponse(document, status_code=200 if is_ok else 503)

    async def _read(self, look: Callable[[], Document]) -> Response:
        return Response(await self._call(lambda: encoded(look())), media_type="application/json")


def _query(request: Request, name: str) -> str:
    return request.query_params.get(name, "")


def _file(name: str, kind: str) -> Callable[[Request], Any]:
    """Make what answers with a file of the page, which is read once."""
    content = (DIRECTORY / name).read_bytes()
    headers: Mapping[str, str] = {"cache-control": "no-cache"}

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers=headers)

    return answer

"""One connection of a browser: uvicorn's, with limits that it does not have.

uvicorn waits for ever for who connects and sends nothing, and accepts connections without an end.
Each takes a descriptor of the node's process, which its log and its peers need too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

__all__ = ["CONNECTIONS_MAX", "HEAD_BYTES_MAX", "HEAD_SECONDS_MAX", "BoundedConnection"]

CONNECTIONS_MAX: Final = 64
"""A browser opens six to one place (HTTP/1.1): enough for ten that look at once."""

HEAD_SECONDS_MAX: Final = 10.0
"""For the head of a request to arrive."""

HEAD_BYTES_MAX: Final = 16 * 1024
"""A key of 1,024 bytes is at most 3,072 in an address; browsers send 1 or 2 KiB besides."""

READ_SECONDS_MAX: Final = 15.0
"""For a browser to read on, when 64 KiB wait for it: what waits longer than that is looked at by
nobody, and it may come again."""

CLOSING_SECONDS: Final = 1.0
"""How long an answer that is under way may take when the dashboard ends."""

_silent = logging.Logger("softadastra.dashboard")
"""For what uvicorn says of single requests: whoever sends bad ones could fill a log with it. It is
in nobody's tree of loggers."""
_silent.addHandler(logging.NullHandler())
_silent.setLevel(logging.CRITICAL)  # or it would make records of each connection


class BoundedConnection(H11Protocol):
    """A connection that is cut when it is one too many, sends no request, or reads no answer."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _silent
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None
        self._reading_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take the connection, or cut it."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that has begun has to end in time."""
        super().data_received(data)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        self._forget_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Much waits to be read."""
        super().pause_writing()
        self._reading_deadline = self.loop.call_later(READ_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        """It is being read."""
        super().resume_writing()
        if self._reading_deadline is not None:
            self._reading_deadline.cancel()
            self._reading_deadline = None

    def shutdown(self) -> None:
        """End it; what is under way may take a moment, what nobody reads is cut."""
        super().shutdown()
        self.loop.call_later(CLOSING_SECONDS, self.transport.abort)

    def _expect_head(self) -> None:
        """Have the connection cut, if it is between requests and no head comes in time."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS_MAX, self._cut)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

"""A dashboard as tests ask it: real requests, with any header, over a connection of their own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from softadastra.dashboard import Dashboard

__all__ = ["Answer", "Asker", "Stream"]

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return str(self.document["error"]["reason"])


class Asker:
    """Somebody who asks a dashboard, with its token unless a header says otherwise.

    Args:
        dashboard: which one.
        headers: of every request; None leaves out one that would be there.
    """

    def __init__(self, dashboard: Dashboard, headers: Mapping[str, str | None] = {}) -> None:
        self.port = dashboard.port
        usual = {
            "Host": f"127.0.0.1:{dashboard.port}",
            "Authorization": f"Bearer {dashboard.token}",
        }
        self._headers: dict[str, str | None] = {**usual, **headers}

    def get(self, path: str, headers: Mapping[str, str | None] = {}, method: str = "GET") -> Answer:
        with self._asked(method, path, headers, None) as response:
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def post(self, path: str, document: object, headers: Mapping[str, str | None] = {}) -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        usual = {"Content-Type": "application/json"}
        with self._asked("POST", path, {**usual, **headers}, body) as response:
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    @contextmanager
    def stream(self) -> Iterator[Stream]:
        with self._asked("GET", "/api/stream", {}, None) as response:
            assert response.status == 200, response.read()
            yield Stream(response)

    @contextmanager
    def _asked(
        self, method: str, path: str, headers: Mapping[str, str | None], body: bytes | None
    ) -> Iterator[HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**self._headers, **headers}.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            yield response
            response.close()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Connect, and send nothing."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)


class Stream:
    """The messages of a stream, as they come."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def next(self) -> tuple[str, Any] | None:
        """Wait for a message; None when the stream has ended."""
        name = ""
        while line := self._response.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                return name, json.loads(value)
        return None

    def until(self, name: str) -> Any:
        """Wait for the next message of a name."""
        while (message := self.next()) is not None:
            if message[0] == name:
                return message[1]
        raise AssertionError(f"the stream ended without {name}")

"""Nobody takes more of the node's process than is set aside for the dashboard."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from itertools import count

import pytest

from softadastra import Client
from softadastra.dashboard import Dashboard, audience, bodies, connections, feed
from tests.eventually import eventually

from .browsing import Asker

SETTLE = "/api/resolve"


def is_cut(connection: socket.socket) -> bool:
    """Wait until the other side ends it, in whatever way."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


def test_a_body_has_a_largest_size(asker: Asker) -> None:
    largest = b" " * (bodies.BODY_BYTES_MAX - 2) + b"{}"

    assert asker.post(SETTLE, largest).reason == "invalid"
    assert asker.post(SETTLE, largest + b" ").reason == "too_large"


def test_a_body_that_does_not_come_is_not_waited_for(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS_MAX", 0.2)

    assert asker.post(SETTLE, b"{}", {"Transfer-Encoding": "chunked"}).status in (400, 408)
    with asker.connect() as connection:
        connection.sendall(_head_of(asker, "Content-Length: 9"))

        assert b" 408 " in connection.recv(4096)


def _head_of(asker: Asker, *lines: str) -> bytes:
    headers = [f"{name}: {value}" for name, value in asker._headers.items()]
    kind = "Content-Type: application/json"
    return "\r\n".join([f"POST {SETTLE} HTTP/1.1", *headers, kind, *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"key": 1, "seen": []}', b'{"key": "k"}']
)
def test_what_is_no_request_is_refused(asker: Asker, body: bytes) -> None:
    assert asker.post(SETTLE, body).reason == "invalid"


def test_half_a_character_is_refused(asker: Asker) -> None:
    body = rb'{"key": "\ud800", "seen": [], "text": "v", "kind": "text"}'

    assert asker.post(SETTLE, body).reason == "invalid"


def test_a_head_has_a_largest_size(asker: Asker) -> None:
    with asker.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * connections.HEAD_BYTES_MAX)

        assert b" 400 " in connection.recv(4096)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_who_sends_no_request_is_cut(
    node: Client, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.2)
    with Dashboard(node, port=0) as dashboard, Asker(dashboard).connect() as connection:
        connection.sendall(begun)

        assert is_cut(connection)


def test_there_are_so_many_connections_and_no_more(
    node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 3_600)
    with Dashboard(node, port=0) as dashboard, ExitStack() as stack:
        asker = Asker(dashboard)
        first, *_ = [stack.enter_context(asker.connect()) for _ in range(3)]

        assert is_cut(stack.enter_context(asker.connect()))
        first.close()
        eventually(lambda: _is_answered(asker))


def _is_answered(asker: Asker) -> bool:
    try:
        return asker.get("/api/keys").status == 200
    except ConnectionError:
        return False


def test_there_are_so_many_viewers_and_no_more(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "VIEWERS_MAX", 2)
    with asker.stream() as one, asker.stream() as two:
        assert one.until("hello").keys() == two.until("hello").keys()
        assert asker.get("/api/stream").reason == "busy"

    eventually(lambda: _is_streamed(asker))


def _is_streamed(asker: Asker) -> bool:
    return asker.get("/api/stream", method="HEAD").status == 200


def test_who_reads_nothing_is_cut_and_the_node_goes_on(
    node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS_MAX", 0.3)
    monkeypatch.setattr(feed, "PAUSE_SECONDS", 0.01)
    rounds = count()
    with Dashboard(node, port=0) as dashboard:
        asker = Asker(dashboard)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", dashboard.port))
        with connection:
            head = _head_of(asker).replace(b"POST /api/resolve", b"GET /api/stream")
            connection.sendall(head)
            assert connection.recv(16)

            def is_gone() -> bool:
                # Long keys, so that what is told soon fills what the system keeps for a reader.
                round_ = next(rounds)
                with node.batch() as batch:
                    for number in range(50):
                        batch.put(f"{number:050}" * 20, f"{round_} {number}" * 40)
                return not dashboard._serving._audience._viewers  # type: ignore[union-attr]

            eventually(is_gone, 60)

            assert asker.get("/api/keys").status == 200

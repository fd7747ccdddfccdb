"""A dashboard is opened beside a client, and closed again, whoever looks."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from softadastra import (
    Client,
    ClientOptions,
    InvalidArgumentError,
    TransportError,
)
from softadastra.aio import AsyncClient
from softadastra.dashboard import Dashboard, connections, serving
from softadastra.types import Event
from tests.eventually import eventually
from tests.programs import free_ports

from .browsing import Asker

OURS = "softadastra-dashboard"


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]


def test_it_ends_while_somebody_looks(node: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 3_600)  # streams end, and are not cut
    dashboard = Dashboard(node, port=0).open()
    with Asker(dashboard).stream() as stream:
        stream.until("vitals")
        begun = time.monotonic()
        dashboard.close()

        assert time.monotonic() - begun < serving.CLOSING_SECONDS_MAX
        while stream.next() is not None:
            pass
    dashboard.close()
    assert threads() == []
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", dashboard.port))


def test_it_ends_while_somebody_reads_nothing(
    node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS_MAX", 3_600)
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 0.1)
    node.put("k", "v" * 1_000_000)
    dashboard = Dashboard(node, port=0).open()
    with Asker(dashboard).connect() as connection:
        head = f"Host: localhost\r\nAuthorization: Bearer {dashboard.token}\r\n\r\n"
        asked = f"GET /api/key?key=k HTTP/1.1\r\n{head}".encode()
        for _ in range(200):  # answers of 64 KiB each, more than the system keeps
            connection.sendall(asked)
        inside: Any = dashboard._serving
        answering = inside._server.server_state.connections
        eventually(lambda: any(each.flow.write_paused for each in answering))

        dashboard.close()

        assert threads() == []


def test_it_is_opened_once_and_again_after_it_was_closed(node: Client) -> None:
    dashboard = Dashboard(node, port=0)
    assert not dashboard.is_open
    with dashboard:
        assert dashboard.open().port == dashboard.port != 0
        assert Asker(dashboard).get("/").status == 200
    with dashboard:
        assert Asker(dashboard).get("/").status == 200


def test_a_port_that_is_taken_is_told(dashboard: Dashboard, node: Client) -> None:
    with pytest.raises(TransportError, match="choose another port"):
        Dashboard(node, port=dashboard.port).open()

    assert len(threads()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_this_machine_it_needs_a_token(node: Client, host: str) -> None:
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with pytest.raises(InvalidArgumentError, match="token is set: listen on"):
        Dashboard(node, host, 0).open()

    with Dashboard(node, host, 0, token="correct-horse-battery") as dashboard:
        assert Asker(dashboard).get("/api/keys").status == 200
        assert not dashboard.is_local


def test_its_link_has_the_token_behind_the_address(dashboard: Dashboard) -> None:
    url, _, fragment = dashboard.link.partition("#")

    assert url == dashboard.url == f"http://127.0.0.1:{dashboard.port}/"
    assert fragment == f"token={dashboard.token}"
    assert dashboard.token not in repr(dashboard)


def test_ipv6_has_brackets(node: Client) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with Dashboard(node, "::1", 0) as dashboard:
        assert dashboard.url == f"http://[::1]:{dashboard.port}/"
        with socket.create_connection(("::1", dashboard.port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"port": 70_000},
        {"port": True},
        {"token": "short"},
        {"names": ["http://x"]},
        {"names": "node.example.org"},
    ],
)
def test_what_it_cannot_be_made_of_is_refused(node: Client, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        Dashboard(node, **wrong)  # type: ignore[arg-type]


def test_a_dashboard_that_is_interrupted_while_it_opens_leaves_nothing(
    node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            raise KeyboardInterrupt

    port = free_ports(["port"])["port"]
    with monkeypatch.context() as patched:
        patched.setattr(serving, "Thread", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            Dashboard(node, port=int(port)).open()

    assert "softadastra-dashboard" not in [thread.name for thread in threading.enumerate()]
    with Dashboard(node, port=int(port)) as dashboard:
        assert Asker(dashboard).get("/api/keys").status == 200


def test_it_shows_a_node_of_asyncio() -> None:
    async def program() -> int:
        async with AsyncClient(ClientOptions.memory_only("node-a")) as node:
            await node.put("k", 1)
            with Dashboard(node, port=0) as dashboard:
                found = await asyncio.to_thread(Asker(dashboard).get, "/api/keys")
                return len(found.document["keys"])

    assert asyncio.run(program()) == 1


def test_it_shows_a_client(node: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="shows a Client"):
        Dashboard("node-a")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(name: str) -> None:
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from softadastra import Client\n"
        "from softadastra.dashboard import Dashboard\n"
        "Dashboard(Client(), port=0).open()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == (
        f"softadastra.errors.InvalidStateError: the dashboard needs {name}, which is not"
        " installed: install Softadastra with its extra dashboard, in a checkout by"
        " pip install '.[dashboard]'"
    )


def test_a_bug_is_told_as_an_event_and_not_to_who_asked(
    node: Client, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Event] = []

    def broken(_self: Client, _key: str) -> None:
        raise ZeroDivisionError

    with node.on("dashboard.faulted", seen.append):
        monkeypatch.setattr(Client, "explain_key", broken)
        answer = Asker(dashboard).get("/api/key?key=k")

        assert (answer.status, answer.reason) == (500, "fault")
        assert b"ZeroDivisionError" not in answer.body
        eventually(lambda: seen)
    assert seen[0].fields == {"path": "/api/key", "error": "ZeroDivisionError()"}
    assert Asker(dashboard).get("/api/keys").status == 200


FORKED = """
import os
from softadastra import Client, ClientOptions
from softadastra.dashboard import Dashboard

node = Client(ClientOptions.memory_only("node-a")).open()
dashboard = Dashboard(node, port=0).open()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
os.close(reading)
dashboard.close()
with Dashboard(node, port=dashboard.port):
    print("free")
os.close(writing)
os.waitpid(child, 0)
node.close()
"""


def test_a_forked_child_does_not_keep_the_port() -> None:
    # In a process of its own: this one has threads of other tests, and newer Pythons warn of that.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("free\n", "")

"""`node run --dashboard` shows the node until it ends, or says why it does not start."""

from __future__ import annotations

import json
import signal
import socket
import stat
import sys
from http.client import HTTPConnection
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from .tool import Run, Spawn

DEADLINE_S = 60.0
ANYWHERE = ("--dashboard", "127.0.0.1:0")


class Place(NamedTuple):
    """Where a dashboard is, and its token."""

    port: int
    token: str


def place_of(link: str) -> Place:
    parts = urlsplit(link)
    assert parts.port is not None
    return Place(parts.port, parts.fragment.removeprefix("token="))


def started(process: Popen[bytes]) -> Place:
    """Wait until it runs, and read where its dashboard is."""
    assert process.stdout is not None
    assert b"node running" in process.stdout.readline()
    line = process.stdout.readline().decode()
    return place_of(line.removeprefix("Dashboard: ").strip())


def ask(place: Place, path: str) -> HTTPConnection:
    connection = HTTPConnection("127.0.0.1", place.port, timeout=DEADLINE_S)
    connection.request("GET", path, headers={"Authorization": f"Bearer {place.token}"})
    return connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_while_a_page_is_open(spawn: Spawn, number: signal.Signals) -> None:
    process = spawn("node", "run", *ANYWHERE)
    connection = ask(started(process), "/api/stream")
    response = connection.getresponse()
    assert response.readline() == b"event: hello\n"

    process.send_signal(number)

    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    assert output == b""
    response.read()
    connection.close()


def test_the_token_is_shown_once_and_logged_nowhere(spawn: Spawn) -> None:
    process = spawn("node", "run", *ANYWHERE, "--log-level", "debug")
    place = started(process)
    assert len(place.token) >= 43
    for path in ("/", "/api/keys", "/api/nothing"):
        connection = ask(place, path)
        connection.getresponse().read()
        connection.close()
    process.send_signal(signal.SIGTERM)

    output, errors = process.communicate(timeout=DEADLINE_S)

    assert place.token.encode() not in output + errors


def test_programs_read_where_it_is(spawn: Spawn) -> None:
    process = spawn("node", "run", *ANYWHERE, "--json")
    assert process.stdout is not None
    shown = json.loads(process.stdout.readline())["dashboard"]

    assert shown["token_file"] is None
    connection = ask(place_of(shown["url"]), "/api/keys")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_token_is_kept_in_a_file(spawn: Spawn, directory: Path) -> None:
    file = directory / "secret" / "dashboard.token"
    tokens = set()
    for _ in range(2):
        process = spawn(
            "node", "run", *ANYWHERE, "--dashboard-token-file", "secret/dashboard.token"
        )
        assert process.stdout is not None
        process.stdout.readline()
        line = process.stdout.readline().decode()
        assert line.endswith(" with the token in secret/dashboard.token\n")
        tokens.add(file.read_text().strip())
        place = Place(place_of(line.split()[1]).port, file.read_text().strip())
        connection = ask(place, "/api/keys")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0

    assert len(tokens) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_port_that_is_taken_stops_it_before_it_does_anything(run: Run, directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = run("node", "run", "--dashboard", f"127.0.0.1:{port}")

    assert result.exit_code == 1
    assert "choose another port" in result.stderr
    assert list(directory.iterdir()) == []


def test_others_are_shown_it_with_a_token_only(run: Run, directory: Path) -> None:
    result = run("node", "run", "--dashboard", "0.0.0.0:0")

    assert result.exit_code == 2
    assert "--dashboard-token-file" in result.stderr
    assert list(directory.iterdir()) == []


def test_who_shows_it_to_others_is_told_that_it_is_not_encrypted(spawn: Spawn) -> None:
    process = spawn(
        "node", "run", "--dashboard", "0.0.0.0:0", "--dashboard-token-file", "t",
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    assert process.stdout.readline().startswith(b"Dashboard: http://127.0.0.1:")
    process.send_signal(signal.SIGTERM)

    _, errors = process.communicate(timeout=DEADLINE_S)

    assert b"without encryption" in errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dashboard", "8765"), "expected HOST:PORT"),
        (("--dashboard", "localhost:x"), "expected HOST:PORT"),
        (("--dashboard-token-file", "t"), "--dashboard 127.0.0.1:8765"),
        (("--dashboard-name", "n"), "--dashboard 127.0.0.1:8765"),
        ((*ANYWHERE, "--dashboard-name", "http://n"), "is no host name"),
    ],
)
def test_wrong_options_are_usage_errors(run: Run, arguments: tuple[str, ...], told: str) -> None:
    result = run("node", "run", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr


def test_without_the_extra_it_is_a_usage_error_that_says_what_to_install(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "softadastra.dashboard.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    result = run("node", "run", *ANYWHERE)

    assert result.exit_code == 2
    assert "pip install '.[dashboard]'" in result.stderr
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (ANYWHERE, "which port"),
        (("--dashboard", "127.0.0.1:8765"), "--dashboard-token-file"),
    ],
)
def test_detached_nobody_would_be_told_what_it_is(
    run: Run, arguments: tuple[str, ...], told: str
) -> None:
    result = run("node", "start", "--detach", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr


def detached(spawn: Spawn, *arguments: str) -> Any:
    process = spawn("node", "start", "--detach", *arguments, "--json")
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    return json.loads(output)


def test_detached_it_is_where_it_was_said_to_be(run: Run, spawn: Spawn, directory: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = ("--dashboard", f"127.0.0.1:{port}", "--dashboard-token-file", "token")
    try:
        shown = detached(spawn, *address)["dashboard"]
        token = (directory / "token").read_text().strip()
        connection = ask(Place(port, token), "/api/keys")
        assert connection.getresponse().status == 200
        connection.close()
        again = detached(spawn, *address)
    finally:
        run("node", "stop")

    assert shown == {
        "url": f"http://127.0.0.1:{port}/",
        "token_file": str(directory / "token"),
    }
    assert (again["started"], again["dashboard"]) == (False, None)

"""`softadastra store watch` shows each change of a running node, and ends in order."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from softadastra import Client, ClientOptions

from .tool import Run, Spawn, document

DEADLINE_S = 60.0
"""Far beyond what any step takes, so that only a hang ends a test."""


@pytest.fixture(autouse=True)
def runtime(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))


@pytest.fixture
def node(spawn: Spawn) -> Popen[bytes]:
    process = spawn("node", "run", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    return process


def watching(spawn: Spawn, *arguments: str) -> Popen[bytes]:
    """Start to watch, and wait until it does."""
    process = spawn("store", "watch", *arguments)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"Watching ")
    return process


def rows(output: bytes) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in output.splitlines()]
    assert all(row.pop("schema") == 1 for row in found)
    return found


def test_each_change_is_a_line_for_people(node: Popen[bytes], spawn: Spawn, run: Run) -> None:
    process = watching(spawn, "a/", "--count", "3")
    run("store", "put", "a/1", "tea\x1b[31m")
    run("store", "put", "other", "unseen")
    run("store", "put", "a/2", '{"n": 1}', "--json-value")
    run("store", "remove", "a/1")
    output, _ = process.communicate(timeout=DEADLINE_S)

    assert [line.partition("Z  ")[2] for line in output.decode().splitlines()] == [
        "node-1-1  a/1 = tea\\x1b[31m",
        'node-1-3  a/2 = {"n": 1}',
        "node-1-4  a/1 removed",
    ]
    assert process.returncode == 0


def test_a_position_of_a_line_is_where_the_next_watch_goes_on(
    node: Popen[bytes], spawn: Spawn, run: Run
) -> None:
    process = watching(spawn, "--json", "--count", "2")
    run("store", "put", "a", "/w==", "--bytes-value")
    run("store", "put", "b", "2")
    first, second = rows(process.communicate(timeout=DEADLINE_S)[0])
    run("store", "put", "c", "3")
    later = run("store", "watch", "--json", "--from", first["position"], "--count", "2")

    assert (first["key"], first["value"]) == ("a", {"$bytes": "L3c9PQ=="})
    assert [row["key"] for row in rows(later.stdout_bytes)] == ["b", "c"]
    assert (second["sync_id"], second["version"], second["is_removed"]) == ("node-1-2", 1, False)


def test_from_the_beginning_what_there_is_comes_first(node: Popen[bytes], run: Run) -> None:
    for key in "ab":
        run("store", "put", key, "v")
    found = run("store", "watch", "--from", "beginning", "--count", "2", "--json")

    assert [row["key"] for row in rows(found.stdout_bytes)] == ["a", "b"]


def test_without_a_node_it_says_so(run: Run) -> None:
    run("store", "put", "k", "v")
    shown, as_json = run("store", "watch"), run("store", "watch", "--json")

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert shown.stderr == "Softadastra node is not running: none answers for node-1.\n"
    assert as_json.exit_code == 4
    assert document(as_json)["error"]["code"] == "transport_error"


def test_a_log_whose_holder_answers_no_commands_is_told(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.cli.reaching.LOCK_SECONDS", 0.1)
    options = ClientOptions.persistent("node-1", "data/node-1.wal", enable_control=False)
    with Client(options):
        found = run("store", "watch")

    assert found.exit_code == 5
    assert f"open in process {os.getpid()}, which answers no commands" in found.stderr


def test_what_is_no_position_is_refused(node: Popen[bytes], run: Run) -> None:
    found = run("store", "watch", "--from", "yesterday")

    assert found.exit_code == 2
    assert "not a position of a watch: 'yesterday'" in found.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_node_that_ends_ends_it_with_where_to_go_on(
    node: Popen[bytes], spawn: Spawn, run: Run, end: signal.Signals
) -> None:
    process = watching(spawn, "--json")
    run("store", "put", "k", "v")
    assert process.stdout is not None
    (change,) = rows(process.stdout.readline())
    node.send_signal(end)
    output, errors = process.communicate(timeout=DEADLINE_S)
    (told,) = rows(output)

    assert process.returncode == 4
    assert b"has ended" in errors
    assert told["error"]["context"]["position"] == change["position"]
    assert f"Go on later with --from {change['position']}".encode() in errors


def test_ctrl_c_ends_it_with_where_to_go_on(node: Popen[bytes], spawn: Spawn) -> None:
    process = watching(spawn)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=DEADLINE_S)

    assert (process.returncode, output) == (130, b"")
    assert errors.splitlines()[1] == b"Interrupted."
    assert errors.splitlines()[2].startswith(b"Go on later with --from 1.")


def test_a_pipe_that_is_closed_ends_it_without_a_change(node: Popen[bytes], spawn: Spawn) -> None:
    process = watching(spawn)
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(DEADLINE_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_node_that_hangs_is_given_up(
    node: Popen[bytes], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.3)
    node.send_signal(signal.SIGSTOP)
    try:
        found = run("store", "watch")
    finally:
        node.send_signal(signal.SIGCONT)

    assert found.exit_code == 4
    assert "does not answer within 0.3 s" in found.stderr


def test_a_reader_that_is_too_slow_is_told_where_changes_are_missing(
    node: Popen[bytes], spawn: Spawn, run: Run
) -> None:
    process = watching(spawn, "--json")
    lines = b"".join(
        json.dumps({"key": f"k/{number}", "value": "x" * 100_000}).encode() + b"\n"
        for number in range(120)
    )
    assert run("store", "import", "-", input=lines).exit_code == 0
    run("store", "put", "last", "v")
    assert process.stdout is not None
    found: list[dict[str, Any]] = []
    while not found or found[-1].get("key") != "last":
        found += rows(process.stdout.readline())

    missed = [row for row in found if row.get("missed")]
    assert missed
    assert all(row["position"] for row in missed)
    assert {row["key"] for row in found if "key" in row} == {
        *(f"k/{number}" for number in range(120)),
        "last",
    }

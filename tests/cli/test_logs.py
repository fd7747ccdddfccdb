"""`softadastra logs` shows a node's events readably, filtered, and as they come."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO

import pytest

from .tool import Run, Spawn

DEADLINE_SECONDS = 30.0

SENT = {
    "event": "batch.sent",
    "level": "debug",
    "node_id": "node-1",
    "ts": 1795420323537,
    "peer": "node-b",
    "batch": 3,
    "sync_id": ["node-1-1..64", "node-b-2"],
}
LOST = {
    "event": "conflict.lost",
    "level": "info",
    "node_id": "node-1",
    "ts": 1795420323538,
    "key": "a \x1b[2Jkey",
    "sync_id": "node-1-7",
    "winner": "node-b-4",
}
FAILED = {"event": "wal.failed", "level": "error", "node_id": "node-1", "ts": 1, "error": "full"}


def line(event: dict[str, object]) -> str:
    return json.dumps(event) + "\n"


@pytest.fixture
def log(directory: Path) -> Path:
    path = directory / "data" / "node-1.wal.log"
    path.parent.mkdir()
    path.write_text(line(SENT) + "Traceback (most recent call last):\n" + line(LOST) + line(FAILED))
    return path


def test_events_are_shown_one_a_line_with_nothing_that_a_terminal_would_obey(
    run: Run, log: Path
) -> None:
    done = run("logs")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "2026-11-23 07:52:03.537Z debug   node-1  batch.sent         peer=node-b batch=3"
        " sync_id=node-1-1..64,node-b-2",
        "2026-11-23 07:52:03.538Z info    node-1  conflict.lost      key='a \\\\x1b[2Jkey'"
        " sync_id=node-1-7 winner=node-b-4",
    ]


@pytest.mark.parametrize(
    ("options", "events"),
    [
        (("--level", "info"), ["conflict.lost", "wal.failed"]),
        (("--event", "batch."), ["batch.sent"]),
        (("--peer", "node-b"), ["batch.sent"]),
        (("--key", "a \x1b[2Jkey"), ["conflict.lost"]),
        (("--sync-id", "node-1-7"), ["batch.sent", "conflict.lost"]),
        (("--sync-id", "node-b-4"), ["conflict.lost"]),
        (("--node", "node-2"), []),
        (("-n", "1"), ["wal.failed"]),
        (("-n", "0"), []),
        (("-n", "1", "--level", "debug", "--event", "b"), ["batch.sent"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_events_are_chosen_by_what_they_are_about(
    run: Run, log: Path, options: tuple[str, ...], events: list[str]
) -> None:
    done = run("logs", "--json", *options)

    assert [json.loads(text)["event"] for text in done.stdout.splitlines()] == events


def test_json_passes_lines_on_as_they_are(run: Run, log: Path) -> None:
    assert run("logs", "--json").stdout == line(SENT) + line(LOST) + line(FAILED)


def test_what_is_wrong_is_said(run: Run, directory: Path, log: Path) -> None:
    absent = run("logs", "absent.log")
    several = run("logs", "-f", str(log), __file__)

    assert (absent.exit_code, absent.stderr) == (3, "no log at absent.log\n")
    assert (several.exit_code, "2 logs cannot be followed at once" in several.stderr) == (2, True)
    assert run("logs", "--sync-id", "nonsense").exit_code == 2
    assert run("logs", "-f", "absent.log").exit_code == 3


@contextmanager
def followed(spawn: Spawn, *options: str) -> Iterator[tuple[Popen[bytes], IO[bytes]]]:
    process = spawn("logs", "-f", "-n", "1", "--json", *options, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    # Only now it follows: what is appended before counts as present.
    assert json.loads(process.stdout.readline())["event"] == "wal.failed"
    yield process, process.stdout
    assert process.poll() is None, "it ended by itself"


def test_following_goes_on_through_rotation_and_truncation(spawn: Spawn, log: Path) -> None:
    with followed(spawn) as (_, shown):
        append(log, line(SENT | {"batch": 1})[:20])
        append(log, line(SENT | {"batch": 1})[20:])
        assert json.loads(shown.readline())["batch"] == 1
        log.rename(log.with_name("node-1.wal.log.1"))
        append(log.with_name("node-1.wal.log.1"), line(SENT | {"batch": 2}))
        append(log, line(SENT | {"batch": 3}))
        assert [json.loads(shown.readline())["batch"] for _ in range(2)] == [2, 3]
        log.write_text("")
        append(log, line(FAILED))
        assert json.loads(shown.readline())["event"] == "wal.failed"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_following_begins_with_the_last_lines_and_filters_what_comes(
    spawn: Spawn, log: Path
) -> None:
    with followed(spawn, "--level", "info") as (_, shown):
        append(log, line(SENT) + line(LOST))
        assert json.loads(shown.readline())["event"] == "conflict.lost"


def test_following_ends_when_its_reader_does_though_nothing_comes(spawn: Spawn, log: Path) -> None:
    process = spawn("logs", "-f", "--json", stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(DEADLINE_SECONDS) == 0
    assert process.stderr.read() == b""


def test_ctrl_c_ends_following(spawn: Spawn, log: Path) -> None:
    process = spawn("logs", "-f", "--json", stderr=PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()

    assert process.wait(DEADLINE_SECONDS) == 130
    assert time.monotonic() - began < DEADLINE_SECONDS

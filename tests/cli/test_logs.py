"""The events of a detached node are read from its log file, to the end and beyond."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO

import pytest

from .tool import Run, Spawn

DEADLINE_S = 60.0


def event(number: int, name: str = "peer.connected", level: str = "info") -> str:
    fields = {"event": name, "level": level, "node_id": "node-1", "ts": 1_795_420_323_537 + number}
    return json.dumps(fields | {"peer": f"node-{number}"}) + "\n"


@pytest.fixture
def log(directory: Path) -> Path:
    path = directory / "data" / "node-1.wal.log"
    path.parent.mkdir()
    return path


def test_the_last_events_are_shown_for_people(run: Run, log: Path) -> None:
    log.write_text("".join(event(number) for number in range(100)))
    shown = run("logs", "--lines", "2")

    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "2026-11-23 07:52:03.635Z  info     peer.connected  peer=node-98",
        "2026-11-23 07:52:03.636Z  info     peer.connected  peer=node-99",
    ]
    assert len(run("logs").stdout.splitlines()) == 50


def test_they_are_json_lines_on_request(run: Run, log: Path) -> None:
    log.write_text(event(1) + event(2))
    found = [json.loads(line) for line in run("logs", "--json").stdout.splitlines()]

    assert found == [json.loads(event(1)), json.loads(event(2))]


def test_they_are_chosen_by_level_and_name(run: Run, log: Path) -> None:
    log.write_text(
        event(1, "peer.connected")
        + event(2, "peer.lost", "warning")
        + event(3, "batch.sent", "debug")
    )

    def names(*options: str) -> list[str]:
        lines = run("logs", "--json", *options).stdout.splitlines()
        return [json.loads(line)["event"] for line in lines]

    assert names() == ["peer.connected", "peer.lost", "batch.sent"]
    assert names("--level", "info") == ["peer.connected", "peer.lost"]
    assert names("--level", "warning") == ["peer.lost"]
    assert names("--event", "peer.") == ["peer.connected", "peer.lost"]
    assert names("--event", "batch.sent") == ["batch.sent"]
    assert names("--event", "peer") == []


def test_what_is_no_event_is_shown_and_cannot_move_the_cursor(run: Run, log: Path) -> None:
    log.write_bytes(b"error: the port is in use\n\x1b[2Jhere \xff\n[1]\n")

    assert run("logs").stdout.splitlines() == [
        "error: the port is in use",
        "\\x1b[2Jhere \N{REPLACEMENT CHARACTER}",
        "[1]",
    ]
    first, *_ = run("logs", "--json").stdout.splitlines()
    assert json.loads(first) == {"text": "error: the port is in use"}


def test_a_line_that_is_being_written_is_not_shown_yet(run: Run, log: Path) -> None:
    log.write_text(event(1) + event(2)[:-10])

    assert len(run("logs").stdout.splitlines()) == 1


def test_no_file_and_no_events_are_said(run: Run, log: Path) -> None:
    absent = run("logs")
    log.write_text("")
    empty = run("logs")

    assert absent.exit_code == 3
    assert "node start --detach" in absent.stderr
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "No events.\n")


def test_another_file_may_be_named(run: Run, directory: Path) -> None:
    (directory / "other.log").write_text(event(5))

    assert run("logs", "other.log").stdout.split()[-1] == "peer=node-5"


def line_of(stream: IO[bytes] | None) -> str:
    assert stream is not None
    return stream.readline().decode().split()[-1]


def test_following_goes_on_with_what_is_added_cut_off_and_moved_away(
    spawn: Spawn, log: Path
) -> None:
    log.write_text(event(1))
    process = spawn("logs", "--follow")
    assert line_of(process.stdout) == "peer=node-1"

    with log.open("a") as added:
        added.write(event(2)[:20])
        added.flush()
        added.write(event(2)[20:])
    assert line_of(process.stdout) == "peer=node-2"

    os.truncate(log, 0)
    with log.open("a") as added:
        added.write(event(3))
    assert line_of(process.stdout) == "peer=node-3"

    log.rename(log.with_name("old.log"))
    log.write_text(event(4))
    assert line_of(process.stdout) == "peer=node-4"

    process.send_signal(2)
    assert process.wait(DEADLINE_S) == 130


def test_a_detached_node_is_followed_to_its_end(spawn: Spawn, run: Run, directory: Path) -> None:
    started = spawn("node", "start", "--detach", "--log-level", "info")
    assert started.wait(DEADLINE_S) == 0
    assert run("node", "stop").exit_code == 0
    names = [json.loads(line)["event"] for line in run("logs", "--json").stdout.splitlines()]

    assert names == ["wal.replayed", "transport.started", "node.closed"]

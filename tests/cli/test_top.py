"""`top`: once, again and again, and as lines of JSON."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from .terminal import Terminal
from .tool import Run, Spawn, document

DEADLINE_S = 60.0
QUICK = ("--interval", "0.1")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path.parent / f"{tmp_path.name}-run"
    path.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))


@pytest.fixture
def node(spawn: Spawn) -> Iterator[Popen[bytes]]:
    """Run node-1 in the foreground."""
    process = spawn("node", "run", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["node"]["running"]
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)


def test_a_running_node_is_shown_once_with_rates_where_there_is_no_terminal(
    run: Run, node: Popen[bytes]
) -> None:
    run("store", "put", "k", "v")

    shown = run("top", *QUICK)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("node-1  up ")
    assert "1 key, " in shown.stdout
    assert "writes  0.0/s made" in shown.stdout


def test_a_node_that_does_not_run_is_shown_as_its_log_has_it(run: Run, directory: Path) -> None:
    run("store", "put", "k", "v")

    shown = run("top")
    assert shown.stdout.startswith("node-1  not running, offline, 0 of 0 peers connected\n")
    assert "writes " not in shown.stdout


def test_one_document_has_the_vitals_and_the_rates(run: Run, node: Popen[bytes]) -> None:
    found = document(run("top", "--once", "--json", *QUICK))

    assert list(found) == ["running", "vitals", "rates"]
    assert found["running"] is True
    assert found["vitals"]["node"]["node_id"] == "node-1"
    assert found["rates"]["writes_made"] == 0


def test_a_node_that_does_not_run_has_a_document_without_rates(run: Run, directory: Path) -> None:
    run("store", "put", "k", "v")

    found = document(run("top", "--json"))
    assert found["vitals"]["store"]["entries"] == 1
    assert (found["running"], found["rates"]) == (False, None)


def test_documents_come_a_line_at_each_look_until_nobody_reads_them(
    run: Run, node: Popen[bytes], spawn: Spawn
) -> None:
    process = spawn("top", "--json", *QUICK, stdin=DEVNULL)
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    process.stdout.close()

    assert first["vitals"]["elapsed_ms"] < second["vitals"]["elapsed_ms"]
    assert process.wait(DEADLINE_S) == 0


def test_a_node_that_ends_ends_the_show_and_is_named(node: Popen[bytes], spawn: Spawn) -> None:
    process = spawn("top", "--json", *QUICK, stdin=DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    node.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 4
    assert b"node-1" in errors


@pytest.mark.parametrize("kind", ["dumb", "xterm"])
def test_on_a_terminal_it_goes_on_until_q_is_pressed(
    directory: Path, node: Popen[bytes], kind: str
) -> None:
    with Terminal(directory, "top", *QUICK, kind=kind) as terminal:
        terminal.read(r"node-1  up")
        terminal.read(r"node-1  up")
        terminal.press("q")

        assert terminal.ended() == 0
        # What was on the terminal before is there again.
        assert ("\x1b[?1049l" in terminal.text) == (kind == "xterm")


def test_ctrl_c_ends_it_as_it_ends_every_command(directory: Path, node: Popen[bytes]) -> None:
    with Terminal(directory, "top", *QUICK) as terminal:
        terminal.read(r"node-1  up")
        os.kill(terminal.process.pid, signal.SIGINT)

        assert terminal.ended() == 130
        assert "Interrupted." in terminal.text


def test_once_on_a_terminal_is_once(directory: Path, node: Popen[bytes]) -> None:
    with Terminal(directory, "top", "--once", *QUICK) as terminal:
        assert terminal.ended() == 0
        assert terminal.text.count("node-1  up") == 1


@pytest.mark.parametrize("interval", ["0", "x", "3601"])
def test_an_interval_that_cannot_be_is_refused(run: Run, interval: str) -> None:
    refused = run("top", "--interval", interval)

    assert refused.exit_code == 2
    assert "is not a number from 0.1 to 3600" in refused.stderr

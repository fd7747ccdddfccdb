"""A node whose pipe nobody reads, or whose terminal is held with Ctrl-S, goes on, and it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import pytest

from softadastra import Client, ClientOptions, Peer
from tests.eventually import eventually

from .terminal import DEADLINE_SECONDS, Terminal
from .tool import Run, Spawn

CTRL_S = "\x13"
CTRL_Q = "\x11"

PIPE_BYTES = 4096
"""The least that a pipe can hold."""


class FullPipe:
    """A pipe that was filled and that nobody reads."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.write(self.writing, b" " * (PIPE_BYTES - 1) + b"\n")
        os.set_blocking(self._reading, False)
        self._text = ""

    def events(self) -> list[dict[str, object]]:
        """Read what is there; give all events so far, each of them whole."""
        with suppress(BlockingIOError):
            while some := os.read(self._reading, PIPE_BYTES):
                self._text += some.decode()
        return [json.loads(line) for line in self._text.splitlines() if line.strip()]

    def close(self) -> None:
        os.close(self.writing)
        os.close(self._reading)


@pytest.fixture
def pipe() -> Iterator[FullPipe]:
    full = FullPipe()
    yield full
    full.close()


def started(process: Popen[bytes]) -> int:
    """Wait until the node says that it runs; give its port."""
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["transport"]["port"]
    assert isinstance(port, int)
    return port


def by_signal(number: signal.Signals) -> Callable[[Popen[bytes], Run], None]:
    return lambda process, _: process.send_signal(number)


def by_command(_: Popen[bytes], run: Run) -> None:
    assert run("--node-id", "node-a", "node", "stop").exit_code == 0


@pytest.mark.parametrize(
    "stop",
    [by_signal(signal.SIGTERM), by_signal(signal.SIGINT), by_command],
    ids=["SIGTERM", "SIGINT", "node stop"],
)
def test_a_node_whose_log_nobody_reads_replicates_and_ends(
    spawn: Spawn, run: Run, pipe: FullPipe, stop: Callable[[Popen[bytes], Run], None]
) -> None:
    level = ("--log-level", "debug")
    process = spawn("node", "run", "--json", "--node-id", "node-a", *level, stderr=pipe.writing)
    peer = f"node-a@127.0.0.1:{started(process)}"
    options = ClientOptions(
        node_id="node-b", enable_wal=False, enable_transport=True, peers=(Peer.parse(peer),)
    )
    with Client(options) as b:
        b.start_transport()
        for n in range(20):
            assert run("--node-id", "node-a", "store", "put", f"a/{n}", "1").exit_code == 0
            b.put(f"b/{n}", 2)
        eventually(lambda: b.get("a/19", None) == "1" and b.wait_synced(0.1))
        stop(process, run)

        assert process.wait(DEADLINE_SECONDS) == 0


def test_when_the_log_is_read_on_it_says_how_much_is_missing(
    spawn: Spawn, run: Run, pipe: FullPipe
) -> None:
    form = ("--log-format", "json")
    process = spawn("node", "run", "--json", "--node-id", "node-a", *form, stderr=pipe.writing)
    started(process)
    eventually(lambda: run("--node-id", "node-a", "status").exit_code == 0)
    pipe.events()
    process.send_signal(signal.SIGTERM)

    assert process.wait(DEADLINE_SECONDS) == 0
    first, *_, last = pipe.events()
    assert first["event"] == "log.missed"
    assert last["event"] == "node.closed"


def test_a_node_at_a_terminal_ends_though_nobody_reads_its_log(
    spawn: Spawn, pipe: FullPipe
) -> None:
    screen, inside = pty.openpty()
    process = spawn("node", "run", "--node-id", "node-a", stdout=inside, stderr=pipe.writing)
    shown = os.read(screen, 100)
    process.send_signal(signal.SIGTERM)
    code = process.wait(DEADLINE_SECONDS)
    os.close(inside)
    os.close(screen)

    assert shown.startswith(b"Softadastra node running.")
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("heeded_hangup")
def test_a_node_ends_though_its_terminal_is_held(
    directory: Path, run: Run, number: signal.Signals
) -> None:
    with Terminal(directory, "--node-id", "node-a", "node", "run") as terminal:
        terminal.read("Press Ctrl.C to stop")
        terminal.press(CTRL_S)
        assert run("--node-id", "node-a", "store", "put", "k", "v").exit_code == 0
        terminal.process.send_signal(number)

        assert terminal.ended() == 0


def hold_before_it_says_that_it_runs(terminal: Terminal, run: Run) -> None:
    terminal.press(CTRL_S)
    eventually(lambda: '"running": true' in run("--node-id", "node-a", "status", "--json").output)


def test_a_node_whose_terminal_is_held_before_it_says_that_it_runs_can_be_stopped(
    directory: Path, run: Run
) -> None:
    with Terminal(directory, "--node-id", "node-a", "node", "run") as terminal:
        hold_before_it_says_that_it_runs(terminal, run)
        assert run("--node-id", "node-a", "node", "stop").exit_code == 0

        assert terminal.ended() == 0
        assert terminal.text == ""


def test_a_node_whose_terminal_was_held_says_what_it_runs_when_it_is_let_go(
    directory: Path, run: Run
) -> None:
    with Terminal(directory, "--node-id", "node-a", "node", "run") as terminal:
        hold_before_it_says_that_it_runs(terminal, run)
        terminal.press(CTRL_Q)
        terminal.read("Softadastra node running. Node node-a")
        terminal.process.send_signal(signal.SIGTERM)

        assert terminal.ended() == 0

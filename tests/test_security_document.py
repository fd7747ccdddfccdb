"""The commands of docs/security.md, each of them run as it stands there, in its order.

Addresses become those of the loopback interface, ports free ones, and the words for keys the keys.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from tests.cli.terminal import DEADLINE_SECONDS, Terminal
from tests.test_documents import ROOT, blocks_of

DOCUMENT = ROOT / "docs" / "security.md"

PROGRAM = (sys.executable, "-m", "softadastra")


def commands() -> list[list[str]]:
    """The lines that are typed, without the program's name."""
    typed = [
        line.removeprefix("$ ")
        for block in blocks_of(DOCUMENT.read_text())
        if block.language == "console"
        for line in block.code.splitlines()
    ]
    words = [shlex.split(line) for line in typed]
    assert all(each[0] == "softadastra" for each in words)
    return [each[1:] for each in words]


class Machines:
    """Runs the commands of two machines in one directory."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._environment = {n: v for n, v in os.environ.items() if "SOFTADASTRA" not in n}
        self.nodes: list[Popen[bytes]] = []
        self.terminals: list[Terminal] = []
        self.outputs: dict[str, str] = {}
        with ExitStack() as probes:
            free = [probes.enter_context(socket.socket()) for _ in range(2)]
            for probe in free:
                probe.bind(("127.0.0.1", 0))
            sync, pairing = (str(probe.getsockname()[1]) for probe in free)
        self._places = {"4041": sync, "4051": pairing, "0.0.0.0": "127.0.0.1"}
        self._places["192.0.2.10"] = "127.0.0.1"

    def type(self, words: list[str]) -> None:
        command = [self._here(word) for word in words]
        match words[2:4]:
            case ["node", "run"]:
                self.start(command)
            case ["keys", "pair"]:
                self.open(command)
            case _:
                self.outputs[shlex.join(words)] = self.run(command)

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            [*PROGRAM, *command],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def start(self, command: list[str]) -> None:
        process = Popen(
            [*PROGRAM, *command, "--log-format", "json"],
            cwd=self._directory,
            env=self._environment,
            stdout=PIPE,
            stderr=PIPE,
        )
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        self.nodes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Softadastra node running.")

    def open(self, command: list[str]) -> None:
        is_waiting = not any(":" in word for word in command)
        beyond = ["--host", "127.0.0.1"] if is_waiting else []
        terminal = Terminal(self._directory, *command, *beyond)
        self.terminals.append(self._stack.enter_context(terminal))

    def wait_for(self, node: int, event: str) -> dict[str, object]:
        """Read a node's log until an event."""
        log = self.nodes[node].stderr
        assert log is not None
        for line in log:
            found: dict[str, object] = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"the node ended without {event}")

    def _here(self, word: str) -> str:
        if word in ("OFFICE-KEY", "TILL-KEY"):
            name = word.removesuffix("-KEY").lower()
            shown = self.run(["--node-id", name, "keys", "show", "--json"])
            return str(json.loads(shown)["key"]["public_key"])
        for place, here in self._places.items():
            word = word.replace(place, here)
        return word


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


def test_the_commands_of_the_document_do_what_it_says(machines: Machines) -> None:
    remaining = commands()
    kinds = [" ".join(words[2:4]) for words in remaining]
    by_hand, revoking = kinds.index("keys pair"), kinds.index("keys revoke")

    for words in remaining[:by_hand]:
        machines.type(words)
    assert "office" in machines.outputs["--node-id till keys list"]
    assert machines.wait_for(1, "peer.connected")["peer"] == "till"

    for words in remaining[by_hand:revoking]:
        machines.type(words)
    code = machines.terminals[0].read(r"code +(\d{3} \d{3})\n")[1]
    assert machines.terminals[1].read(r"code +(\d{3} \d{3})\n")[1] == code
    for terminal in machines.terminals:
        terminal.type(code)
    assert [terminal.ended() for terminal in machines.terminals] == [0, 0]

    for words in remaining[revoking:]:
        machines.type(words)
    assert machines.wait_for(0, "trust.changed")["removed"] == ["office"]
    assert machines.wait_for(1, "peer.lost")["peer"] == "till"
    assert machines.wait_for(1, "auth.failed")["reason"] == "not_trusted"


def test_what_the_screen_shows_while_pairing_is_what_the_document_shows(tmp_path: Path) -> None:
    with Terminal(tmp_path, "--node-id", "till", "keys", "pair", "--host", "127.0.0.1") as till:
        port = till.read(r"keys pair 127\.0\.0\.1:(\d+)\n")[1]
        with Terminal(
            tmp_path, "--node-id", "office", "keys", "pair", f"127.0.0.1:{port}"
        ) as other:
            other.read(r"code ")
            till.read(r"or no:")
            seen = [without_keys(line) for line in till.text.splitlines()]
    question = seen[seen.index("this node FINGERPRINT till") :]
    documented = [without_keys(line) for line in DOCUMENT.read_text().splitlines()]

    assert len(question) == 5
    for line in question:
        assert line in documented


def without_keys(line: str) -> str:
    line = re.sub(r"\b\w{5}(-\w{5}){3}\b", "FINGERPRINT", line)
    return " ".join(re.sub(r"\b\d{3} \d{3}\b", "CODE", line).split())

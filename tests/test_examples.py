"""The examples run, and tell the story that the documents tell of them."""

from __future__ import annotations

import runpy
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from softadastra import Client, ClientOptions

EXAMPLES = Path(__file__).parents[1] / "examples"

GOLDEN_STORY = """\
connected to node-b

before tick
  outbox       : 1
  queued       : 1
  in flight    : 0
  acknowledged : 0
  failed       : 0

sync tick
  retried : 0
  pruned  : 0
  batch   : 1

after the acknowledgement
  outbox       : 1
  queued       : 0
  in flight    : 0
  acknowledged : 1
  failed       : 0

node-b has message/1 = 'hello from node-a'

pruned 1; node-a still has 'hello from node-a'

after pruning
  outbox       : 0
  queued       : 0
  in flight    : 0
  acknowledged : 0
  failed       : 0
"""


@pytest.fixture
def two_node_sync(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Run the example in an empty directory, on ports that the system picks."""
    monkeypatch.chdir(tmp_path)
    example: dict[str, Any] = runpy.run_path(str(EXAMPLES / "two_node_sync.py"))

    def run() -> str:
        example["main"](tmp_path / "data", 0, 0)
        return capsys.readouterr().out

    return run


def test_two_nodes_tell_the_golden_story(two_node_sync: Callable[[], str]) -> None:
    assert two_node_sync() == GOLDEN_STORY


def test_a_second_run_in_the_same_directory_finds_the_write_and_sends_nothing(
    two_node_sync: Callable[[], str], tmp_path: Path
) -> None:
    two_node_sync()

    again = two_node_sync()

    assert again.startswith("connected to node-b\n")
    assert "there is nothing to send" in again
    assert "batch   : 0" in again
    assert "node-b has message/1 = 'hello from node-a'" in again
    assert "pruned 0; node-a still has 'hello from node-a'" in again
    assert {path.name for path in (tmp_path / "data").glob("*.wal")} == {"node-a.wal", "node-b.wal"}


def test_what_another_process_holds_ends_the_example_in_a_line(tmp_path: Path) -> None:
    options = ClientOptions.persistent("node-a", tmp_path / "data" / "node-a.wal")
    with Client(options):
        done = subprocess.run(
            [sys.executable, EXAMPLES / "two_node_sync.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "is in use by node 'node-a'" in done.stderr
    assert done.stderr.count("\n") == 1


class Chatter:
    """A terminal in which the chat runs, in a room of the test's own, on this machine."""

    def __init__(self, name: str, room: str) -> None:
        program = [sys.executable, "-W", "error", str(EXAMPLES / "lan_chat.py")]
        self._process = subprocess.Popen(
            [*program, name, "--room", room, "--host", "127.0.0.1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    def say(self, line: str) -> None:
        self._input.write(f"{line}\n")
        self._input.flush()

    def sees(self, text: str) -> str:
        """Give the next line that has this in it; the test's time limit ends the wait."""
        while line := self._output.readline():
            if text in line:
                return line.rstrip("\n")
        raise AssertionError(f"it ended without {text!r}")

    def leave(self) -> int:
        self._input.close()
        return self._process.wait(30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._input.close()
        self._output.close()


@pytest.fixture
def chat() -> Iterator[Callable[[str], Chatter]]:
    room = secrets.token_hex(8)
    chatters: list[Chatter] = []

    def join(name: str) -> Chatter:
        chatters.append(Chatter(name, room))
        return chatters[-1]

    yield join
    for chatter in chatters:
        chatter.kill()


def test_two_terminals_chat_without_an_address_and_a_third_one_gets_what_was_said(
    chat: Callable[[str], Chatter],
) -> None:
    ada, grace = chat("Ada"), chat("Grace")
    assert ada.sees("You are Ada-").endswith("Ctrl-D ends.")
    ada.say("hello")
    assert grace.sees("hello") == "Ada: hello"
    grace.say("hello Ada")
    assert ada.sees("hello Ada") == "Grace: hello Ada"

    assert ada.leave() == 0
    assert grace.sees("has left").startswith("* Ada-")
    late = chat("Tove")
    assert late.sees("hello") == "Ada: hello"
    assert (late.leave(), grace.leave()) == (0, 0)


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"lan_chat.py", "two_node_sync.py"}

"""`softadastra` alone: a session at a terminal that errors do not end."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from .terminal import DEADLINE_SECONDS, Terminal
from .tool import Run, Spawn

PROMPT = "softadastra> "


@pytest.fixture(autouse=True)
def places(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep history, and what runs, apart from this user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.setenv("INPUTRC", os.devnull)
    return directory / "state" / "softadastra" / "history"


@pytest.fixture
def session(directory: Path):
    with Terminal(directory) as terminal:
        terminal.read(PROMPT)
        yield terminal


def test_commands_follow_each_other_and_ctrl_d_leaves(session: Terminal) -> None:
    session.type("store put greeting 'hello there'")
    session.read("Stored value")
    session.type('store get "greeting" --raw')
    session.read("hello there")
    session.read(PROMPT)
    session.press("\x04")

    assert session.ended() == 0


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_a_word_leaves_too(session: Terminal, word: str) -> None:
    session.type(word)

    assert session.ended() == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "Unknown command: nonsense"),
        ("store get absent", "Key not found: absent"),
        ("store put k", "Missing key or value argument."),
        ("store put k 'x", "no closing quotation"),
        ("store put k @missing", "No such file"),
        ("store put k --port", "No such option"),
        ("--json", "Usage: softadastra"),
        ("help nowhere", "Unknown command: nowhere"),
        ("wal verify --wal nothing.wal", "no log at"),
    ],
)
def test_an_error_keeps_the_session_alive(session: Terminal, line: str, told: str) -> None:
    session.type(line)
    session.read(told)
    session.read(PROMPT)
    session.type("version")
    session.read(r"Softadastra \d")

    assert "Traceback" not in session.text


def test_the_prompt_stands_on_a_line_of_its_own(session: Terminal) -> None:
    session.type("store put k v")
    session.read(PROMPT)
    session.type("store get k --raw")
    session.read("\nv\n" + PROMPT)


def test_a_line_that_is_pasted_with_the_name_of_the_tool_is_understood(session: Terminal) -> None:
    session.type("softadastra version")
    session.read(r"Softadastra \d")


def test_ctrl_c_drops_the_line_that_is_typed(session: Terminal) -> None:
    session.press("store put k v")
    session.read("k v")
    session.interrupt()
    session.read(PROMPT)
    session.type("store get k")
    session.read("Key not found: k")


def test_ctrl_c_ends_a_command_and_not_the_session(session: Terminal, spawn: Spawn) -> None:
    session.type("node run")
    session.read("Press Ctrl")
    session.process.send_signal(signal.SIGINT)
    session.read("\nSoftadastra node stopped.\n" + PROMPT)
    spawn("node", "run", "--json").stdout.readline()  # type: ignore[union-attr]
    session.type("store watch")
    session.read("Watching all keys")
    session.process.send_signal(signal.SIGINT)
    session.read("Interrupted.")
    session.read(PROMPT)
    session.press("\x04")

    assert session.ended() == 0


def test_common_options_of_the_session_are_those_of_each_line(directory: Path) -> None:
    with Terminal(directory, "--node-id", "till") as session:
        session.read(PROMPT)
        session.type("store put k v --json")
        session.read('"origin": "till"')
        session.type("store put k v --json --node-id other")
        session.read('"origin": "other"')
        session.type("status")
        session.read(r"node\s+id\s+till")


def test_no_log_is_held_between_two_commands(
    session: Terminal, run: Run, spawn: Spawn, directory: Path
) -> None:
    session.type("store put k v")
    session.read("Stored value")
    session.read(PROMPT)

    assert run("store", "put", "k", "w").exit_code == 0
    node = spawn("node", "run", "--json")
    assert node.stdout is not None
    node.stdout.readline()
    session.type("store get k --raw")
    session.read("w")
    session.type("status --json")
    session.read(f'"pid": {node.pid}')


def test_what_a_command_logs_is_not_what_the_next_one_logs(session: Terminal) -> None:
    session.type("store put k v -vv")
    session.read("write.accepted")
    session.read(PROMPT)
    begin = len(session.text)
    session.type("store put k w")
    session.read("Stored value")
    session.read(PROMPT)

    assert "wal." not in session.text[begin:]


def test_history_goes_on_in_the_next_session(places: Path, directory: Path) -> None:
    with Terminal(directory) as first:
        first.read(PROMPT)
        first.type("version")
        first.read(r"Softadastra \d")
        first.read(PROMPT)
        first.type(" store put secret unseen")
        first.read("Stored value")
        first.read(PROMPT)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(DEADLINE_SECONDS)
    with Terminal(directory) as second:
        second.read(PROMPT)
        second.press("\x10")  # Ctrl-P: the line before
        second.read("version")
        second.type("")
        second.read(r"Softadastra \d")

    assert places.read_text() == "version\n"
    assert stat.S_IMODE(places.stat().st_mode) == 0o600


def test_a_place_for_history_that_cannot_be_written_is_no_error(
    directory: Path, places: Path
) -> None:
    (directory / "state").write_text("a file in its place")
    with Terminal(directory) as session:
        session.read(PROMPT)
        session.type("version")
        session.read(r"Softadastra \d")
        session.read(PROMPT)
        session.press("\x10")
        session.read("version")


def test_tab_completes_commands_options_keys_and_peers(directory: Path, spawn: Spawn) -> None:
    node = spawn("node", "run", "--json", "--peer", "office@127.0.0.1:1")
    assert node.stdout is not None
    node.stdout.readline()
    with Terminal(directory, "-q") as session:
        session.read(PROMPT)
        session.press("sto\t")
        session.read("store $")
        session.press("pu\t")
        session.read("put $")
        session.type("'a key' 1")
        session.read("Stored value")
        session.read(PROMPT)
        for begun, whole in [
            ("store get a\t", r"'a key' $"),
            ("store get 'a k\t", r"store get 'a key' $"),
            ('store get "a k\t', r'store get "a key" $'),
            ("store get --ra\t", r"store get --raw $"),
            ("peers remove of\t", r"peers remove office $"),
            ("softadastra ver\t", r"softadastra version $"),
        ]:
            session.press(begun)
            session.read(whole)
            session.press("\x15\n")  # Ctrl-U: away with it
            session.read(PROMPT)


def test_completing_without_a_node_is_quiet(session: Terminal) -> None:
    session.press("store get k\t\t")
    session.type("ey")
    session.read("Key not found: key")


@pytest.mark.usefixtures("heeded_hangup")
def test_a_terminal_that_is_gone_ends_it(directory: Path) -> None:
    with Terminal(directory) as session:
        session.read(PROMPT)
        session.process.send_signal(signal.SIGHUP)

        assert session.ended() != 0
    assert "Traceback" not in session.text


def test_without_a_terminal_the_help_is_shown(run: Run) -> None:
    found = run()

    assert found.exit_code == 2
    assert found.stdout == ""
    assert found.stderr.startswith("Usage: softadastra")

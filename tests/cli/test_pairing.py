"""Two people at two terminals: what they see, what they type, and what comes of it."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

import tests.eventually
from softadastra import Client, ClientOptions, Peer
from softadastra.cli.exit_codes import ExitCode
from softadastra.security.key_file import KeyFile
from softadastra.security.keys import PublicKey
from softadastra.security.trust_file import TrustFile

from .impostor import LOOPBACK, Impostor
from .json_documents import check
from .terminal import DEADLINE_SECONDS, Terminal
from .tool import Run, Spawn

CODE = r"code +(\d{3} \d{3})\n"
QUESTION = r"Type the code that the other one shows, or no:"
eventually = partial(tests.eventually.eventually, seconds=DEADLINE_SECONDS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Terminals:
    """Opens terminals in one directory, in which each node has its own files."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self.directory = directory

    def open(self, node_id: str, *arguments: str) -> Terminal:
        command = ("--node-id", node_id, "keys", "pair", *arguments)
        return self._stack.enter_context(Terminal(self.directory, *command))

    def waiting(self, node_id: str, *arguments: str) -> tuple[Terminal, int]:
        """Open a window that waits; give its port."""
        terminal = self.open(node_id, "--host", LOOPBACK, *arguments)
        return terminal, int(terminal.read(r"keys pair 127\.0\.0\.1:(\d+)\n")[1])

    def both(self, *arguments: str) -> tuple[Terminal, Terminal]:
        """Open the windows of two nodes, the till's and the office's, that find each other."""
        till, port = self.waiting("till", *arguments)
        return till, self.open("office", f"{LOOPBACK}:{port}", *arguments)

    def trusted(self, node_id: str) -> dict[str, PublicKey]:
        file = TrustFile(self.directory / "data" / f"{node_id}.wal.trusted")
        return dict(file.load().by_node)

    def key(self, node_id: str) -> PublicKey:
        return KeyFile(self.directory / "data" / f"{node_id}.wal.key").load().public


@pytest.fixture
def terminals(stack: ExitStack, directory: Path) -> Terminals:
    return Terminals(stack, directory)


def code_of(terminal: Terminal) -> str:
    code = terminal.read(CODE)[1]
    terminal.read(QUESTION)
    return code


def test_two_people_who_see_the_same_code_pair_their_nodes(terminals: Terminals) -> None:
    till, office = terminals.both()
    at_till, at_office = code_of(till), code_of(office)
    assert at_till == at_office

    till.type(at_office)
    till.read("Confirmed here. Waiting for the person at 'office'.")
    assert terminals.trusted("till") == {}
    office.type(at_till)

    assert (till.ended(), office.ended()) == (0, 0)
    assert terminals.trusted("till") == {"office": terminals.key("office")}
    assert terminals.trusted("office") == {"till": terminals.key("till")}
    for terminal in (till, office):
        for node_id in ("till", "office"):
            assert f"{terminals.key(node_id).fingerprint}  {node_id}\n" in terminal.text
    assert f"Paired with office, key {terminals.key('office').fingerprint}." in till.text


def test_who_dials_may_be_earlier_than_the_window_over_there(terminals: Terminals) -> None:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    office = terminals.open("office", f"{LOOPBACK}:{port}")
    office.read(rf"No window at 127\.0\.0\.1:{port} yet \(connection refused\)")
    till, _ = terminals.waiting("till", "--port", str(port))

    assert code_of(till) == code_of(office)


def test_running_nodes_meet_after_pairing_without_a_restart(
    terminals: Terminals, stack: ExitStack
) -> None:
    nodes = {}
    for node_id in ("till", "office"):
        path = terminals.directory / "data" / f"{node_id}.wal"
        options = ClientOptions.persistent(node_id, path, security="curve", retry_interval=0.5)
        nodes[node_id] = stack.enter_context(Client(options.with_local_transport()))
        nodes[node_id].start_transport()
    port = nodes["office"].transport_port
    assert port is not None
    with pytest.raises(ConnectionError, match="no key of 'office' is trusted here"):
        nodes["till"].connect(Peer.local("office", port))
    nodes["till"]["sale/1"] = "tea"

    till, office = terminals.both()
    code = code_of(till)
    code_of(office)
    till.type(code)
    office.type(code)
    assert (till.ended(), office.ended()) == (0, 0)

    eventually(lambda: nodes["office"].get("sale/1") == "tea")


def test_a_person_who_says_no_ends_it_and_nobody_is_trusted(terminals: Terminals) -> None:
    till, office = terminals.both()
    code = code_of(till)
    code_of(office)
    till.type(code)
    till.read("Confirmed here")
    office.type("no")

    assert office.ended() == ExitCode.FAILURE
    assert "error: not paired, nothing was trusted: 'till' was refused here" in office.text
    till.read("'office' refused: the person there says no. Nothing was trusted")
    till.process.send_signal(signal.SIGINT)
    assert till.ended() == ExitCode.INTERRUPTED
    assert (terminals.trusted("till"), terminals.trusted("office")) == ({}, {})


def test_a_person_who_leaves_ends_it_for_the_other_one(terminals: Terminals) -> None:
    till, office = terminals.both()
    code_of(till)
    code_of(office)
    office.process.send_signal(signal.SIGINT)

    assert office.ended() == ExitCode.INTERRUPTED
    till.read("'office' refused: the person there has gone")
    assert (terminals.trusted("till"), terminals.trusted("office")) == ({}, {})


def test_the_end_of_the_input_says_no(terminals: Terminals) -> None:
    till, office = terminals.both()
    code_of(till)
    code_of(office)
    office.press("\x04")  # Ctrl-D

    assert office.ended() == ExitCode.FAILURE
    till.read("the person there says no")


def test_a_window_closes_by_itself_and_nobody_is_trusted(terminals: Terminals) -> None:
    till, office = terminals.both("--window", "6")
    code_of(till)
    code_of(office)

    assert till.ended() == ExitCode.TIMED_OUT
    assert office.ended() in (ExitCode.TIMED_OUT, ExitCode.FAILURE)  # it may hear it from the till
    assert "the window was closed after 6 s: nothing was trusted" in till.text
    assert (terminals.trusted("till"), terminals.trusted("office")) == ({}, {})


def test_who_is_in_between_is_noticed_because_the_codes_differ(terminals: Terminals) -> None:
    till, port = terminals.waiting("till")
    with Impostor(port, dialled_as="office", listens_as="till") as between:
        office = terminals.open("office", f"{LOOPBACK}:{between.port}")
        at_till, at_office = code_of(till), code_of(office)
        assert at_till != at_office

        till.type(at_office)
        office.type(at_till)
        for terminal in (till, office):
            terminal.read("somebody\\s+is in between: type no")
            terminal.type("no")
        assert office.ended() == ExitCode.FAILURE
    assert (terminals.trusted("till"), terminals.trusted("office")) == ({}, {})


def test_a_third_party_that_knocks_first_is_not_taken_for_the_right_one(
    terminals: Terminals,
) -> None:
    till, port = terminals.waiting("till")
    with Impostor(port, dialled_as="office") as stranger:
        assert code_of(till) == stranger.await_code(DEADLINE_SECONDS)
        office = terminals.open("office", f"{LOOPBACK}:{port}")
        code = code_of(office)
        assert code_of(till) == code

        till.type(code)
        office.type(code)
        assert (till.ended(), office.ended()) == (0, 0)
    assert terminals.trusted("till") == {"office": terminals.key("office")}


def test_a_changed_key_of_a_pinned_name_is_an_error_with_both_fingerprints(
    terminals: Terminals, run: Run
) -> None:
    run("--node-id", "other", "keys", "init")
    pinned = terminals.key("other")
    run("--node-id", "till", "keys", "trust", "office", str(pinned))
    till, office = terminals.both()
    office_code = office.ended()

    words = f"expected {pinned.fingerprint}, seen {terminals.key('office').fingerprint}"
    assert office_code == ExitCode.FAILURE
    assert words in office.text
    till.read(words)
    assert terminals.trusted("till") == {"office": pinned}
    assert terminals.trusted("office") == {}


def test_the_result_is_json_on_request(terminals: Terminals) -> None:
    till, port = terminals.waiting("till")
    office = terminals.open("office", "--json", f"{LOOPBACK}:{port}")
    code = code_of(office)
    office.type(code)
    till.type(code)
    assert (till.ended(), office.ended()) == (0, 0)

    document = json.loads(office.text.strip().splitlines()[-1])
    check("keys pair", dict(document))
    key = terminals.key("till")
    assert document["paired"] == {
        "node_id": "till",
        "public_key": str(key),
        "fingerprint": key.fingerprint,
        "is_mutual": True,
    }


def test_without_a_person_it_is_refused(spawn: Spawn) -> None:
    process = spawn("keys", "pair", "127.0.0.1:1")
    output, errors = process.communicate(b"123 456\n", timeout=DEADLINE_SECONDS)

    assert process.returncode == ExitCode.FAILURE
    assert output == b""
    assert b"pairing needs a person who compares two codes" in errors

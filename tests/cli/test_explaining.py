"""`sync explain`: why a key or a peer is not in step, on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Peer, TransportError
from softadastra.sync.records import Registered
from softadastra.types import PeerSource

from .tool import Run, document


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExitStack]:
    runtime = tmp_path.parent / f"{tmp_path.name}-run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    with ExitStack() as stack:
        yield stack


def running(stack: ExitStack) -> Client:
    """A node in this process, which commands reach over its control socket."""
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport(0)
    node = stack.enter_context(Client(options))
    node.start_transport()
    with pytest.raises(TransportError):
        node.connect(Peer("office", "127.0.0.1", 1))
    return node


def test_a_key_is_explained_in_sentences_and_with_what_to_do(run: Run, stack: ExitStack) -> None:
    running(stack).put("greeting", "hello")

    found = run("sync", "explain", "greeting")
    lines = found.stdout.splitlines()
    assert found.exit_code == 0
    assert lines[0] == "Key greeting"
    assert lines[1].startswith("- The key is here: node-1-1 wrote it")
    assert any("office was not connected since this node opened: connection refused" in line
               for line in lines)  # fmt: skip
    assert lines[-2:] == [
        "What to do",
        "- See whether office runs, and whether its address is right and reachable.",
    ]


def test_a_peer_is_explained_the_same_way(run: Run, stack: ExitStack) -> None:
    running(stack).put("greeting", "hello")

    found = run("sync", "explain", "office")
    assert found.stdout.splitlines()[0] == "Peer office"
    assert "- office lacks 1 write of this node, the first of them made" in found.stdout


def test_a_document_has_each_finding_with_its_sentence(run: Run, stack: ExitStack) -> None:
    running(stack).put("greeting", "hello")

    key = document(run("sync", "explain", "greeting", "--json"))["key"]
    peer = document(run("sync", "explain", "office", "--json"))["peer"]
    assert (key["key"], key["writes"][0]["sync_id"]) == ("greeting", "node-1-1")
    assert [finding["cause"] for finding in key["findings"]] == [
        "present",
        "unheard",
        "disconnected",
    ]
    assert all(finding["sentence"].endswith(".") for finding in key["findings"])
    assert key["advice"]
    assert (peer["peer"]["node_id"], peer["peer"]["lag"]) == ("office", 1)


def test_a_name_that_is_a_peer_and_a_key_has_to_be_told_apart(run: Run, stack: ExitStack) -> None:
    running(stack).put("office", 1)

    both = run("sync", "explain", "office")
    assert both.exit_code == 2
    assert "'office' is a peer and a key: say which one is meant" in both.stderr
    assert run("sync", "explain", "office", "--key").stdout.startswith("Key office\n")
    assert run("sync", "explain", "office", "--peer").stdout.startswith("Peer office\n")


def test_a_name_that_is_neither_is_taken_for_a_key(run: Run, stack: ExitStack) -> None:
    running(stack)

    assert "- The key is not here" in run("sync", "explain", "nothing").stdout
    unknown = run("sync", "explain", "nobody", "--peer")
    assert (unknown.exit_code, unknown.stderr) == (3, "no peer 'nobody' is known\n")


def test_a_node_that_does_not_run_is_explained_from_its_log(run: Run, stack: ExitStack) -> None:
    run("store", "put", "greeting", "hello")

    _, here, alone = run("sync", "explain", "greeting").stdout.splitlines()
    assert here.startswith("- The key is here: node-1-1 wrote it")
    assert alone == "- No peer is known: all of it is on this node alone."


def test_what_is_missing_is_told_in_the_words_of_the_tool(run: Run, stack: ExitStack) -> None:
    missing = run("sync", "explain")
    empty = run("sync", "explain", "")

    assert (missing.exit_code, missing.stderr.splitlines()[0]) == (
        2,
        "Missing key or peer argument.",
    )
    assert (empty.exit_code, empty.stderr.splitlines()[0]) == (2, "Key cannot be empty.")


def test_what_keys_and_peers_are_called_cannot_move_the_cursor(run: Run, stack: ExitStack) -> None:
    key = "a\x1b[2Jb"
    node = running(stack)
    node.put(key, 1)
    # Nobody is connected by such a name; an old log may have it.
    named = Registered(Peer("liar\x1b[2J", "127.0.0.1", 1), PeerSource.MANUAL)
    node._opened().commit([named])

    found = run("sync", "explain", key)
    assert "\x1b" not in found.stdout
    assert "liar\\x1b[2J was not connected" in found.stdout
    assert json.loads(run("sync", "explain", key, "--json").stdout)["key"]["key"] == key

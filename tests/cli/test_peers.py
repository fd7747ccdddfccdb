"""Peers are added, removed and forgotten, on a node that runs and on one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions

from .tool import Run, document


@pytest.fixture
def office(tmp_path: Path) -> Iterator[str]:
    """Run another node; give its address."""
    options = ClientOptions.persistent("office", tmp_path / "office.wal").with_local_transport()
    with Client(options) as client:
        client.start_transport()
        yield f"office@127.0.0.1:{client.transport_port}"


@pytest.fixture
def running(directory: Path) -> Iterator[Client]:
    """Run node-1."""
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport()
    with Client(options) as client:
        client.start_transport()
        yield client


def known(run: Run) -> dict[str, str]:
    return {peer["node_id"]: peer["state"] for peer in document(run("peers", "--json"))["peers"]}


def test_peers_alone_lists_them(run: Run, running: Client) -> None:
    alone, named = run("peers"), run("peers", "list")

    assert (alone.exit_code, alone.stdout) == (0, named.stdout)
    assert "No transport peers found." in alone.stdout


def test_add_connects_the_running_node(run: Run, running: Client, office: str) -> None:
    added = run("peers", "add", office)

    assert (added.exit_code, added.stdout) == (0, f"Added {office}, connected.\n")
    assert known(run) == {"office": "connected"}
    running["k"] = 1
    assert running.wait_synced(10)


def test_add_tells_the_peer_as_json(run: Run, running: Client, office: str) -> None:
    added = document(run("peers", "add", office, "--json"))

    assert (added["connected"], added["reason"]) == (True, None)
    assert added["peer"]["node_id"] == "office"


def test_a_peer_that_is_added_to_a_node_that_does_not_run_is_remembered(
    run: Run, office: str
) -> None:
    added = run("peers", "add", office)

    assert added.exit_code == 0, added.output
    assert list(known(run)) == ["office"]
    run("store", "put", "k", "v")
    assert run("sync", "wait", "--timeout", "10").exit_code == 0


@pytest.mark.parametrize("runs", [True, False])
def test_a_peer_that_is_out_of_reach_is_known_all_the_same(
    run: Run, runs: bool, request: pytest.FixtureRequest
) -> None:
    if runs:
        request.getfixturevalue("running")
    added = run("peers", "add", "office@127.0.0.1:1")
    as_json = document(run("peers", "add", "office@127.0.0.1:1", "--json"))

    assert added.exit_code == 4
    assert added.stdout == "Added office@127.0.0.1:1, not connected: connection refused.\n"
    assert (as_json["connected"], as_json["reason"]) == (False, "connection refused")
    assert list(known(run)) == ["office"]


def test_remove_ends_the_connection_and_forget_strikes_it_off(
    run: Run, running: Client, office: str
) -> None:
    run("peers", "add", office)
    removed = run("peers", "remove", "office")
    still = known(run)
    forgotten = document(run("peers", "forget", "office", "--json"))

    assert removed.stdout == "Removed office: it is not dialled any more.\n"
    assert list(still) == ["office"]
    assert still["office"] != "connected"
    assert forgotten == {"forgotten": "office"}
    assert known(run) == {}
    running["k"] = 1
    assert run("peers", "forget", "office").exit_code == 3


def test_a_node_that_does_not_run_forgets_and_has_nobody_to_remove(run: Run, office: str) -> None:
    run("peers", "add", office)

    assert run("peers", "remove", "office").exit_code == 4
    assert run("peers", "forget", "office").stdout == "Forgot office.\n"
    assert known(run) == {}


@pytest.mark.parametrize("command", ["remove", "forget"])
def test_who_is_not_known_is_told(run: Run, running: Client, command: str) -> None:
    refused = run("peers", command, "nobody")

    assert refused.exit_code == 3
    assert refused.stderr == "no peer 'nobody' is known\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add",), "Missing peer argument."),
        (("add", "office"), "expected ID@HOST:PORT"),
        (("add", "office@host:99999"), "port from 1 to 65535"),
        (("remove",), "Missing node argument."),
        (("forget",), "Missing node argument."),
        (("frobnicate",), "Unknown peers command: frobnicate"),
    ],
)
def test_a_wrong_command_line_is_explained(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    refused = run("peers", *arguments)

    assert refused.exit_code == 2
    assert words in refused.stderr
    assert "Usage: softadastra peers" in refused.stderr


def test_a_node_cannot_be_its_own_peer(run: Run, running: Client) -> None:
    refused = run("peers", "add", "node-1@127.0.0.1:5000")

    assert refused.exit_code == 1
    assert "is this node itself" in refused.stderr


# Waiting for them.


def test_wait_returns_when_the_writes_are_there(run: Run, running: Client, office: str) -> None:
    run("peers", "add", office)
    run("store", "put", "k", "v")
    waited = run("sync", "wait")
    as_json = document(run("sync", "wait", "--peer", "office", "--json"))

    assert (waited.exit_code, waited.stdout) == (0, "Synced.\n")
    assert as_json["synced"] is True
    assert as_json["sync"]["acknowledged_count"] == 1
    assert run("sync", "wait", "--any").exit_code == 0


@pytest.mark.parametrize("runs", [True, False])
def test_wait_says_what_is_missing_when_time_is_up(
    run: Run, runs: bool, request: pytest.FixtureRequest
) -> None:
    if runs:
        request.getfixturevalue("running")
    run("store", "put", "k", "v")
    alone = run("sync", "wait", "--timeout", "0.1")
    run("peers", "add", "office@127.0.0.1:1")
    behind = run("sync", "wait", "--timeout", "0.1")
    as_json = run("sync", "wait", "--timeout", "0.1", "--json")

    assert (alone.exit_code, behind.exit_code, as_json.exit_code) == (124, 124, 124)
    assert alone.stderr == "Not synced: 1 write and no peer yet.\n"
    assert "Not synced: 1 write not at every peer (office lacks 1, " in behind.stderr
    assert document(as_json)["synced"] is False


def test_wait_says_that_nobody_is_known_by_a_name_it_waited_for(run: Run) -> None:
    run("store", "put", "k", "v")
    run("peers", "add", "office@127.0.0.1:1")

    waited = run("sync", "wait", "--timeout", "0", "--peer", "office", "--peer", "ofice")

    assert waited.exit_code == 124
    assert waited.stderr.endswith("Not synced: no peer is known as ofice.\n")


def test_wait_takes_any_or_named_peers(run: Run) -> None:
    refused = run("sync", "wait", "--any", "--peer", "office")

    assert refused.exit_code == 2
    assert "Choose one of --any and --peer." in refused.stderr


def test_retry_is_for_a_node_that_runs(run: Run, directory: Path) -> None:
    refused = run("sync", "retry")
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport()
    with Client(options) as client:
        client.start_transport()
        client["k"] = 1
        shown = run("sync", "retry")
        found = document(run("sync", "retry", "--json"))

    assert refused.exit_code == 4
    assert "not running" in refused.stderr
    assert shown.stdout.split()[-4:] == ["requeued_count", "0", "retried_count", "0"]
    assert found["retry"] == {"requeued_count": 0, "retried_count": 0}
    assert found["sync"]["outbox_size"] == 1

"""What is shown of a node, its peers and its outbox."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Peer, SyncState
from softadastra.types import PeerSource

from .tool import Run, document

READING = [
    ("status",),
    ("node", "info"),
    ("peers",),
    ("store", "get", "key"),
    ("store", "remove", "key"),
    ("store", "list"),
    ("store", "export"),
    ("sync", "status"),
]


def rows(shown: str) -> list[list[str]]:
    """Read the rows below the header of a table."""
    lines = shown.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    return [line.split() for line in lines[rule + 1 :] if line]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_reading_a_node_that_is_not_there_makes_nothing_and_says_so(
    run: Run, directory: Path, arguments: tuple[str, ...]
) -> None:
    found = run(*arguments)

    assert found.exit_code == (3 if "key" in arguments else 0)
    assert "Node node-1 is empty: no log at data/node-1.wal yet." in found.stderr
    assert list(directory.iterdir()) == []


def test_status_has_the_rows_of_the_original(run: Run) -> None:
    run("store", "put", "key", "value")

    shown = run("status")
    assert shown.stdout.splitlines()[0] == "Softadastra status"
    assert shown.stdout.splitlines()[1].split() == ["Component", "Metric", "Value"]
    assert rows(shown.stdout) == [
        ["node", "id", "node-1"],
        ["node", "running", "no"],
        ["store", "entries", "1"],
        ["sync", "outbox", "1"],
        ["sync", "queued", "1"],
        ["sync", "in_flight", "0"],
        ["sync", "acknowledged", "0"],
        ["sync", "failed", "0"],
        ["transport", "running", "no"],
        ["transport", "peers", "0"],
        ["discovery", "running", "no"],
        ["discovery", "peers", "0"],
        ["metadata", "running", "no"],
    ]


def test_status_as_a_document_has_an_object_for_each_part(run: Run) -> None:
    run("store", "put", "key", "value")
    found = document(run("status", "--json"))

    assert set(found) == {"node", "store", "sync", "transport", "discovery", "peers"}
    assert found["node"]["id"] == "node-1"
    assert found["node"]["running"] is False
    assert found["store"]["entries"] == 1
    assert set(found["sync"]) == {field.name for field in dataclasses.fields(SyncState)}
    assert found["sync"]["queued_count"] == 1
    assert found["transport"]["running"] is False
    assert found["discovery"] == {"running": False, "peers": 0}
    assert found["peers"] == []


def test_the_digest_tells_equal_stores_from_others(run: Run) -> None:
    def digest(node_id: str) -> object:
        return document(run("status", "--json", "--node-id", node_id))["store"]["digest"]

    empty = digest("node-a")
    run("store", "put", "key", "value", "--node-id", "node-a")

    assert digest("node-a") != empty == digest("node-b")


def test_node_info_has_the_rows_of_the_original(run: Run) -> None:
    shown = run("node", "info", "--node-id", "node-a")

    assert [row[0] for row in rows(shown.stdout)] == [
        "node_id",
        "display_name",
        "hostname",
        "os",
        "version",
        "started_at",
        "uptime_ms",
        "capabilities",
        "node_running",
    ]
    assert rows(shown.stdout)[0] == ["node_id", "node-a"]


def test_node_info_as_a_document_lists_the_capabilities(run: Run) -> None:
    found = document(run("node", "info", "--json"))["node"]

    assert {"core", "store", "sync", "metadata"} <= set(found["capabilities"])
    assert found["hostname"]
    assert found["running"] is False
    assert found["uptime_ms"] is None


def test_sync_status_has_the_rows_of_the_original(run: Run) -> None:
    run("store", "put", "key", "value")

    assert rows(run("sync", "status").stdout) == [
        ["node_id", "node-1"],
        ["outbox_size", "1"],
        ["queued_count", "1"],
        ["in_flight_count", "0"],
        ["acknowledged_count", "0"],
        ["failed_count", "0"],
        ["held_count", "0"],
        ["last_submitted_version", "1"],
        ["last_applied_remote_version", "0"],
        ["total_retries", "0"],
    ]
    assert document(run("sync", "status", "--json"))["node_id"] == "node-1"


def test_a_node_without_peers_shows_that_it_has_none(run: Run) -> None:
    shown = run("peers").stdout

    assert "No discovery peers found." in shown
    assert "No transport peers found." in shown
    assert document(run("peers", "--json"))["peers"] == []


def test_peers_are_shown_with_their_source_and_state(run: Run, directory: Path) -> None:
    with Client(ClientOptions.persistent("node-1", directory / "data" / "node-1.wal")) as client:
        node = client._opened()
        for name, source in (("found", PeerSource.MDNS), ("named", PeerSource.MANUAL)):
            with node.lock:
                record = node.engine.register(Peer(name, "10.0.0.2", 4042), source, node.now())
            assert record is not None
            node.commit([record])

    found, everybody = run("peers").stdout.split("Transport peers")
    assert rows(found)[-1][:4] == ["found", "10.0.0.2", "4042", "available"]
    assert [row[:5] for row in rows(everybody)] == [
        ["found", "10.0.0.2", "4042", "mdns", "available"],
        ["named", "10.0.0.2", "4042", "manual", "available"],
    ]
    peers = document(run("peers", "--json"))["peers"]
    assert [(peer["source"], peer["state"]) for peer in peers] == [
        ("mdns", "available"),
        ("manual", "available"),
    ]


def test_a_tick_without_peers_keeps_the_work_and_succeeds(run: Run) -> None:
    nothing_to_do = run("sync", "tick")
    run("store", "put", "key", "value")
    nobody_there = run("sync", "tick")

    assert nothing_to_do.exit_code == nobody_there.exit_code == 0
    assert [row[0] for row in rows(nobody_there.stdout)[:5]] == [
        "retried_count",
        "batch_size",
        "connected_peers",
        "sent_count",
        "pruned_count",
    ]
    assert nothing_to_do.stdout.endswith("\nNo sync operations ready for delivery.\n")
    assert nobody_there.stdout.endswith("\nNo connected transport peers available.\n")
    assert document(run("sync", "tick", "--json"))["sync"]["queued_count"] == 1

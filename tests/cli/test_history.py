"""`softadastra store history` tells what the log has of a key, whether its node runs or not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .tool import Run, Spawn, document


@pytest.fixture(autouse=True)
def runtime(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))


@pytest.fixture
def written(run: Run) -> None:
    run("store", "put", "k", "tea\x1b[31m")
    run("store", "put", "k", "[1]", "--json-value")
    run("store", "remove", "k")
    run("store", "put", "k", "w==", "--bytes-value")


def test_each_write_is_a_row_for_people(run: Run, written: None) -> None:
    found = run("store", "history", "k")
    rows = [line.split()[2:] for line in found.stdout.splitlines()[3:]]

    assert found.exit_code == 0
    assert found.stderr == ""
    assert rows == [
        ["node-1-1", "1", "written", "tea\\x1b[31m", "replaced", "by", "node-1-2"],
        ["node-1-2", "2", "written", "[1]", "replaced", "by", "node-1-3"],
        ["node-1-3", "3", "written", "(removed)", "replaced", "by", "node-1-4"],
        ["node-1-4", "4", "written", '{"$bytes":', '"dz09"}', "stands"],
    ]


def test_programs_get_the_same_as_json(run: Run, written: None) -> None:
    found = document(run("store", "history", "k", "--limit", "2", "--json"))
    removed, last = found["versions"]

    assert (found["key"], found["has_more"]) == ("k", True)
    assert (found["is_rewritten"], found["is_damaged"]) == (False, False)
    assert (removed["is_removed"], removed["value"], removed["by"]) == (True, None, "node-1-4")
    assert last["value"] == {"$bytes": "dz09"}
    assert (last["fate"], last["by"]) == ("stands", None)


def test_a_limit_shows_the_last_and_says_how_many_came_before(run: Run, written: None) -> None:
    found = run("store", "history", "k", "--limit", "1")

    assert len(found.stdout.splitlines()) == 4
    assert found.stderr == "3 writes came before these.\n"


def test_a_key_that_the_log_does_not_know_is_not_found(run: Run, written: None) -> None:
    found = run("store", "history", "kk")

    assert (found.exit_code, found.stdout) == (3, "")
    assert found.stderr == "Key not found: kk\n"
    assert run("store", "history", "").exit_code == 2
    assert run("store", "history", "k", "--limit", "0").exit_code == 2
    assert run("store", "history", "k", "--wal", "nowhere.wal").exit_code == 3


def test_it_says_what_rewriting_the_log_has_taken(run: Run, written: None) -> None:
    run("wal", "compact")
    found = run("store", "history", "k")

    assert found.stdout.splitlines()[3].split()[2:5] == ["node-1-4", "4", "kept"]
    assert found.stderr.startswith("The log was rewritten 1 time: what had been replaced")


def test_a_node_that_runs_is_neither_asked_nor_held_up(
    run: Run, spawn: Spawn, written: None
) -> None:
    node = spawn("node", "run", "--json")
    assert node.stdout is not None
    node.stdout.readline()
    run("store", "put", "k", "five")
    node.send_signal(signal.SIGSTOP)
    try:
        found = document(run("store", "history", "k", "--json"))
    finally:
        node.send_signal(signal.SIGCONT)

    assert [each["sync_id"] for each in found["versions"]] == [f"node-1-{n}" for n in range(1, 6)]


def test_damage_ends_it_in_6_with_what_comes_before(run: Run, written: None) -> None:
    offset = document(run("store", "history", "k", "--json"))["versions"][1]["offset"]
    path = Path("data/node-1.wal")
    image = bytearray(path.read_bytes())
    image[offset + 30] ^= 0xFF
    path.write_bytes(image)
    shown, as_json = run("store", "history", "k"), run("store", "history", "k", "--json")

    assert (shown.exit_code, as_json.exit_code) == (6, 6)
    assert "node-1-1" in shown.stdout
    assert shown.stderr.startswith("error: the log is damaged: ")
    assert document(as_json)["is_damaged"] is True


def test_a_write_that_was_never_finished_is_no_damage(run: Run, written: None) -> None:
    offset = document(run("store", "history", "k", "--json"))["versions"][3]["offset"]
    path = Path("data/node-1.wal")
    path.write_bytes(path.read_bytes()[: offset + 20])
    found = run("store", "history", "k")

    assert found.exit_code == 0
    assert found.stdout.splitlines()[-1].split()[2:5] == ["node-1-3", "3", "written"]
    assert "stands" in found.stdout.splitlines()[-1]


def test_a_narrow_terminal_gets_blocks(
    run: Run, written: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    found = run("store", "history", "k")

    assert max(map(len, found.stdout.splitlines())) <= 40
    assert found.stdout.count("node-1-4") == 2

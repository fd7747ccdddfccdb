"""`softadastra trace` finds one write in the logs of all nodes, and says when it cannot."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.engines import Network
from tests.tracing.logged import Recorder

from .tool import Run, document

KEY = "a\x1b[31mkey"


@pytest.fixture
def logs(directory: Path) -> Path:
    """Make the logs of three nodes in a line, where they belong, with a write of each end."""
    network = Network("node-a", "node-b", "node-c")
    network.join("node-a", "node-b")
    network.join("node-b", "node-c")
    recorder = Recorder(network)
    recorder.run()
    for name in ("node-a", "node-c"):
        recorder.write(name, KEY, f"a secret value of {name}")
        recorder.run()
    data = directory / "data"
    data.mkdir()
    for name, lines in recorder.lines.items():
        (data / f"{name}.wal.log").write_text("".join(lines))
    return data


def test_without_logs_it_reads_all_beside_the_own_one(run: Run, logs: Path) -> None:
    done = run("trace", "node-a-1")

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "node-a-1  key a\\x1b[31mkey",
        "  accepted by node-a",
        "  merged by node-b, node-c",
        "  acknowledged by node-b, node-c",
    ]
    assert "│   │   ●      +0 ms  merged batch 1 from node-b" in lines
    assert done.stderr == ""
    assert "secret" not in done.output


def test_a_write_ahead_log_is_no_log_of_events_whatever_it_is_called(run: Run, logs: Path) -> None:
    run("store", "put", "k", "v", "--node-id", "other", "--wal", str(logs / "store.log"))

    found = document(run("trace", "node-a-1", "--json"))["trace"]

    assert [Path(log["name"]).name for log in found["logs"]] == [
        "node-a.wal.log",
        "node-b.wal.log",
        "node-c.wal.log",
    ]


def test_a_node_of_another_directory_is_found_by_its_log(run: Run, logs: Path) -> None:
    assert run("trace", "node-a-1", "--wal", str(logs / "node-b.wal")).exit_code == 0


def test_rotated_and_packed_logs_are_read_and_none_twice(run: Run, logs: Path) -> None:
    path = logs / "node-a.wal.log"
    lines = path.read_text().splitlines(keepends=True)
    (logs / "node-a.wal.log.2.gz").write_bytes(gzip.compress("".join(lines[:4]).encode()))
    (logs / "node-a.wal.log.1").write_text("".join(lines[4:6]))
    path.write_text("".join(lines[6:]) + '{"event":"cut')

    names = sorted(str(each) for each in logs.iterdir())
    found = document(run("trace", "node-a-1", "--json", *names, *names))["trace"]

    assert len(found["logs"]) == 5
    stages = [step["stage"] for step in found["steps"] if step["node_id"] == "node-a"]
    assert stages == ["accepted", "sent", "acknowledged"]
    assert [log["is_cut"] for log in found["logs"]].count(True) == 1


def test_the_document_has_the_journey_as_a_value(run: Run, logs: Path) -> None:
    found = document(run("trace", "node-c-1", "--json"))["trace"]

    assert found["sync_id"] == "node-c-1"
    assert found["key"] == KEY
    assert [node["node_id"] for node in found["nodes"]] == ["node-c", "node-b", "node-a"]
    assert found["nodes"][0]["skew_ms"] == 0
    first = found["steps"][0]
    assert (first["stage"], first["is_durable"], first["causes"]) == ("accepted", True, [])
    for step in found["steps"]:
        assert all(cause < step["number"] for cause in step["causes"])


@pytest.mark.parametrize(
    ("form", "beginning"), [("html", "<!DOCTYPE html>"), ("mermaid", "sequenceDiagram\n")]
)
def test_other_forms_go_to_standard_output_or_to_a_file(
    run: Run, logs: Path, form: str, beginning: str
) -> None:
    shown = run("trace", "node-a-1", "--format", form)
    done = run("trace", "node-a-1", "--format", form, "--output", "journey")

    assert shown.stdout.startswith(beginning)
    assert Path("journey").read_text() == shown.stdout
    assert (done.stdout, done.stderr) == ("", "The journey of node-a-1 is in journey.\n")


def test_an_unknown_write_says_which_logs_were_read_and_what_is_near(run: Run, logs: Path) -> None:
    done = run("trace", "node-a-9")
    other = run("trace", "node-b-1", "--json")

    assert done.exit_code == other.exit_code == 3
    assert done.stdout == ""
    assert "data/node-a.wal.log, data/node-b.wal.log, data/node-c.wal.log" in done.stderr
    assert "They have node-a-1 to node-a-1." in done.stderr
    error = json.loads(other.stdout)["error"]
    assert error["code"] == "not_found"
    assert len(error["context"]["logs"]) == 3
    assert "They have writes of node-a, node-c." in error["message"]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('{"event":"node.closed","level":"info","node_id":"a","ts":1}\n', "--log-level debug"),
        ("2026-11-26 [info] peer.connected\n", "--log-format json"),
    ],
)
def test_logs_without_what_is_needed_say_how_to_get_it(
    run: Run, directory: Path, text: str, advice: str
) -> None:
    Path("a.log").write_text(text)
    done = run("trace", "a-1", "a.log")

    assert done.exit_code == 3
    assert advice in done.stderr


def test_what_is_wrong_on_the_command_line_is_said(run: Run, directory: Path) -> None:
    assert run("trace", "node-a").exit_code == 2
    assert "expected the node's id, a hyphen and a number" in run("trace", "node-a").stderr
    assert run("trace").exit_code == 2
    absent = run("trace", "a-1", "absent.log")
    assert (absent.exit_code, "no log at absent.log" in absent.stderr) == (3, True)
    nowhere = run("trace", "a-1")
    assert (nowhere.exit_code, "no log in data" in nowhere.stderr) == (3, True)


def test_a_log_or_a_picture_that_cannot_be_read_or_written_is_said(run: Run, logs: Path) -> None:
    Path("broken.log.1.gz").write_bytes(b"\x1f\x8bno gzip")

    broken = run("trace", "node-a-1", "broken.log.1.gz")
    unwritable = run("trace", "node-a-1", "--output", "absent/journey")

    assert (broken.exit_code, unwritable.exit_code) == (1, 1)
    assert "cannot read the log 'broken.log.1.gz'" in broken.stderr
    assert "choose another file with --output" in unwritable.stderr


def test_a_missing_log_is_remarked_on_standard_error(run: Run, logs: Path) -> None:
    done = run("trace", "node-a-1", str(logs / "node-a.wal.log"))
    quiet = run("trace", "node-a-1", "-q", str(logs / "node-a.wal.log"))

    assert done.stderr == "Note: no log of node-b was read.\n"
    assert quiet.stderr == ""


def test_a_terminal_that_lacks_the_signs_gets_ascii(
    run: Run, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "│" in run("trace", "node-a-1").stdout

    import click.testing

    from softadastra.cli.main import cli

    done = click.testing.CliRunner(charset="ascii").invoke(cli, ["trace", "node-a-1"])

    assert done.exit_code == 0
    assert "|   |   *  merged batch 1 from node-b" in done.stdout.splitlines()
    assert done.stdout.isascii()
    assert max(map(len, done.stdout.splitlines()[5:])) <= 40

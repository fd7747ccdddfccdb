"""The demo as a user runs it: what it prints, how it exits, and that it can fail."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from softadastra.cli import demo_run, demo_story
from softadastra.cli.demo_story import named_characters
from softadastra.cli.main import cli
from softadastra.testing import LocalNode, wait_until
from tests.processes import children_of, has_ended

from .json_documents import check

DEADLINE_SECONDS = 60.0
DEMO = [sys.executable, "-m", "softadastra", "demo", "--seed", "7"]


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        env={**os.environ, **environment},
    )


def test_the_demo_loses_nothing_and_its_last_line_says_so() -> None:
    demo = run_demo("--keys", "400", COLUMNS="60")

    assert (demo.returncode, demo.stderr) == (0, "")
    *lines, last = demo.stdout.splitlines()
    assert re.fullmatch(r"3 nodes, [\d,]+ writes, converged in \d+\.\d\d s, 0 writes lost", last)
    for event in ("is stopped (SIGSTOP)", "goes on (SIGCONT)", "kill -9", "started again"):
        assert any(event in line for line in lines)
    assert max(map(len, lines)) <= 60
    assert "\x1b" not in demo.stdout


def test_the_json_document_tells_the_whole_story(tmp_path: Path) -> None:
    directory = tmp_path / "kept"

    demo = run_demo("--json", "--nodes", "2", "--keys", "50", "--directory", str(directory))

    document = json.loads(demo.stdout)
    assert (demo.returncode, demo.stderr, document["schema"]) == (0, "", 1)
    assert (document["keys"], document["seed"], document["lost"]) == (50, 7, 0)
    assert document["converged"] is True
    assert document["violations"] == []
    assert document["writes"] > 50
    assert document["writes_unknown"] > 0
    first, second = document["nodes"]
    assert first["digest"] == second["digest"]
    assert first["keys"] == second["keys"] > 50
    assert len(document["story"]) == 8
    assert (directory / "node-b.wal").exists()
    check("demo", document)


def test_a_lost_write_fails_the_demo_which_names_it_and_keeps_the_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = LocalNode.packed_items

    def without_one(node: LocalNode) -> dict[str, bytes]:
        items = whole(node)
        if node.node_id == "node-b":
            del items["U+0020"]
        return items

    monkeypatch.setattr(LocalNode, "packed_items", without_one)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["demo", "--keys", "20", "--seed", "7"])

    assert exit_.value.code == 1
    *_, missing, kept, last = capsys.readouterr().out.splitlines()
    assert missing.startswith("missing: node-b has nothing for 'U+0020', expected ")
    assert re.search(r", [1-9]\d* writes lost$", last)
    (directory,) = tmp_path.iterdir()
    assert str(directory) in kept
    assert (directory / "node-b.log").exists()


@pytest.mark.usefixtures("heeded_hangup")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_exits_with_130_and_leaves_no_process_and_no_file(
    tmp_path: Path, stop: signal.Signals
) -> None:
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as demo:
        assert demo.stdout is not None
        while "is stopped" not in (line := demo.stdout.readline()):
            assert line, "the demo ended before its first fault"
        children = children_of(demo.pid)
        assert len(children) == 3

        demo.send_signal(stop)

        assert demo.wait(DEADLINE_SECONDS) == 130
    assert wait_until(lambda: all(map(has_ended, children)), DEADLINE_SECONDS)
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_nobody_reads_ends_at_once_and_is_no_success(tmp_path: Path) -> None:
    with subprocess.Popen(
        DEMO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert "nodes are up" in demo.stdout.readline()
        demo.stdout.close()

        assert "whether writes were lost is unknown" in demo.stderr.read()
        assert demo.wait(DEADLINE_SECONDS) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_shows_the_story_and_the_seed_above_the_picture() -> None:
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [*DEMO, "--keys", "40"],
        stdout=end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
    ) as demo:
        os.close(end)
        shown = b""
        while piece := read_terminal(terminal):
            shown += piece
    os.close(terminal)

    assert demo.returncode == 0
    assert b"3 nodes are up and connected (seed 7)" in shown
    assert b"is stopped (SIGSTOP)" in shown
    assert "█".encode() in shown


def read_terminal(terminal: int) -> bytes:
    """Read what is there; empty when the other end is closed, which Linux tells by an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_nodes_that_cannot_meet_fail_the_demo_which_says_for_how_long_it_waited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(LocalNode, "connect", lambda *_: None)
    for module in (demo_run, demo_story):
        monkeypatch.setattr(module, "CONVERGENCE_SECONDS", 1.0)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["demo", "--keys", "20", "--seed", "7", "--directory", str(tmp_path / "nodes")])

    assert exit_.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"3 nodes, \d+ writes, not equal after 1 s, [1-9]\d* writes lost", last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "1"], "--nodes"),
        (["--keys", "0"], "--keys"),
        (["--node-id", "x"], "leave out --node-id"),
    ],
)
def test_wrong_arguments_are_refused_as_usage_errors(arguments: list[str], message: str) -> None:
    demo = run_demo(*arguments)

    assert demo.returncode == 2
    assert message in demo.stderr


def test_a_directory_with_files_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")

    demo = run_demo("--directory", str(tmp_path))

    assert demo.returncode == 2
    assert "is not empty" in demo.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_every_named_character_is_listed_once_by_its_code_point() -> None:
    characters = named_characters()

    assert len(characters) == len(dict(characters)) > 130_000
    assert dict(characters)["U+0041"] == "LATIN CAPITAL LETTER A"
    assert named_characters(1) == [("U+0020", "SPACE")]

"""One node, many commands: while a node runs, every command speaks with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

import tests.eventually
from softadastra import Client, ClientOptions
from softadastra.control.places import registered_logs

from .tool import Run, Spawn, document

DEADLINE_S = 60.0
"""Far beyond what any step takes, so that only a hang ends a test."""
eventually = partial(tests.eventually.eventually, seconds=DEADLINE_S)

NODE = ("--node-id", "node-a")
WAL = Path("data/node-a.wal")


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have `node list` see the nodes of one test only."""
    path = tmp_path.parent / f"{tmp_path.name}-run"
    path.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(path))
    return path


@pytest.fixture
def node(spawn: Spawn) -> Popen[bytes]:
    """Run node-a in the foreground."""
    process = spawn("node", "run", *NODE, "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["node"]["pid"] == process.pid
    return process


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def detached() -> Iterator[list[int]]:
    """Processes that have left this one: they are ended with the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


# What runs is what commands see.


def test_status_shows_the_living_node(node: Popen[bytes], run: Run) -> None:
    run("store", "put", "k", "v", *NODE)
    found = document(run("status", *NODE, "--json"))
    shown = run("status", *NODE)

    assert found["node"]["running"] is True
    assert found["node"]["pid"] == node.pid
    assert found["node"]["uptime_ms"] >= 0
    assert found["store"]["entries"] == 1
    assert found["transport"]["running"] is True
    assert found["transport"]["port"] > 0
    assert shown.stdout.split()[shown.stdout.split().index("running") + 1] == "yes"


def test_every_command_works_beside_a_running_node(
    node: Popen[bytes], run: Run, tmp_path: Path
) -> None:
    rows = b'{"key": "a", "value": 1}\n["b", {"$bytes": "/w=="}]\n'
    commands: list[tuple[tuple[str, ...], int]] = [
        (("store", "put", "k", "v"), 0),
        (("store", "get", "k"), 0),
        (("store", "get", "nowhere"), 3),
        (("store", "import", "-"), 0),
        (("store", "list"), 0),
        (("store", "export"), 0),
        (("store", "remove", "k"), 0),
        (("store", "remove", "k"), 3),
        (("store", "put", "", "v"), 2),
        (("status",), 0),
        (("node", "info"), 0),
        (("node", "list"), 0),
        (("sync", "status"), 0),
        (("sync", "tick"), 0),
        (("peers",), 0),
        (("keys", "init"), 0),
        (("keys", "list"), 0),
        (("wal", "inspect"), 0),
        (("wal", "verify"), 0),
        (("wal", "compact"), 0),
        (("wal", "backup", "copy.wal"), 0),
        (("wal", "backup", "copy.wal"), 1),
        (("wal", "repair"), 5),
    ]
    for command, code in commands:
        found = run(*command, *NODE, input=rows if "import" in command else None)

        assert found.exit_code == code, (command, found.output)
        assert "Traceback" not in found.stderr
    assert node.poll() is None
    assert document(run("store", "list", *NODE, "--json"))["entries"] == [
        {"key": "a", "value": 1},
        {"key": "b", "value": {"$bytes": "/w=="}},
    ]


def test_a_put_through_the_node_is_what_its_next_run_has(
    node: Popen[bytes], run: Run, directory: Path
) -> None:
    run("store", "put", "k", "v", *NODE)
    node.kill()
    node.wait()

    assert run("store", "get", "k", *NODE, "--raw").stdout == "v"


def test_a_bad_row_is_named_with_its_line_and_its_group_leaves_no_trace(
    node: Popen[bytes], run: Run
) -> None:
    found = run("store", "import", "-", *NODE, input=b'["a", 1]\n["", 2]\n')

    assert found.exit_code == 1
    assert "line 2: key cannot be empty" in found.stderr
    assert document(run("store", "list", *NODE, "--json"))["entries"] == []


def test_commands_in_parallel_all_reach_the_node(
    node: Popen[bytes], spawn: Spawn, run: Run
) -> None:
    processes = [spawn("store", "put", f"k/{n}", "v", *NODE) for n in range(6)]
    codes = [process.wait(DEADLINE_S) for process in processes]

    assert codes == [0] * 6
    assert document(run("status", *NODE, "--json"))["store"]["entries"] == 6


def test_commands_in_parallel_wait_for_each_other_when_no_node_runs(spawn: Spawn, run: Run) -> None:
    processes = [spawn("store", "put", f"k/{n}", "v", *NODE) for n in range(4)]
    codes = [process.wait(DEADLINE_S) for process in processes]

    assert codes == [0] * 4
    assert document(run("status", *NODE, "--json"))["store"]["entries"] == 4


def test_no_command_fails_while_nodes_come_and_go(spawn: Spawn, run: Run) -> None:
    writer = Popen(
        [sys.executable, "-c", WRITER], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for _ in range(3):
        process = spawn("node", "run", *NODE)
        assert process.stdout is not None
        process.stdout.readline()
        assert run("node", "stop", *NODE).exit_code == 0
        assert process.wait(DEADLINE_S) == 0
    output, _ = writer.communicate(timeout=DEADLINE_S)

    assert writer.returncode == 0, output
    assert document(run("status", *NODE, "--json"))["store"]["entries"] == 60


WRITER = """
from click.testing import CliRunner
from softadastra.cli.main import cli
for number in range(60):
    found = CliRunner().invoke(cli, ["store", "put", f"k/{number}", "v", "--node-id", "node-a"])
    assert found.exit_code == 0, found.output
"""


def test_a_node_of_an_application_is_asked_too_and_ends_with_it(run: Run, directory: Path) -> None:
    with Client(ClientOptions.persistent("till", "data/till.wal")) as till:
        till["sale/1"] = 350
        found = document(run("status", "--wal", "data/till.wal", "--json"))
        refused = run("node", "stop", "--wal", "data/till.wal")
        run("store", "put", "sale/2", "420", "--json-value", "--wal", "data/till.wal")

        assert (found["node"]["id"], found["node"]["pid"]) == ("till", os.getpid())
        assert found["store"]["entries"] == 1
        assert till["sale/2"] == 420
    assert refused.exit_code == 1
    assert "part of an application" in refused.stderr


def test_the_log_of_another_node_is_refused_as_when_it_does_not_run(
    node: Popen[bytes], run: Run
) -> None:
    refused = run("status", "--node-id", "node-b", "--wal", str(WAL))
    node.kill()
    node.wait()
    refused_later = run("status", "--node-id", "node-b", "--wal", str(WAL))

    assert (refused.exit_code, refused_later.exit_code) == (1, 1)
    assert "is the log of node 'node-a'" in refused.stderr
    assert "is the log of node 'node-a'" in refused_later.stderr


# What hangs, was killed, or is not ours.


def test_what_a_killed_node_left_is_in_nobodys_way(node: Popen[bytes], run: Run) -> None:
    node.kill()
    node.wait()
    assert Path(f"{WAL}.sock").is_socket()
    found = document(run("status", *NODE, "--json"))
    listed = document(run("node", "list", "--json"))
    stopped = run("node", "stop", *NODE)

    assert found["node"]["running"] is False
    assert found["node"]["pid"] is None
    assert listed == {"nodes": []}
    assert registered_logs() == []
    assert stopped.exit_code == 4
    assert run("store", "put", "k", "v", *NODE).exit_code == 0


def test_a_node_that_hangs_is_named_and_no_command_hangs_with_it(
    node: Popen[bytes], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.3)
    node.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: "T" in Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2])
        hung = run("status", *NODE, "--json")
        put = run("store", "put", "k", "v", *NODE)
        stop = run("node", "stop", *NODE)
        listed = document(run("node", "list", "--json"))["nodes"]
    finally:
        node.send_signal(signal.SIGCONT)

    words = f"node node-a (pid {node.pid}) does not answer within 0.3 s"
    assert (hung.exit_code, put.exit_code, stop.exit_code) == (4, 4, 4)
    assert words in hung.stderr
    assert document(hung)["error"]["context"] == {"node_id": "node-a", "pid": node.pid}
    assert [(each["id"], each["pid"], each["state"]) for each in listed] == [
        ("node-a", node.pid, "silent")
    ]
    monkeypatch.undo()
    eventually(lambda: run("status", *NODE).exit_code == 0)


def test_a_node_that_is_killed_in_the_middle_of_an_answer_ends_the_command_cleanly(
    node: Popen[bytes], spawn: Spawn, run: Run
) -> None:
    rows = "".join(f'["k/{n:05}", "{"x" * 1000}"]\n' for n in range(3_000)).encode()
    assert run("store", "import", "-", *NODE, input=rows).exit_code == 0
    export = spawn("store", "export", *NODE)
    assert export.stdout is not None
    export.stdout.readline()
    node.kill()
    _, errors = export.communicate(timeout=DEADLINE_S)

    assert export.returncode == 4, errors
    assert b"ended before it answered" in errors
    assert b"Traceback" not in errors


def test_a_pipe_that_closes_ends_an_export_without_a_word(
    node: Popen[bytes], spawn: Spawn, run: Run
) -> None:
    rows = "".join(f'["k/{n:05}", "{"x" * 1000}"]\n' for n in range(1_000)).encode()
    assert run("store", "import", "-", *NODE, input=rows).exit_code == 0
    export = spawn("store", "export", *NODE)
    assert export.stdout is not None
    export.stdout.readline()
    export.stdout.close()
    assert export.stderr is not None
    errors = export.stderr.read()

    assert (export.wait(DEADLINE_S), errors) == (0, b"")
    assert run("status", *NODE).exit_code == 0


AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_told_whose_node_it_is(node: Popen[bytes], directory: Path) -> None:
    """Even where the bits of the files would let that user in."""
    for path in (directory, *directory.parents):
        if path.owner() == "root" and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
        if path.name.startswith("pytest-of"):
            break
    (directory / "data").chmod(0o777)
    for path in (directory / "data").iterdir():
        path.chmod(0o666)
    found = subprocess.run(
        [*AS_NOBODY, sys.executable, "-m", "softadastra", "status", *NODE],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )

    assert "Traceback" not in found.stderr
    assert (found.returncode, found.stdout) == (1, "")
    assert "another user" in found.stderr


# Starting, stopping, listing.


def start(spawn: Spawn, detached: list[int], *arguments: str) -> Any:
    process = spawn("node", "start", "--detach", *arguments, "--json")
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    started = json.loads(output)
    detached.append(started["node"]["pid"])
    return started


def test_a_detached_node_answers_when_start_returns_and_is_gone_when_stop_does(
    run: Run, spawn: Spawn, detached: list[int]
) -> None:
    started = start(spawn, detached, *NODE)
    again = document(run("node", "start", "--detach", *NODE, "--json"))
    listed = document(run("node", "list", "--json"))["nodes"]
    run("store", "put", "k", "v", *NODE)
    stopped = document(run("node", "stop", *NODE, "--json"))["stopped"]

    pid = started["node"]["pid"]
    assert (started["started"], again["started"]) == (True, False)
    assert again["node"]["pid"] == pid
    assert started["transport"]["port"] > 0
    assert [(each["pid"], each["state"], each["port"]) for each in listed] == [
        (pid, "running", started["transport"]["port"])
    ]
    assert (stopped["id"], stopped["pid"]) == ("node-a", pid)
    with Client(ClientOptions.persistent("node-a", WAL)) as client:  # it is not locked any more
        assert client["k"] == "v"
    eventually(lambda: not is_alive(pid))
    events = [json.loads(line)["event"] for line in Path(f"{WAL}.log").read_text().splitlines()]
    assert (events[0], events[-1]) == ("wal.replayed", "node.closed")
    assert Path(f"{WAL}.log").stat().st_mode & 0o777 == 0o600


def test_who_interrupts_the_start_of_a_node_is_told_that_it_goes_on(
    run: Run, detached: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[Popen[bytes]] = []

    def interrupted(child: Any, *_: object) -> None:
        detached.append(child.pid)
        children.append(child._process)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("softadastra.cli.starting._Child.found", interrupted)
        ended = run("node", "start", "--detach", *NODE)

    assert ended.exit_code == 130
    assert ended.stderr.split("\n") == [
        "",
        "Interrupted.",
        f"Node node-a, process {detached[0]}, goes on; its log is {WAL}.log",
        "",
    ]
    eventually(lambda: run("node", "stop", *NODE).exit_code == 0)
    assert children[0].wait(DEADLINE_S) == 0


def test_a_node_that_does_not_start_says_why_with_its_exit_code(
    run: Run, node: Popen[bytes], directory: Path
) -> None:
    port = document(run("status", *NODE, "--json"))["transport"]["port"]
    busy = run("node", "start", "--detach", "--node-id", "node-b", "--port", str(port))
    damaged = directory / "data" / "node-c.wal"
    run("store", "put", "k", "v", "--node-id", "node-c")
    damaged.write_bytes(damaged.read_bytes().replace(b"node-c", b"node-x", 1))
    broken = run("node", "start", "--detach", "--node-id", "node-c", "--json")
    wrong = run("node", "start", "--detach", "--host", "0.0.0.0", "--node-id", "node-d")

    assert busy.exit_code == 1
    assert f"{port}" in busy.stderr
    assert "in use" in busy.stderr
    assert "data/node-b.wal.log" in busy.stderr
    assert wrong.exit_code == 2
    assert "insecure" in wrong.stderr
    assert broken.exit_code == 6
    assert "did not start" in document(broken)["error"]["message"]


def test_a_node_without_a_log_cannot_be_detached(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text("enable_wal = false\n")
    refused = run("node", "start", "--detach")

    assert refused.exit_code == 1
    assert "keeps nothing on disk" in refused.stderr


def test_start_without_detach_is_run(spawn: Spawn, run: Run) -> None:
    process = spawn("node", "start", *NODE)
    assert process.stdout is not None

    assert process.stdout.readline().startswith(b"Softadastra node running. Node node-a on")
    assert run("node", "stop", *NODE).exit_code == 0
    assert process.wait(DEADLINE_S) == 0


def test_nothing_to_stop_and_nothing_to_list_are_told(run: Run) -> None:
    stopped = run("node", "stop")
    listed = run("node", "list")

    assert stopped.exit_code == 4
    assert stopped.stderr == "Softadastra node is not running: none answers for node-1.\n"
    assert (listed.exit_code, listed.stdout) == (0, "No nodes are running.\n")


@pytest.mark.parametrize(
    "command", [("node", "stop"), ("sync", "retry"), ("peers", "remove", "b"), ("store", "watch")]
)
def test_programs_are_told_as_json_that_no_node_runs(run: Run, command: tuple[str, ...]) -> None:
    found = run(*command, "--json")

    assert found.exit_code == 4
    error = document(found)["error"]
    assert "node is not running" in error["message"]
    assert error["context"] == {"node_id": "node-1"}


def test_a_node_that_does_not_end_in_time_is_told(
    run: Run, node: Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run("node", "stop", *NODE, "--timeout", "0", "--json")

    assert found.exit_code == 124
    assert document(found)["error"]["context"] == {"node_id": "node-a", "pid": node.pid}
    assert f"process {node.pid}, has not ended within 0 s" in found.stderr


def test_list_shows_nodes_of_applications_too_and_fits_a_narrow_terminal(
    run: Run, node: Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(ClientOptions.persistent("till", "data/till.wal")):
        listed = document(run("node", "list", "--json"))["nodes"]
        monkeypatch.setenv("COLUMNS", "40")
        narrow = run("node", "list")

    stoppable = {each["id"]: each["is_stoppable"] for each in listed}
    assert stoppable == {"node-a": True, "till": False}
    assert max(map(len, narrow.stdout.splitlines())) <= 40

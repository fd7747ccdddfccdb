"""The tool as a process: its streams, its signals, its exit codes, two nodes at a time."""

from __future__ import annotations

import json
import os
import pty
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

import pytest

from softadastra import Client, StoreLockedError
from softadastra.cli.reaching import LOOK_SECONDS
from tests.eventually import eventually

from .tool import Run, Spawn, document

DEADLINE_S = 30.0
"""Far beyond what any step takes, so that only a hang ends a test."""


def ended(process: Popen[bytes]) -> tuple[int, str, str]:
    """Wait for the end; return the exit code and what was printed."""
    output, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, (output or b"").decode(), (errors or b"").decode()


def started(process: Popen[bytes]) -> str:
    """Read the first line, which says that the node runs."""
    assert process.stdout is not None
    return process.stdout.readline().decode()


def wait_for_event(process: Popen[bytes], name: str) -> None:
    """Read the log until an event."""
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == name:
            return
    raise AssertionError(f"the node ended without {name}")


def test_a_node_says_first_who_it_is_and_where(spawn: Spawn) -> None:
    process = spawn("node", "run", "--node-id", "node-a")
    line = started(process)
    process.send_signal(signal.SIGTERM)
    code, rest, _ = ended(process)

    assert line.startswith("Softadastra node running. Node node-a on 127.0.0.1:")
    assert line.endswith(", WAL data/node-a.wal\n")
    port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
    assert 1 <= port <= 65535
    assert (code, rest) == (0, "")


@pytest.mark.usefixtures("heeded_hangup")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_node_stops_cleanly_on_a_signal_and_tells_its_port_as_json(
    spawn: Spawn, run: Run, stop: signal.Signals
) -> None:
    process = spawn("node", "run", "--json")
    found = json.loads(started(process))
    process.send_signal(stop)
    code, rest, errors = ended(process)

    assert (code, rest) == (0, "")
    assert "Traceback" not in errors
    assert found["schema"] == 1
    assert found["node"]["id"] == "node-1"
    assert found["node"]["running"] is True
    assert found["transport"]["running"] is True
    assert found["transport"]["port"] > 0
    assert run("status").exit_code == 0


def test_under_nohup_a_node_goes_on_when_its_terminal_closes(spawn: Spawn) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = spawn("node", "run", "--json")
    finally:
        signal.signal(signal.SIGHUP, before)
    started(process)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)

    assert ended(process)[0] == 0


@pytest.mark.parametrize("wait_ms", [5, 20, 100])
def test_who_presses_ctrl_c_again_and_again_gets_an_orderly_end(
    spawn: Spawn, run: Run, wait_ms: int
) -> None:
    process = spawn("node", "run", "--json")
    started(process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(TimeoutExpired):
            process.wait(wait_ms / 1000)
    code, _, errors = ended(process)

    assert code in (0, 130)
    assert "node.closed" in errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert run("wal", "verify").exit_code == 0


INTERRUPTED_CLOSE = """
import os, signal
from softadastra import Client
from softadastra.__main__ import main

close = Client.close

def interrupted(self):
    Client.close = close
    os.kill(os.getpid(), signal.SIGINT)
    close(self)

Client.close = interrupted
main()
"""


def test_ctrl_c_while_a_node_is_closed_interrupts_nothing(directory: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED_CLOSE, "node", "run", "--json"]
    with Popen(command, stdout=PIPE, stderr=PIPE) as process:
        started(process)
        process.send_signal(signal.SIGTERM)
        code, _, errors = ended(process)

    assert code == 0
    assert "Interrupted" not in errors


INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "softadastra.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from softadastra.__main__ import main
main()
"""


def test_ctrl_c_while_modules_are_imported_shows_no_traceback() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    found = subprocess.run(command, capture_output=True, timeout=DEADLINE_S)

    assert (found.returncode, found.stdout, found.stderr) == (-signal.SIGINT, b"", b"")


def test_the_log_is_json_on_request_and_never_on_standard_output(spawn: Spawn) -> None:
    process = spawn("node", "run", "--json", "--log-format", "json", "--log-level", "debug")
    started(process)
    process.send_signal(signal.SIGTERM)
    code, rest, errors = ended(process)
    events = [json.loads(line)["event"] for line in errors.splitlines()]

    assert (code, rest) == (0, "")
    assert {"wal.replayed", "transport.started", "node.closed"} <= set(events)


def test_a_node_that_answers_no_commands_is_named_to_whoever_finds_it_locked(
    spawn: Spawn, run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.cli.reaching.LOCK_SECONDS", 0.1)
    (directory / "quiet.toml").write_text("enable_control = false\n")
    process = spawn("node", "run", "--node-id", "node-a", "--config", "quiet.toml")
    started(process)
    refused = run("status", "--node-id", "node-a", "--json")

    assert refused.exit_code == 5
    assert f"process {process.pid}" in refused.stderr
    assert "stop that process" in refused.stderr
    context = document(refused)["error"]["context"]
    assert (context["pid"], context["node_id"]) == (process.pid, "node-a")


@pytest.mark.parametrize(("holders", "exit_code"), [((1, 2, 3, 4), 0), ((1, 1, 1, 1), 5)])
def test_a_command_waits_for_each_process_that_has_the_log_and_no_longer(
    run: Run, monkeypatch: pytest.MonkeyPatch, holders: tuple[int, ...], exit_code: int
) -> None:
    """The last one may be a node that is about to answer."""
    monkeypatch.setattr("softadastra.cli.reaching.LOCK_SECONDS", LOOK_SECONDS / 2)
    left, opened = iter(holders), Client.open

    def open_when_left(client: Client) -> Client:
        for pid in left:
            raise StoreLockedError(f"is in use by process {pid}", pid=pid)
        return opened(client)

    monkeypatch.setattr(Client, "open", open_when_left)

    assert run("store", "put", "k", "v").exit_code == exit_code


def test_a_tick_delivers_to_a_running_node_and_prunes_when_it_has_it(
    spawn: Spawn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = spawn("node", "run", "--node-id", "node-b", "--json")
    port = json.loads(started(process))["transport"]["port"]
    run("store", "put", "message/1", "hello", "--node-id", "node-a")

    monkeypatch.setenv("SOFTADASTRA_PEERS", f"node-b@127.0.0.1:{port}")
    first = document(run("sync", "tick", "--node-id", "node-a", "--wait", "20", "--json"))
    monkeypatch.delenv("SOFTADASTRA_PEERS")
    second = document(run("sync", "tick", "--prune", "--node-id", "node-a", "--json"))
    (peer,) = document(run("peers", "--node-id", "node-a", "--json"))["peers"]
    table = run("peers", "--node-id", "node-a").stdout
    process.send_signal(signal.SIGTERM)

    assert first["message"] == "Sync batch delivery attempted."
    assert first["tick"]["batch_size"] == first["tick"]["sent_count"] == 1
    assert first["sync"]["acknowledged_count"] == 1
    assert second["tick"]["pruned_count"] == 1
    assert second["sync"]["outbox_size"] == 0
    assert (peer["node_id"], peer["port"], peer["lag"]) == ("node-b", port, 0)
    shown = ["node-b", "127.0.0.1", str(port), "manual", "available", "no", "-", "-"]
    assert table.split()[-8:] == shown
    assert ended(process)[0] == 0
    assert run("store", "get", "message/1", "--raw", "--node-id", "node-b").stdout == "hello"
    assert run("store", "get", "message/1", "--raw", "--node-id", "node-a").stdout == "hello"


def test_nodes_exchange_what_they_wrote_apart(spawn: Spawn, run: Run) -> None:
    logged = ("--json", "--log-format", "json", "--log-level", "debug")
    run("store", "put", "from/a", "1", "--node-id", "node-a")
    run("store", "put", "from/b", "2", "--node-id", "node-b")
    node_b = spawn("node", "run", "--node-id", "node-b", *logged)
    port = json.loads(started(node_b))["transport"]["port"]
    peer = f"node-b@127.0.0.1:{port}"
    node_a = spawn("node", "run", "--node-id", "node-a", "--peer", peer, *logged)
    for process in (node_a, node_b):
        wait_for_event(process, "batch.merged")
    # Not before both: what one of them has sent is lost with it, and the other waits for ever.
    for process in (node_a, node_b):
        process.send_signal(signal.SIGTERM)

    assert ended(node_a)[0] == ended(node_b)[0] == 0
    for node_id in ("node-a", "node-b"):
        assert document(run("store", "list", "--node-id", node_id, "--json"))["entries"] == [
            {"key": "from/a", "value": "1"},
            {"key": "from/b", "value": "2"},
        ]


def test_an_unreachable_peer_exits_with_4_and_keeps_the_work(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    run("store", "put", "message/1", "hello")
    monkeypatch.setenv("SOFTADASTRA_PEERS", f"node-b@127.0.0.1:{port}")
    begun = time.monotonic()
    found = run("sync", "tick", "--wait", "20", "--json")

    assert found.exit_code == 4
    assert time.monotonic() - begun < 15
    assert found.stderr == (f"Peer node-b@127.0.0.1:{port} is out of reach: connection refused.\n")
    assert document(found)["message"] == "No connected transport peers available."
    assert document(run("sync", "status", "--json"))["sync"]["queued_count"] == 1


def test_a_tick_that_cannot_reach_who_dials_this_node_says_so(spawn: Spawn, run: Run) -> None:
    node_a = spawn("node", "run", "--json", "--log-format", "json")
    port = json.loads(started(node_a))["transport"]["port"]
    node_b = spawn("node", "run", "--node-id", "node-b", "--peer", f"node-1@127.0.0.1:{port}")
    wait_for_event(node_a, "peer.connected")
    for process in (node_b, node_a):
        process.send_signal(signal.SIGTERM)
        ended(process)
    run("store", "put", "k", "v")
    found = run("sync", "tick")

    assert found.exit_code == 0
    assert found.stdout.endswith("No connected transport peers available.\n")
    assert found.stderr == (
        "Peer node-b connects from its own side: it gets what it lacks when this node runs.\n"
    )


def test_a_port_in_use_is_a_clear_failure(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = run("node", "run", "--port", str(port), "--json")

    assert refused.exit_code == 1
    assert "address in use" in refused.stderr
    assert document(refused)["error"]["code"] == "transport_error"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--peer", "nonsense"), "expected ID@HOST:PORT"),
        (("--security", "tls"), "security must be 'curve' or None, got 'tls'"),
        (
            ("--host", "0.0.0.0"),
            "\nOn the command line transport_host is --host, security is --security, "
            "insecure is --insecure.\n",
        ),
    ],
)
def test_what_a_node_cannot_do_is_refused_by_name(
    run: Run, directory: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("node", "run", *arguments)

    assert refused.exit_code == 2
    assert message in refused.stderr
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ((), ""),
        (("--insecure", "--host", "127.0.0.1"), ""),
        (("--insecure",), 'transport_host = "127.0.0.1"'),
    ],
)
def test_a_node_that_looks_for_others_stays_on_loopback_unless_it_may_and_shall_leave_it(
    spawn: Spawn, directory: Path, arguments: tuple[str, ...], settings: str
) -> None:
    """`tests/network/test_lan.py` has the one that listens everywhere."""
    cluster = f'cluster = "{secrets.token_hex(8)}"'
    (directory / "softadastra.toml").write_text(f"{cluster}\n{settings}")
    process = spawn("node", "run", "--json", "--discover", *arguments)
    found = json.loads(started(process))
    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)

    assert (code, found["transport"]["host"]) == (0, "127.0.0.1")
    assert found["discovery"] == {"running": True, "peers": 0}
    assert "discovery.confined" in errors


def test_a_node_without_zeroconf_warns_and_runs(
    spawn: Spawn, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "sitecustomize.py").write_text("import sys; sys.modules['zeroconf'] = None")
    monkeypatch.setenv("PYTHONPATH", str(directory))
    process = spawn("node", "run", "--json", "--discover", "--log-format", "json")
    found = json.loads(started(process))
    process.send_signal(signal.SIGTERM)
    code, _, errors = ended(process)

    told = {event["event"]: event for event in map(json.loads, errors.splitlines())}
    assert (code, found["transport"]["running"]) == (0, True)
    assert found["discovery"] == {"running": False, "peers": 0}
    assert told["discovery.failed"]["level"] == "warning"
    assert "pip install '.[discovery]'" in told["discovery.failed"]["error"]


def test_a_reader_that_has_enough_ends_the_tool_quietly(spawn: Spawn, run: Run) -> None:
    rows = b"".join(b'["key/%d", "value"]\n' % number for number in range(20_000))
    run("store", "import", "-", input=rows)
    for command in ("export", "list"):
        process = spawn("store", command)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None

        assert ended(process)[::2] == (0, "")


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """A pipe whose reader is gone before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("command", ["status", "node info", "sync status", "peers", "help"])
def test_a_reader_that_wants_nothing_is_no_failure_of_any_table(
    spawn: Spawn, closed_pipe: int, command: str
) -> None:
    process = spawn("-q", *command.split(), stdout=closed_pipe)

    assert ended(process)[::2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("frob",), 2), (("store",), 2), (("store", "get", "absent"), 3), (("peers",), 0)],
)
def test_who_does_not_read_the_errors_changes_no_exit_code(
    spawn: Spawn, closed_pipe: int, arguments: tuple[str, ...], code: int
) -> None:
    assert ended(spawn(*arguments, stderr=closed_pipe))[0] == code


def test_an_import_shows_its_progress_on_a_terminal_alone(spawn: Spawn, directory: Path) -> None:
    rows = b"".join(b'["key/%d", "value"]\n' % number for number in range(2_000))
    (directory / "rows.jsonl").write_bytes(rows)
    terminal, end = pty.openpty()
    process = spawn("store", "import", "rows.jsonl", stderr=end)
    os.close(end)
    code, output, _ = ended(process)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)

    assert (code, output) == (0, "Imported 2,000 rows.\n")
    assert "2,000 rows" in shown
    assert ended(spawn("store", "import", "rows.jsonl"))[2] == ""


def test_v_shows_changes_of_state_and_q_not_even_notes(spawn: Spawn) -> None:
    assert "no log at" in ended(spawn("store", "list"))[2]
    assert ended(spawn("store", "list", "-q"))[2] == ""

    ended(spawn("store", "put", "key", "value"))
    code, output, errors = ended(spawn("-v", "store", "list"))
    assert (code, output) == (0, "Key  Value\nkey  value\n")
    assert "wal.replayed" in errors


def test_an_interrupted_command_exits_with_130_and_no_traceback(
    spawn: Spawn, directory: Path
) -> None:
    process = spawn("store", "import", "-")
    log = directory / "data" / "node-1.wal"
    eventually(lambda: log.exists() or process.poll() is not None)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)

    assert code == 130
    assert errors.split() == ["Interrupted."]


def test_an_argument_that_is_no_text_is_refused_in_a_line(spawn: Spawn) -> None:
    code, output, errors = ended(spawn("store", "put", b"\xff", "value"))

    assert (code, output) == (2, "")
    assert errors == "The argument b'\\xff' is not UTF-8: expected UTF-8 text.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_a_failure(spawn: Spawn) -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, errors = ended(spawn("status", stdout=full.fileno()))

    assert code == 1
    assert errors.splitlines()[-1] == (
        "error: cannot read or write the standard streams: No space left on device"
    )

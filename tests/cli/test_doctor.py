"""What is wrong with a node is found, with what to do about it."""

from __future__ import annotations

import os
import signal
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.vitals import LogRefusal, RefusalKind

from .tool import Run, Spawn, document


def findings(run: Run, *options: str) -> dict[str, dict[str, Any]]:
    found = document(run("doctor", *options, "--json"))["checks"]
    return {each["check"]: each for each in found}


def states(run: Run, *options: str) -> dict[str, str]:
    return {name: each["state"] for name, each in findings(run, *options).items()}


def test_a_new_node_has_no_problems_and_nothing_is_made(run: Run, directory: Path) -> None:
    shown = run("doctor")

    assert shown.exit_code == 0, shown.output
    assert shown.stderr == "No problems.\n"
    assert list(directory.iterdir()) == []
    assert document(run("doctor", "--json"))["ok"] is True


def test_a_running_node_is_looked_at_with_its_peers(run: Run, directory: Path) -> None:
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport()
    with Client(options) as client:
        client.start_transport()
        client["k"] = 1
        alone = findings(run)
        with pytest.raises(Exception, match="refused"):
            client.connect(Peer("office", "127.0.0.1", 1))
        found = findings(run)

    assert alone["peers"]["found"] == "it knows none"
    assert found["node"]["found"] == f"it runs as process {os.getpid()}"
    assert found["peer office"]["state"] == "warning"
    assert found["peer office"]["found"].endswith("lacks 1 write: connection refused")
    assert found["peer office"]["advice"] == (
        "See whether office runs, and whether its address is right and reachable"
    )
    assert found["outbox"]["found"] == "1 write on the way"
    assert found["conflicts"]["state"] == "ok"


def test_a_peer_whose_key_is_not_trusted_is_told_with_what_to_do(run: Run, directory: Path) -> None:
    options = ClientOptions.persistent("node-1", "data/node-1.wal", security="curve")
    with Client(options.with_local_transport()) as client:
        client.start_transport()
        with pytest.raises(Exception, match="no key of 'office' is trusted"):
            client.connect(Peer("office", "127.0.0.1", 1))
        found = findings(run)

    assert found["peer office"]["advice"].startswith("Exchange the keys of the two nodes")


def test_settings_that_cannot_be_used_are_a_problem(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text('conflict_policy = "lww"\n')
    shown = run("doctor")

    assert shown.exit_code == 1
    assert "Problems: settings.\n" in shown.stderr
    assert "settings: see softadastra config show" in shown.stdout


def test_a_damaged_log_is_a_problem(run: Run, directory: Path) -> None:
    run("store", "put", "k", "v")
    log = directory / "data" / "node-1.wal"
    log.write_bytes(b"x" * 8192)
    found = findings(run, "--node-id", "node-1")

    assert found["log"]["state"] == "problem"
    assert "wal repair" in found["log"]["advice"]


def test_damage_behind_the_header_is_a_problem_too(run: Run) -> None:
    """Otherwise it would say that all is well of a node that does not start."""
    for value in "123":
        run("store", "put", "k", value)
    path = Path("data/node-1.wal")
    image = bytearray(path.read_bytes())
    image[4200] ^= 0xFF
    path.write_bytes(image)
    found = run("doctor")

    assert found.exit_code == 1
    assert "is damaged at offset 4," in found.stdout
    assert found.stderr == "Problems: log.\n"


def test_a_path_alone_is_enough_also_where_nothing_says_whose_log_it_is(run: Run) -> None:
    Path("half.wal").write_bytes(b"\x89SADWAL\n and no more")
    doctor, status = run("doctor", "--wal", "half.wal"), run("status", "--wal", "half.wal")

    assert (doctor.exit_code, status.exit_code) == (1, 6)
    assert doctor.stderr == "Problems: log.\n"
    assert status.stderr.startswith("error: the header of half.wal is damaged")
    assert run("config", "--wal", "half.wal").exit_code == 0
    assert run("logs", "--wal", "half.wal").stderr == "no log at half.wal.log\n"


def test_the_log_of_another_node_is_a_problem(run: Run) -> None:
    run("store", "put", "k", "v", "--node-id", "till", "--wal", "a.wal")
    found = findings(run, "--node-id", "office", "--wal", "a.wal")

    assert found["log"]["state"] == "problem"
    assert "the log of node 'till'" in found["log"]["found"]


def test_a_full_disk_is_warned_of(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 9, 1))

    assert findings(run)["disk"]["found"].startswith("1 bytes are free")
    assert states(run)["disk"] == "warning"


def test_a_directory_that_is_not_writable_is_a_problem(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    assert states(run)["disk"] == "problem"


def test_a_port_that_is_taken_is_a_problem_unless_the_node_itself_has_it(
    run: Run, directory: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        (directory / "softadastra.toml").write_text(
            f"enable_transport = true\ntransport_port = {port}\n"
        )
        busy = findings(run)
    free = findings(run)
    options = ClientOptions.persistent("node-1", "data/node-1.wal")
    with Client(options.with_local_transport(port)) as client:
        client.start_transport()
        own = findings(run)

    assert busy["port"]["state"] == "problem"
    assert "in use" in busy["port"]["found"]
    assert free["port"]["state"] == "ok"
    assert "port" not in own


def test_security_is_looked_at(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text('security = "curve"\n')
    before = findings(run)
    run("keys", "init")
    after = findings(run)
    (directory / "data" / "node-1.wal.key").chmod(0o644)
    readable = findings(run)
    (directory / "softadastra.toml").write_text("insecure = true\n")
    insecure = findings(run)

    assert before["security"]["found"] == "its key is made at the first start"
    assert before["trust"]["state"] == "warning"
    assert after["security"]["found"].startswith("its key is ")
    assert readable["security"]["state"] == "problem"
    assert insecure["security"]["state"] == "warning"


def test_a_node_that_hangs_is_a_problem(
    run: Run, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.3)
    process = spawn("node", "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    try:
        shown = run("doctor")
    finally:
        process.send_signal(signal.SIGCONT)

    assert shown.exit_code == 1
    assert "does not answer within 0.3 s" in shown.stdout


def test_a_node_whose_disk_refuses_is_a_problem(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(ClientOptions.persistent("node-1", "data/node-1.wal")) as client:
        refusal = LogRefusal(kind=RefusalKind.FULL, since_ms=0, detail="no space left")
        assert client._node is not None
        client._node.committer.refusals.stands = refusal
        found = document(run("doctor", "--json"))

    (problem,) = [each for each in found["checks"] if each["state"] == "problem"]
    assert problem["check"] == "node"
    assert "found no room" in problem["found"]
    assert problem["advice"] == "Free space for the log: then writes work again by themselves"


def test_a_runtime_directory_of_others_is_warned_of(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "softadastra").mkdir()
    (directory / "softadastra").chmod(0o777)
    (directory / f"softadastra-{os.geteuid()}").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(directory))

    assert states(run)["node list"] == "warning"


def test_forty_columns_are_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    (line, *lines) = run("doctor").stdout.splitlines()

    assert line == "Softadastra doctor"
    assert max(map(len, lines)) <= 40

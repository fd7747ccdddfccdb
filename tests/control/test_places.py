"""The socket of a log is found again, and what a killed node leaves behind is in nobody's way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions
from softadastra.control.listening import Listening
from softadastra.control.places import (
    SOCKET_PATH_BYTES_MAX,
    make_runtime_directory,
    registered_logs,
    runtime_directories,
)
from softadastra.control.remote import find_node
from softadastra.errors import AlreadyExistsError, SoftadastraError


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return path / "softadastra"


def opened(log: Path) -> Client:
    return Client(ClientOptions.persistent("node-a", log))


def is_found(log: Path) -> bool:
    found = find_node(log, node_id="node-a")
    if found is not None:
        found.close()
    return found is not None


def long_log(tmp_path: Path) -> Path:
    return tmp_path / ("d" * 100) / ("e" * 100) / "a.wal"


def test_the_socket_is_beside_the_log_and_goes_with_the_node(tmp_path: Path) -> None:
    log = tmp_path / "a.wal"
    with opened(log):
        assert is_found(log)
        assert [each for _, each in registered_logs()] == [log]

    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.wal", "a.wal.lock", "run", "tmp"]
    assert registered_logs() == []


def test_a_path_that_is_too_long_for_a_socket_has_a_link_to_a_short_one(
    tmp_path: Path, runtime: Path
) -> None:
    log = long_log(tmp_path)
    assert len(str(log)) > SOCKET_PATH_BYTES_MAX
    with opened(log):
        beside = Path(f"{log}.sock")

        assert beside.is_symlink()
        assert beside.readlink().parent == runtime
        assert is_found(log)
        beside.unlink()
        assert is_found(log), "a directory that is read-only has no link"

    assert sorted(each.name for each in log.parent.iterdir()) == ["a.wal", "a.wal.lock"]
    assert list(runtime.iterdir()) == []


def test_another_spelling_of_the_path_finds_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "data" / "a.wal"
    with opened(log):
        (tmp_path / "link").symlink_to(log.parent)
        (tmp_path / ("l" * 100)).symlink_to(log.parent)
        monkeypatch.chdir(log.parent)

        assert is_found(Path("a.wal"))
        assert is_found(tmp_path / "link" / "a.wal")
        assert is_found(tmp_path / ("l" * 100) / "a.wal")


def test_a_copied_directory_does_not_lead_to_the_node_of_the_original(tmp_path: Path) -> None:
    log = long_log(tmp_path)
    with opened(log):
        copy = tmp_path / "copy"
        copy.mkdir()
        for each in log.parent.iterdir():
            shutil.copy(each, copy / each.name, follow_symlinks=False)

        assert (copy / "a.wal.sock").is_symlink()
        assert not is_found(copy / "a.wal")


def test_what_a_killed_node_left_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "a.wal"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{log}.sock")
    with opened(log):
        assert is_found(log)
    assert not Path(f"{log}.sock").exists()


def test_a_file_of_somebody_elses_is_left_alone_and_the_socket_is_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "a.wal"
    Path(f"{log}.sock").write_text("precious")
    with opened(log) as client:
        client.put("k", 1)

    assert Path(f"{log}.sock").read_text() == "precious"
    assert "control.failed" in caplog.text


def test_where_no_socket_can_be_the_node_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Listening) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Listening, "begin", refuse)
    log = tmp_path / "a.wal"
    with opened(log) as client:
        assert client.put("k", 1).version == 1
        assert not is_found(log)
    assert "control.failed" in caplog.text


def test_where_no_thread_can_be_started_the_node_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("softadastra-control"):
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    log = tmp_path / "a.wal"
    with opened(log) as client:
        assert client.put("k", 1).version == 1
        assert not Path(f"{log}.sock").exists()
        assert not is_found(log)
    assert "control.failed" in caplog.text


def test_a_file_system_without_sockets_has_them_in_the_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path
) -> None:
    real = socket.socket.bind

    class Limited(socket.socket):
        def bind(self, address: str) -> None:  # type: ignore[override]
            if not address.startswith(str(runtime)):
                raise PermissionError(1, "Operation not permitted")
            real(self, address)

    monkeypatch.setattr("softadastra.control.listening.socket.socket", Limited)
    log = tmp_path / "a.wal"
    with opened(log):
        monkeypatch.undo()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime.parent))
        assert is_found(log)


def open_to_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def link_elsewhere(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.mkdir(mode=0o700)
    path.symlink_to(target)


@pytest.mark.parametrize("make", [open_to_others, link_elsewhere, Path.touch])
def test_a_runtime_directory_that_others_may_change_is_not_used(
    runtime: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """In the directory of temporary files anybody can be faster."""
    make(runtime)
    own = tmp_path / "tmp" / f"softadastra-{os.geteuid()}"

    assert make_runtime_directory() == own
    assert runtime_directories() == [own]
    shutil.rmtree(own)
    make(own)
    with pytest.raises(AlreadyExistsError):
        make_runtime_directory()
    assert runtime_directories() == []


def test_a_runtime_directory_that_cannot_be_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user's, left in the environment by `su`. A long name is refused to root too."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/{'x' * 300}")
    with opened(tmp_path / "a.wal"):
        assert [log for _, log in registered_logs()] == [tmp_path / "a.wal"]


def test_a_node_that_cannot_be_listed_runs_and_answers(
    runtime: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_to_others(runtime)
    open_to_others(tmp_path / "tmp" / f"softadastra-{os.geteuid()}")
    log = tmp_path / "a.wal"
    with opened(log):
        assert is_found(log)
    assert "control.unlisted" in caplog.text


def test_a_forked_child_leaves_the_socket_to_its_parent(tmp_path: Path) -> None:
    log = tmp_path / "a.wal"
    with opened(log) as client:
        child = os.fork()
        if child == 0:
            try:
                client.close()
                os._exit(0)
            except SoftadastraError:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

        assert is_found(log)
    assert not is_found(log)


FORKING = """
import os, signal, sys
from softadastra import Client, ClientOptions
client = Client(ClientOptions.persistent("node-a", sys.argv[1])).open()
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
signal.pause()
"""


def test_a_forked_child_of_a_killed_node_keeps_no_command_waiting(tmp_path: Path) -> None:
    """It has the socket too: if it kept it, commands would connect and never be answered."""
    log = tmp_path / "a.wal"
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING, log], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent, parent.stdin, parent.stdout:
        assert parent.stdout.readline() == b"forked\n"
        assert is_found(log)
        parent.kill()
        parent.wait()

        assert Path(f"{log}.sock").is_socket()
        assert not is_found(log)

"""A file system that turns read-only, or is: refused by name, and nothing is lost."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from softadastra import Cause, Client, ClientOptions, StorageError, readiness
from softadastra.cli.exit_codes import ExitCode
from softadastra.errors import InvalidStateError
from tests.faults.mounts import loop_mount


def test_a_node_whose_file_system_turns_read_only_writes_no_more_and_reads_go_on(
    tmp_path: Path,
) -> None:
    """As ext4 does by itself when it finds damage."""
    with loop_mount("ext4", tmp_path, "loop,errors=remount-ro") as mounted:
        options = ClientOptions.persistent("a", mounted.path / "a.wal")
        with Client(options) as client:
            client.put("before", 1)
            mounted.find_damage()
            with pytest.raises(StorageError) as refused:
                client.put("refused", 2)
            assert refused.value.errno == errno.EROFS
            with pytest.raises((StorageError, InvalidStateError), match="open it again"):
                client.put("refused too", 3)
            assert dict(client) == {"before": 1}
            found = [each.cause for each in readiness(client.vitals()).findings]
            assert found == [Cause.NOT_WRITING, Cause.READ_ONLY]

        mounted.unmount()
        mounted.mount()
        with Client(options) as client:
            assert dict(client) == {"before": 1}
            assert client.put("after", 4).n > 1


@pytest.mark.parametrize("exists", [True, False], ids=["with a log", "without one"])
def test_on_a_file_system_that_is_read_only_a_log_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, exists: bool
) -> None:
    with loop_mount("ext4", tmp_path) as mounted:
        path = mounted.path / "a.wal"
        options = ClientOptions.persistent("a", path)
        if exists:
            with Client(options) as client:
                client.put("before", 1)
        before = {each.name: each.read_bytes() for each in mounted.path.iterdir() if each.is_file()}
        mounted.remount("ro")

        with pytest.raises(StorageError, match="not writable: remount it") as refused:
            Client(options).open()
        assert refused.value.errno == errno.EROFS
        assert str(path) in refused.value.message
        mounted.remount("rw")
        after = {each.name: each.read_bytes() for each in mounted.path.iterdir() if each.is_file()}
        assert after == before
        with Client(options) as client:
            assert dict(client) == ({"before": 1} if exists else {})
            client.put("after", 2)


def test_a_damaged_log_on_a_file_system_that_is_read_only_is_looked_into_and_saved_elsewhere(
    tmp_path: Path,
) -> None:
    """As a disk that fails is left by the system, or mounted by people."""
    saved = tmp_path / "saved.wal"
    with loop_mount("ext4", tmp_path) as mounted:
        path = mounted.path / "a.wal"
        with Client(ClientOptions.persistent("a", path)) as client:
            for i in range(9):
                client.put(f"key/{i}", f"value {i}")
        data = bytearray(path.read_bytes())
        data[data.index(b"value 4")] ^= 1
        path.write_bytes(data)
        mounted.remount("ro")

        def wal(*command: str) -> int:
            words = [sys.executable, "-m", "softadastra", "--wal", str(path), "wal", *command]
            return subprocess.run(words, capture_output=True, check=False).returncode

        assert wal("verify") == wal("inspect") == ExitCode.DAMAGE_FOUND
        assert wal("repair") == ExitCode.FAILURE
        assert wal("repair", "--output", str(saved)) == ExitCode.OK
    with Client(ClientOptions.persistent("a", saved)) as client:
        assert dict(client) == {f"key/{i}": f"value {i}" for i in range(9) if i != 4}

"""One log is open once, in one process; a dead process holds nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from softadastra.errors import InternalError, StorageError, StoreLockedError
from softadastra.wal import File, OsDisk, WriteAheadLog
from softadastra.wal.disk import OpenMode
from softadastra.wal.lock import LockFile

from .faulty_disk import FaultyDisk
from .logs import NODE_ID, opened, records_of

HOLD = """
import sys
from pathlib import Path
from softadastra.wal import OsDisk, WriteAheadLog
log = WriteAheadLog(Path(sys.argv[1]), disk=OsDisk())
log.open(node_id="node-a", incarnation=1)
assert list(log.replay()) is not None
log.append(1, b"from the holder")
log.sync()
"""

WAIT = """
print("ready", flush=True)
sys.stdin.read()
"""

FORK = """
import os
reader, writer = os.pipe()
if os.fork() == 0:
    result = "appended"
    try:
        log.append(2, b"from the child")
    except Exception as error:
        result = type(error).__name__
    os.write(writer, result.encode())
    sys.stdin.read()
    os._exit(0)
print(os.read(reader, 100).decode(), flush=True)
"""


@contextmanager
def process(script: str, path: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a script until it says that it is ready; its input is closed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        lines = []
        while (line := child.stdout.readline().strip()) != "ready":
            assert line, "the process ended before it was ready"
            lines.append(line)
        yield child, lines


def test_second_process_is_refused_and_told_who_holds_the_log(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"

    with process(HOLD + WAIT, path) as (holder, _):
        log = WriteAheadLog(path, disk=OsDisk())
        with pytest.raises(StoreLockedError) as caught:
            log.open(node_id="node-b", incarnation=2)

        expected = {"path": str(path), "pid": holder.pid, "node_id": "node-a"}
        assert caught.value.context == expected
        assert f"{path} is in use by node 'node-a', process {holder.pid}" in caught.value.message
        with pytest.raises(StoreLockedError):
            log.open(node_id="node-b", incarnation=2)


def test_second_log_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"

    with opened(path) as (log, _):
        log.append(1, b"one")
        with pytest.raises(StoreLockedError, match="in this very process") as caught:
            WriteAheadLog(path, disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)
        log.append(2, b"two")

    assert caught.value.context["pid"] == os.getpid()
    assert records_of(path) == [(1, b"one"), (2, b"two")]


@pytest.mark.parametrize("is_rewritten", [False, True], ids=["as opened", "rewritten"])
@pytest.mark.parametrize("way", ["removed lock file", "symbolic link", "hard link"])
def test_a_log_that_is_open_is_refused_by_any_name_and_without_its_lock_file(
    tmp_path: Path, way: str, *, is_rewritten: bool
) -> None:
    """Two who write to one file overwrite each other, and what had returned is gone."""
    path, other = tmp_path / "a.wal", tmp_path / "b.wal"
    with opened(path) as (log, _):
        log.append(1, b"first")
        if is_rewritten:
            rewrite = log.rewrite(incarnation=1)
            rewrite.adopt()
            rewrite.discard()
        match way:
            case "symbolic link":
                other.symlink_to(path)
            case "hard link":
                other.hardlink_to(path)
            case _:
                path.with_name("a.wal.lock").unlink()
                other = path
        with pytest.raises(StoreLockedError, match="whose lock file was removed"), opened(other):
            pass
        log.append(2, b"second")

    assert (2, b"second") in records_of(path)


def test_lock_of_a_killed_process_is_taken_over_silently(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with process(HOLD + WAIT, path) as (holder, _):
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    assert json.loads((tmp_path / "node-a.wal.lock").read_bytes())["pid"] == holder.pid
    assert records_of(path) == [(1, b"from the holder")]


def test_forked_child_can_neither_write_nor_keep_the_lock_of_a_parent_that_closed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "node-a.wal"

    with process(HOLD + FORK + "log.close()" + WAIT, path) as (_, lines):
        assert lines == ["InvalidStateError"]
        assert records_of(path) == [(1, b"from the holder")]


def test_forked_child_does_not_keep_the_lock_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"

    with process(HOLD + FORK + WAIT, path) as (parent, lines):
        # The child shares the standard input, so it lives until this block ends.
        assert lines == ["InvalidStateError"]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert records_of(path) == [(1, b"from the holder")]


def test_parent_keeps_its_lock_when_a_forked_child_ends(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    fork = "import os\nchild = os.fork()\nif child == 0:\n    sys.exit()\nos.waitpid(child, 0)\n"

    with (
        process(HOLD + fork + 'log.append(2, b"two")\nlog.sync()\n' + WAIT, path),
        pytest.raises(StoreLockedError),
    ):
        records_of(path)

    assert records_of(path) == [(1, b"from the holder"), (2, b"two")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b'{"pid": 1}',
        b"\xff\xfe",
        b"[" * 8000,
        b'{"pid": 1, "node_id": "a", "started_at_ms": 1e300}',
    ],
)
def test_unreadable_holder_is_refused_all_the_same(tmp_path: Path, content: bytes) -> None:
    """The holder may be just writing the file, or somebody else has."""
    path = tmp_path / "node-a.wal"
    lock = LockFile(path, disk=OsDisk())
    lock.acquire(node_id=NODE_ID)
    lock.path.write_bytes(content)

    with pytest.raises(StoreLockedError, match="in use by an unknown process") as caught:
        LockFile(path, disk=OsDisk()).acquire(node_id=NODE_ID)

    lock.release()
    assert caught.value.context == {"path": str(path), "pid": None, "node_id": None}


def test_lock_names_its_holder_also_over_a_longer_text(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "node-a.wal", disk=OsDisk())
    lock.path.write_bytes(b"x" * 5000)

    lock.acquire(node_id="Größe")

    holder = json.loads(lock.path.read_bytes())
    assert (holder["pid"], holder["node_id"]) == (os.getpid(), "Größe")
    assert holder["started_at_ms"] > 0
    lock.release()


def test_lock_is_free_after_release_and_release_is_idempotent(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "node-a.wal", disk=OsDisk())
    other = LockFile(tmp_path / "node-a.wal", disk=OsDisk())

    lock.acquire(node_id=NODE_ID)
    with pytest.raises(InternalError, match="held already"):
        lock.acquire(node_id=NODE_ID)
    lock.release()
    lock.release()
    other.acquire(node_id=NODE_ID)
    other.release()


def test_lock_is_free_after_any_failure_to_take_it(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    for number in range(1, 5):
        lock = LockFile(path, disk=FaultyDisk(fail_at=number))
        with pytest.raises(StorageError):
            lock.acquire(node_id=NODE_ID)
        other = LockFile(path, disk=OsDisk())
        other.acquire(node_id=NODE_ID)
        other.release()


def test_lock_is_closed_also_when_it_cannot_be_given_back(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({"unlock"}), fail_at=1)
    lock = LockFile(path, disk=disk)
    lock.acquire(node_id=NODE_ID)

    with pytest.raises(StorageError):
        lock.release()

    assert disk.has_failed
    other = LockFile(path, disk=OsDisk())
    other.acquire(node_id=NODE_ID)
    other.release()


class ReadOnlyDisk(OsDisk):
    """A disk on which nothing can be written, which root does not get by permissions."""

    def open(self, path: Path, mode: OpenMode) -> File:
        if mode is not OpenMode.READING:
            raise StorageError("read-only", errno=errno.EROFS, filename=str(path))
        return super().open(path, mode)


def test_who_only_reads_takes_the_lock_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    reader = LockFile(path, disk=ReadOnlyDisk())
    reader.acquire(node_id=NODE_ID, to_write=False)
    reader.release()
    assert list(tmp_path.iterdir()) == []

    with opened(path):
        with pytest.raises(StoreLockedError, match="in use by node 'node-a'"):
            reader.acquire(node_id=NODE_ID, to_write=False)
    reader.acquire(node_id=NODE_ID, to_write=False)
    with pytest.raises(StoreLockedError):
        LockFile(path, disk=OsDisk()).acquire(node_id=NODE_ID)
    reader.release()

    with pytest.raises(StorageError) as refused:
        reader.acquire(node_id=NODE_ID)
    assert refused.value.errno == errno.EROFS

"""Opening and creating the file of a log: whose it is, and where it cannot be."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from softadastra.errors import StorageError, StoreError
from softadastra.wal import Header, OsDisk, WriteAheadLog

from .faulty_disk import FaultyDisk
from .logs import NODE_ID, opened, records_of


def test_open_tells_whose_log_it_is_and_keeps_its_incarnation(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    log = WriteAheadLog(path, disk=OsDisk())

    created = log.open(node_id=NODE_ID, incarnation=5)
    log.close()
    reopened = log.open(node_id=NODE_ID, incarnation=6)
    log.close()

    assert created == reopened == Header(node_id=NODE_ID, incarnation=5, generation=1)


def test_log_of_another_node_is_refused_by_both_names(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    records_of(path)
    content = path.read_bytes()
    log = WriteAheadLog(path, disk=OsDisk())

    with pytest.raises(StoreError, match=r"log of node 'node-a'.*this is node 'node-b'") as caught:
        log.open(node_id="node-b", incarnation=1)

    assert caught.value.context == {"path": str(path), "found": "node-a", "expected": "node-b"}
    assert path.read_bytes() == content
    assert records_of(path) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"[settings]\n"])
def test_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node-a.wal"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="not a Softadastra write-ahead log"):
        WriteAheadLog(path, disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

    assert path.read_bytes() == content


def test_missing_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "nodes" / "node-a.wal"

    with opened(path) as (log, _):
        log.append(1, b"one")

    assert records_of(path) == [(1, b"one")]


def test_each_directory_that_is_made_is_synced_into_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(OsDisk, "sync_directory", lambda self, path: synced.append(path))

    OsDisk().make_directory(tmp_path / "a" / "b")
    OsDisk().make_directory(tmp_path / "a")

    assert synced == [tmp_path, tmp_path / "a"]


def test_new_log_is_synced_before_it_has_its_name_and_the_directory_after(tmp_path: Path) -> None:
    disk = FaultyDisk()

    with opened(tmp_path / "node-a.wal", disk=disk):
        pass

    changes = [s for s in disk.operations if s[0] not in ("size", "pread", "open", "close")]
    aside, name = "node-a.wal.new", "node-a.wal"
    start = changes.index(("pwrite", aside))
    expected = [("pwrite", aside), ("sync", aside), ("rename", name)]
    assert changes[start : start + 4] == [*expected, ("sync_directory", tmp_path.name)]


def test_rest_of_an_interrupted_creation_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "node-a.wal.new").write_bytes(b"half a header")

    assert records_of(tmp_path / "node-a.wal") == []
    assert not (tmp_path / "node-a.wal.new").exists()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "data" / "node-a.wal"

    with pytest.raises(StorageError, match="a file is where a directory should be") as caught:
        WriteAheadLog(path, disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

    assert caught.value.filename == str(tmp_path / "file")
    assert caught.value.errno == errno.EEXIST


def test_directory_that_is_not_writable_is_named() -> None:
    """/proc takes no files, not even from root, whom permissions do not bind."""
    path = Path("/proc/self/node-a.wal")
    if not path.parent.is_dir():
        pytest.skip("this system has no /proc")

    with pytest.raises(StorageError, match=r"cannot open .*node-a\.wal\.lock") as caught:
        WriteAheadLog(path, disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

    assert caught.value.filename == f"{path}.lock"


@pytest.mark.parametrize("part", ["parent", "name"])
def test_a_path_that_the_system_does_not_take_is_refused_as_all_else(
    tmp_path: Path, part: str
) -> None:
    """`Path.exists` and `Path.is_dir` raise what the system says of some paths."""
    path = tmp_path / ("x" * 300) / "node-a.wal" if part == "parent" else tmp_path / ("x" * 300)
    with opened(tmp_path / "node-a.wal") as (log, _):
        log.append_many([(1, b"record")])

        with pytest.raises(StorageError) as copied:
            log.copy_to(path)
    with pytest.raises(StorageError) as made:
        WriteAheadLog(path, disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

    assert copied.value.errno == made.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_refusal_of_the_system_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(code, "refused")

    monkeypatch.setattr("os.open", refuse)

    with pytest.raises(StorageError, match=r"writable.* or choose another path") as caught:
        WriteAheadLog(tmp_path / "node-a.wal", disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

    assert caught.value.errno == code


def test_directory_at_the_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a directory has this name"):
        WriteAheadLog(tmp_path / "sub" / "..", disk=OsDisk()).open(node_id=NODE_ID, incarnation=1)

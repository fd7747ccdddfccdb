"""A disk that fails: what raised has changed nothing, and what returned is kept."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from softadastra.errors import StorageError
from softadastra.wal import File, WriteAheadLog
from softadastra.wal.frames import FRAME_OVERHEAD_BYTES

from .faulty_disk import FaultyDisk
from .logs import NODE_ID, Record, opened, records_of

ONE: Record = (1, b"one")
TWO: Record = (2, b"two" * 50)
THREE: Record = (3, b"three")


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """Let no file of this process grow beyond 64 KiB: EFBIG, after a short write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit_bytes = 2**16
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    yield limit_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("sticky", [False, True])
def test_whatever_fails_returned_records_are_kept_and_refused_ones_are_absent(
    tmp_path: Path, sticky: bool
) -> None:
    has_failed = True
    numbers = count(1)

    while has_failed:
        number = next(numbers)
        path = tmp_path / str(number) / "node-a.wal"
        disk = FaultyDisk(fail_at=number, sticky=sticky)
        log = WriteAheadLog(path, disk=disk)
        appended: list[Record] = []
        durable: list[Record] = []
        is_unknown = False
        try:
            log.open(node_id=NODE_ID, incarnation=1)
            assert list(log.replay()) == []
            for group in ([ONE], [TWO, THREE], [ONE], [TWO], [THREE]):
                try:
                    log.append_many(group)
                    appended += group
                    log.sync()
                    durable = list(appended)
                except StorageError:
                    assert disk.has_failed
                    is_unknown = log.is_poisoned
            log.close()
        except StorageError:
            has_failed, disk.fail_at = disk.has_failed, 0
            assert has_failed
            log.close()
        else:
            has_failed = disk.has_failed

        found = records_of(path)
        assert found[: len(durable)] == durable, number
        if not is_unknown:
            assert found == appended, number

    assert number > 25


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_refuses_an_append_and_takes_it_when_there_is_room(
    tmp_path: Path, code: int
) -> None:
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({"pwrite"}), code=code)

    with opened(path, disk=disk) as (log, _):
        log.append(*ONE)
        size_bytes = log.size_bytes
        disk.fail_at, disk.sticky = disk.count + 1, True
        for _ in range(3):
            with pytest.raises(StorageError) as caught:
                log.append(*TWO)
            with pytest.raises(StorageError):
                log.append_many([TWO, THREE])
            assert caught.value.errno == code
            assert path.stat().st_size == size_bytes == log.size_bytes
            assert not log.is_poisoned
        disk.fail_at = 0
        log.append(*THREE)

    assert records_of(path) == [ONE, THREE]


def test_partial_frame_is_cut_off_durably_and_its_space_allocated_again(tmp_path: Path) -> None:
    """Else a power cut could leave a piece of it behind the frames that are written over it."""
    disk = FaultyDisk(only=frozenset({"pwrite"}), code=errno.ENOSPC)

    with opened(tmp_path / "node-a.wal", disk=disk) as (log, _):
        log.append(*ONE)
        disk.operations.clear()
        disk.fail_at = disk.count + 1
        with pytest.raises(StorageError):
            log.append(*TWO)
        log.append(*THREE)

        names = [name for name, _ in disk.operations]
        assert names == ["pwrite", "truncate", "sync", "allocate", "pwrite"]


def test_file_size_limit_of_the_system_cuts_nothing_in_half(
    tmp_path: Path, file_size_limit: int
) -> None:
    path = tmp_path / "node-a.wal"
    large: Record = (1, b"x" * 5000)
    appended = []

    with opened(path) as (log, _):
        while log.size_bytes + len(large[1]) + FRAME_OVERHEAD_BYTES <= file_size_limit:
            log.append(*large)
            appended.append(large)
        with pytest.raises(StorageError, match="ulimit -f") as caught:
            log.append(*large)
        assert caught.value.errno == errno.EFBIG
        assert path.stat().st_size == log.size_bytes
        log.append(*ONE)
        log.sync()

    assert records_of(path) == [*appended, ONE]


def test_log_closes_on_a_full_disk(tmp_path: Path, file_size_limit: int) -> None:
    """Only the mark of close does not fit: nothing is lost, so nothing is raised."""
    path = tmp_path / "node-a.wal"
    exact: Record = (1, b"x" * (file_size_limit - 4096 - FRAME_OVERHEAD_BYTES))

    with opened(path) as (log, _):
        log.append(*exact)

    assert path.stat().st_size == file_size_limit
    assert records_of(path) == [exact]


def test_short_writes_are_finished(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"

    with opened(path, disk=FaultyDisk(write_bytes_max=7)) as (log, _):
        log.append(*ONE)
        log.append_many([TWO, THREE])

    assert records_of(path) == [ONE, TWO, THREE]


def test_disk_that_takes_no_bytes_and_gives_no_reason_is_an_error(tmp_path: Path) -> None:
    disk = FaultyDisk()

    with opened(tmp_path / "node-a.wal", disk=disk) as (log, _):
        disk.write_bytes_max = 0
        with pytest.raises(StorageError, match="takes no more bytes"):
            log.append(*ONE)
        disk.write_bytes_max = 100
        log.append(*TWO)

    assert records_of(tmp_path / "node-a.wal") == [TWO]


def test_failed_sync_poisons_the_log_and_is_never_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({"sync"}))
    log = WriteAheadLog(path, disk=disk)
    log.open(node_id=NODE_ID, incarnation=1)
    assert list(log.replay()) == []
    log.append(*ONE)
    log.sync()
    log.append(*TWO)
    disk.fail_at = disk.count + 1

    with pytest.raises(StorageError, match="outcome of the last writes is unknown") as caught:
        log.sync()

    assert caught.value.errno == errno.EIO
    assert log.is_poisoned
    for refused in (log.sync, lambda: log.append(*THREE), lambda: log.append_many([THREE])):
        with pytest.raises(StorageError, match="close the log and open it again"):
            refused()
    syncs = disk.count
    log.close()
    assert disk.count == syncs
    assert records_of(path) == [ONE, TWO]


def test_failed_sync_on_close_raises_and_unlocks(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({"sync"}))
    log = WriteAheadLog(path, disk=disk)
    log.open(node_id=NODE_ID, incarnation=1)
    assert list(log.replay()) == []
    log.append(*ONE)
    disk.fail_at = disk.count + 1

    with pytest.raises(StorageError, match="unknown"):
        log.close()

    log.close()
    assert records_of(path) == [ONE]


def test_failed_sync_in_recovery_leaves_nothing_to_append_to(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append(*ONE)
    log = WriteAheadLog(path, disk=FaultyDisk(only=frozenset({"sync"}), fail_at=1))
    log.open(node_id=NODE_ID, incarnation=1)

    with pytest.raises(StorageError, match="unknown"):
        list(log.replay())

    with pytest.raises(StorageError, match="close the log and open it again"):
        log.append(*TWO)
    log.close()
    assert records_of(path) == [ONE]


def test_partial_frame_that_cannot_be_cut_off_poisons_the_log(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({"pwrite", "truncate"}))
    log = WriteAheadLog(path, disk=disk)
    log.open(node_id=NODE_ID, incarnation=1)
    assert list(log.replay()) == []
    log.append(*ONE)
    disk.fail_at, disk.sticky = disk.count + 1, True

    with pytest.raises(StorageError, match="cannot be cut off"):
        log.append(*TWO)

    assert log.is_poisoned
    disk.fail_at = 0
    with pytest.raises(StorageError, match="close the log and open it again"):
        log.append(*THREE)
    log.close()
    with opened(path) as (log, found):
        assert found == [ONE]
        assert log.torn_tail is not None


def test_interrupted_append_leaves_no_frames_behind_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C can arrive when the system has taken all bytes and the end has not moved yet."""
    path = tmp_path / "node-a.wal"

    with opened(path) as (log, _):
        with monkeypatch.context() as patch:
            patch.setattr("softadastra.wal.log.write_all", _write_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                log.append_many([TWO, THREE, TWO])
        assert path.stat().st_size == log.size_bytes
        log.append(*ONE)

    assert records_of(path) == [ONE]


def _write_and_interrupt(file: File, data: bytes, offset: int) -> None:
    file.pwrite(data, offset)
    raise KeyboardInterrupt


def test_failure_to_open_releases_the_lock(tmp_path: Path) -> None:
    """Every operation of open fails once; the log can be opened afterwards by another."""
    path = tmp_path / "node-a.wal"
    has_failed = True
    numbers = count(1)

    while has_failed:
        disk = FaultyDisk(fail_at=next(numbers))
        log = WriteAheadLog(path, disk=disk)
        try:
            log.open(node_id=NODE_ID, incarnation=1)
        except StorageError:
            assert records_of(path) == []
        has_failed, disk.fail_at = disk.has_failed, 0
        log.close()

    assert disk.count > 5


def test_a_copy_that_the_disk_refuses_leaves_the_log_as_it_is_and_no_half_copy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append_many([ONE, TWO, THREE])
        log.sync()
        for number in count(1):
            target = tmp_path / str(number) / "copy.wal"
            disk = log._disk = FaultyDisk(fail_at=number)
            try:
                log.copy_to(target)
            except StorageError:
                assert disk.has_failed
                if target.exists():
                    assert records_of(target) == [ONE, TWO, THREE]
                else:
                    assert not list(tmp_path.glob("*/*.new")) or disk.operations[-1][0] == "remove"
            else:
                break

    assert not disk.has_failed
    assert records_of(target) == records_of(path) == [ONE, TWO, THREE]

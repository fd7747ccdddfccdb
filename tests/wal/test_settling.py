"""What recovery does to the disk: it keeps, cuts off, and makes durable what it found."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from softadastra.errors import StorageError
from softadastra.wal import WriteAheadLog

from .faulty_disk import FaultyDisk
from .logs import (
    EACH_SYNCED,
    NODE_ID,
    RECORDS,
    boundaries,
    has_unsynced,
    image_of,
    opened,
    records_of,
)


def test_torn_tail_is_cut_before_it_is_reported_and_kept_before_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    path.write_bytes(image_of(tmp_path, EACH_SYNCED) + b"torn")
    disk = FaultyDisk()

    with opened(path, disk=disk):
        changes = [
            step
            for step in disk.operations[disk.operations.index(("sync_directory", tmp_path.name)) :]
            if step[0] in ("pwrite", "sync", "rename", "sync_directory", "truncate")
        ]

    kept = f"node-a.wal.torn-{boundaries(RECORDS)[-1]}"
    assert [
        ("sync_directory", tmp_path.name),
        ("pwrite", f"{kept}.new"),
        ("sync", f"{kept}.new"),
        ("rename", kept),
        ("sync_directory", tmp_path.name),
        ("truncate", path.name),
        ("pwrite", path.name),
        ("sync", path.name),
    ] == changes


def test_frames_above_the_durable_mark_are_written_and_synced_again(tmp_path: Path) -> None:
    """After a failed sync the pages may be clean and not on disk: reading proves nothing."""
    path = tmp_path / "node-a.wal"
    image = image_of(tmp_path, [RECORDS[:2], RECORDS[2:4], RECORDS[4:]], synced=2)
    path.write_bytes(image)
    disk = FaultyDisk()
    log = WriteAheadLog(path, disk=disk)
    log.open(node_id=NODE_ID, incarnation=1)

    assert list(log.replay()) == RECORDS

    mark = boundaries(RECORDS)[4]
    assert disk.writes[path.name] == [(mark, image[mark:])]
    names = [name for name, file in disk.operations if file == path.name]
    assert names.index("pwrite") < names.index("sync")
    assert not has_unsynced(log)
    log.close()


def test_closed_log_is_opened_without_writing_its_records_again(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append_many(RECORDS)
    disk = FaultyDisk()

    with opened(path, disk=disk) as (_, found):
        assert found == RECORDS

    mark = boundaries(RECORDS)[-1]
    assert disk.writes[path.name] == [(mark, path.read_bytes()[mark:])]


@pytest.mark.parametrize("sticky", [False, True])
def test_recovery_that_fails_at_any_step_succeeds_when_it_is_repeated(
    tmp_path: Path, sticky: bool
) -> None:
    image = image_of(tmp_path, [*EACH_SYNCED, [(6, b"unsynced")]], synced=len(RECORDS))
    expected = [*RECORDS, (6, b"unsynced")]
    path = tmp_path / "node-a.wal"
    kept = tmp_path / f"node-a.wal.torn-{len(image)}"
    numbers = count(1)
    has_failed = True

    while has_failed:
        number = next(numbers)
        path.write_bytes(image + b"torn" * 300)
        disk = FaultyDisk(fail_at=number, sticky=sticky)
        log = WriteAheadLog(path, disk=disk)
        try:
            log.open(node_id=NODE_ID, incarnation=1)
            assert list(log.replay()) == expected
        except StorageError:
            assert disk.has_failed
        has_failed, disk.fail_at = disk.has_failed, 0
        log.close()

        with opened(path) as (log, found):
            assert found == expected, number
            log.append(7, b"after")
        assert records_of(path) == [*expected, (7, b"after")]
        assert kept.read_bytes() == b"torn" * 300
        kept.unlink()

    assert number > 15

"""A log goes on in a new file: whatever fails, one of the two is there, whole."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from random import Random

import pytest

from softadastra.errors import InvalidStateError, StorageError
from softadastra.testing.sim_disk import SimDisk
from softadastra.wal import WriteAheadLog
from softadastra.wal.disk import Disk, OpenMode, replace_file

from .faulty_disk import FaultyDisk
from .leasing import need_leases
from .logs import NODE_ID, Record, has_unsynced, opened, records_of

OLD: list[Record] = [(1, b"obsolete" * 30), (1, b"old"), (2, b"of what is left")]
KEPT: list[Record] = [(2, b"of what is left")]
MEANWHILE: list[Record] = [(1, b"meanwhile" * 40), (3, b"later")]
BEHIND: list[Record] = [(1, b"behind it")]

PIECE_BYTES = 1_000


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the old file's room be given back a few bytes at a time."""
    monkeypatch.setattr("softadastra.wal.rewriting.FREE_BYTES", PIECE_BYTES)


def rewritten(log: WriteAheadLog) -> None:
    """Rewrite a log while two records are appended."""
    rewrite = log.rewrite(incarnation=2)
    try:
        rewrite.append(KEPT)
        log.append(*MEANWHILE[0])
        log.sync()
        while rewrite.lag_bytes(log.size_bytes):
            rewrite.copy_some(log.size_bytes)
        rewrite.sync()
        log.append(*MEANWHILE[1])
        rewrite.prepare()
        rewrite.adopt()
        while rewrite.free_some():
            pass
    finally:
        rewrite.discard()


def test_the_new_file_has_what_is_left_and_what_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append_many(OLD)
        before = log.identity

        rewritten(log)

        assert log.identity != before
        assert not has_unsynced(log)
        log.append_many(BEHIND)
    assert records_of(path) == KEPT + MEANWHILE + BEHIND
    assert [each.name for each in tmp_path.iterdir()] == ["node-a.wal", "node-a.wal.lock"]


def test_the_new_file_is_of_the_next_generation_and_of_the_incarnation_that_it_is_given(
    tmp_path: Path,
) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append_many(OLD)
        rewritten(log)
        rewritten(log)

    log = WriteAheadLog(path, disk=FaultyDisk())
    header = log.open(node_id=NODE_ID, incarnation=9)
    log.close()
    assert (header.incarnation, header.generation) == (2, 3)


def test_a_file_that_was_prepared_grows_neither_when_it_is_adopted_nor_with_what_comes_first(
    tmp_path: Path,
) -> None:
    """A sync takes longer when the size of the file has changed, and all wait for these two."""
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk()
    with opened(path, disk=disk) as (log, _):
        log.append_many(OLD)
        rewrite = log.rewrite(incarnation=2)
        rewrite.append(KEPT)
        rewrite.prepare()
        assert [name for name, _ in disk.operations[-2:]] == ["allocate", "sync"]
        size_bytes = rewrite.file.size()
        disk.operations.clear()
        log.append_many(MEANWHILE)
        rewrite.adopt()
        log.append_many(BEHIND)

        assert ("allocate", "node-a.wal") not in disk.operations
        assert ("allocate", "node-a.wal.new") not in disk.operations
        assert rewrite.file.size() == size_bytes
        rewrite.discard()
    assert records_of(path) == KEPT + MEANWHILE + BEHIND


def test_frames_of_the_old_file_are_none_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append_many(OLD)
    old = path.read_bytes()
    with opened(path) as (log, _):
        rewritten(log)
        size_bytes = log.size_bytes
    with path.open("r+b") as file:
        file.truncate(size_bytes)
        file.seek(size_bytes)
        file.write(old[4096:])

    assert records_of(path) == KEPT + MEANWHILE


@pytest.mark.parametrize("sticky", [False, True])
def test_whatever_fails_while_it_is_rewritten_nothing_is_lost(tmp_path: Path, sticky: bool) -> None:
    for number in count(1):
        path = tmp_path / str(number) / "node-a.wal"
        disk = FaultyDisk()
        with opened(path, disk=disk) as (log, _):
            log.append_many(OLD)
            log.sync()
            disk.count, disk.fail_at, disk.sticky = 0, number, sticky
            try:
                rewritten(log)
            except StorageError:
                assert disk.has_failed
            was_poisoned = log.is_poisoned
            disk.fail_at = 0
            if not was_poisoned:
                log.append_many(BEHIND)
        found = records_of(path)
        rest = BEHIND if not was_poisoned else []
        allowed = [
            whole[: len(whole) - left] + rest
            for whole in (OLD + MEANWHILE, KEPT + MEANWHILE)
            for left in range(3)
        ]
        assert found in allowed, number
        assert not list(path.parent.glob("*.new")), number
        if not disk.has_failed:
            break
    assert number > 8


@pytest.mark.parametrize("seed", range(150))
def test_a_power_cut_at_any_step_leaves_one_of_the_two_files_with_all_that_was_synced(
    seed: int,
) -> None:
    """The disk keeps any part of what was not synced, names included."""
    rng = Random(seed)
    disk = SimDisk(rng, allocation_bytes_max=rng.choice([0, 1 << 16]))
    path = Path("/node-a.wal")
    log = opened_on(disk, path)
    log.append_many(OLD)
    log.sync()
    steps = 0
    stop_at = rng.randrange(10)

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps > stop_at

    synced = list(OLD)
    is_new = False
    if not stop():
        rewrite = log.rewrite(incarnation=2)
    if not stop():
        rewrite.append(KEPT)
    if not stop():
        log.append(*MEANWHILE[0])
    if not stop():
        log.sync()
        synced.append(MEANWHILE[0])
    if not stop():
        rewrite.copy_some(log.size_bytes)
    if not stop():
        rewrite.prepare()
    if not stop():
        log.append(*MEANWHILE[1])
    if not stop():
        rewrite.put_in_place(log.size_bytes)
    if not stop():
        disk.sync_directory(path.parent)
        is_new = True
    disk.end_process()
    disk.lose_power()

    found: list[Record] = []
    opened_on(disk, path, takes=found)
    assert found == KEPT + MEANWHILE or (not is_new and found[: len(synced)] == synced)
    assert not disk.exists(Path("/node-a.wal.new"))


def opened_on(disk: Disk, path: Path, takes: list[Record] | None = None) -> WriteAheadLog:
    log = WriteAheadLog(path, disk=disk)
    log.open(node_id=NODE_ID, incarnation=1)
    records = list(log.replay())
    if takes is not None:
        takes += records
    return log


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("call", ["lease", "truncate", "close"])
def test_the_disk_may_fail_at_the_old_file_once_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The log is rewritten by then: to say that it failed would be wrong."""
    monkeypatch.setattr("softadastra.wal.disk.take_lease", lambda _: True)
    path = tmp_path / "node-a.wal"
    disk = FaultyDisk(only=frozenset({call}))
    with opened(path, disk=disk) as (log, _):
        log.append_many(OLD)
        disk.fail_at = disk.count + 1

        rewritten(log)

        assert disk.has_failed
    assert records_of(path) == KEPT + MEANWHILE


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("read_before", [0, 1])
def test_a_copy_that_takes_long_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_before: int
) -> None:
    """It is of the moment when it began, also when the log goes on in another file meanwhile.

    Nothing of the old file is let go then: the copy is read from an opening of its own.
    """
    path, copy = tmp_path / "node-a.wal", tmp_path / "copy.wal"
    with opened(path) as (log, _):
        log.append_many(OLD)

        def slowly(disk: Disk, target: Path, pieces: Iterator[bytes]) -> None:
            first = list(islice(pieces, read_before))
            rewritten(log)
            log.append_many(BEHIND)
            replace_file(disk, target, chain(first, pieces))

        monkeypatch.setattr("softadastra.wal.disk.replace_file", slowly)
        log.copy_to(copy)

    assert records_of(copy) == OLD
    assert records_of(path) == KEPT + MEANWHILE + BEHIND


def test_a_log_that_is_closed_is_not_rewritten(tmp_path: Path) -> None:
    with opened(tmp_path / "node-a.wal") as (log, _):
        rewrite = log.rewrite(incarnation=2)
        log.close()
        with pytest.raises(InvalidStateError, match="not open"):
            rewrite.adopt()
        rewrite.discard()
        with pytest.raises(InvalidStateError, match="not open"):
            log.rewrite(incarnation=2)


def test_what_a_crash_left_of_a_rewriting_goes_when_the_log_is_opened(tmp_path: Path) -> None:
    aside = tmp_path / "node-a.wal.new"
    with opened(tmp_path / "node-a.wal") as (log, _):
        log.append_many(OLD)
    aside.write_bytes(bytes(1_000))

    assert records_of(tmp_path / "node-a.wal") == OLD
    assert not aside.exists()


@pytest.mark.usefixtures("small_pieces")
def test_the_old_file_is_cut_shorter_a_piece_at_a_time() -> None:
    """To free the room of 24 MB at once takes ext4 5 ms, and syncs of other files wait."""
    disk = SimDisk(Random(1), allocation_bytes_max=0)
    path = Path("/node-a.wal")
    log = opened_on(disk, path)
    log.append_many(OLD)
    old = disk.open(path, OpenMode.READING)
    size_bytes = old.size()
    rewrite = log.rewrite(incarnation=2)
    rewrite.append(KEPT)
    rewrite.adopt()
    sizes = []
    while rewrite.free_some():
        sizes.append(old.size())

    assert sizes == list(range(size_bytes - PIECE_BYTES, 0, -PIECE_BYTES))
    assert old.pread(8, 0) == bytes(8)


@pytest.mark.usefixtures("small_pieces")
def test_an_old_file_that_nobody_else_sees_is_cut_shorter(tmp_path: Path) -> None:
    need_leases(tmp_path)
    disk = FaultyDisk()
    with opened(tmp_path / "node-a.wal", disk=disk) as (log, _):
        log.append_many(OLD)
        disk.operations.clear()
        rewritten(log)
        cuts = disk.operations.count(("truncate", "node-a.wal"))

    assert cuts > 3


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("seed", range(30))
def test_a_power_cut_while_room_is_given_back_loses_nothing(seed: int) -> None:
    rng = Random(seed)
    disk = SimDisk(rng, allocation_bytes_max=0)
    path = Path("/node-a.wal")
    log = opened_on(disk, path)
    log.append_many(OLD)
    log.sync()
    rewrite = log.rewrite(incarnation=2)
    rewrite.append(KEPT)
    rewrite.adopt()
    for _ in range(rng.randrange(5)):
        rewrite.free_some()
    disk.end_process()
    disk.lose_power()

    found: list[Record] = []
    opened_on(disk, path, takes=found)
    assert found == KEPT


class ForgetfulDisk(SimDisk):
    """A disk that syncs no names from when it is told to."""

    is_forgetful = False

    def sync_directory(self, path: Path) -> None:
        if self.is_forgetful:
            raise StorageError("no names", errno=errno.EIO, filename=str(path))
        super().sync_directory(path)


@pytest.mark.usefixtures("small_pieces")
def test_an_old_file_that_a_power_cut_may_bring_back_is_not_cut() -> None:
    disk = ForgetfulDisk(Random(1), allocation_bytes_max=0)
    path = Path("/node-a.wal")
    log = opened_on(disk, path)
    log.append_many(OLD)
    log.sync()
    old = disk.open(path, OpenMode.READING)
    before = old.pread(old.size(), 0)
    rewrite = log.rewrite(incarnation=2)
    rewrite.append(KEPT)
    disk.is_forgetful = True
    with pytest.raises(StorageError):
        rewrite.adopt()

    assert not rewrite.free_some()
    rewrite.discard()
    assert old.pread(len(before) + 1, 0) == before


@pytest.mark.usefixtures("small_pieces")
def test_another_name_of_the_old_file_keeps_its_content(tmp_path: Path) -> None:
    """As a backup by hard links gives it; nobody has to have it open."""
    path, other = tmp_path / "node-a.wal", tmp_path / "backup" / "node-a.wal"
    other.parent.mkdir()
    with opened(path) as (log, _):
        log.append_many(OLD)
        log.sync()
        other.hardlink_to(path)
        rewritten(log)

    assert records_of(other) == OLD + MEANWHILE


@pytest.mark.usefixtures("small_pieces")
def test_another_process_that_reads_the_old_file_sees_it_whole(tmp_path: Path) -> None:
    path, copy = tmp_path / "node-a.wal", tmp_path / "copy.wal"
    program = """
import sys
with open(sys.argv[1], "rb") as log, open(sys.argv[2], "wb") as copy:
    print(flush=True)
    input()
    copy.write(log.read())
"""
    command = [sys.executable, "-c", program, str(path), str(copy)]
    with opened(path) as (log, _):
        log.append_many(OLD)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            rewritten(log)
            reader.communicate("\n", timeout=60)

    assert records_of(copy) == OLD + MEANWHILE

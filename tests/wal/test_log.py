"""A log that nothing goes wrong with: what is appended comes back."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError, InvalidStateError
from softadastra.wal import OsDisk, WriteAheadLog
from softadastra.wal.disk import OpenMode
from softadastra.wal.frames import FILE_HEADER_BYTES, FRAME_OVERHEAD_BYTES, decode_file_header
from softadastra.wal.recovery import READ_BYTES, frame_headers

from .faulty_disk import FaultyDisk
from .logs import NODE_ID, Record, has_unsynced, image_of, opened, records_of

ALLOCATION_BYTES = 1 << 18


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    records = [(1, b"one"), (255, b""), (2, bytes(range(256)))]

    with opened(path) as (log, found):
        assert found == []
        for kind, payload in records:
            log.append(kind, payload)

    with opened(path) as (log, found):
        assert found == records
        assert log.torn_tail is None
        log.append(3, b"later")

    assert records_of(path) == [*records, (3, b"later")]


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sessions=st.lists(
        st.lists(
            st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=300)), max_size=5),
            max_size=5,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_records_survive_any_number_of_sessions(
    tmp_path: Path, sessions: list[list[list[Record]]]
) -> None:
    path = tmp_path / "any.wal"
    path.unlink(missing_ok=True)
    expected: list[Record] = []

    for groups in sessions:
        with opened(path) as (log, found):
            assert found == expected
            for group in groups:
                log.append_many(group)
                expected += group

    assert records_of(path) == expected


@pytest.mark.parametrize("delta", range(-2 * FRAME_OVERHEAD_BYTES, 2))
def test_frames_that_end_around_a_read_come_back(tmp_path: Path, delta: int) -> None:
    """The reader goes on at the frame that its last read cut through, wherever that is."""
    path = tmp_path / "node-a.wal"
    records = [(1, b"a" * (READ_BYTES - FRAME_OVERHEAD_BYTES + delta)), (2, b"bc"), (3, b"")]

    with opened(path) as (log, _):
        log.append_many(records)

    assert records_of(path) == records


def test_frames_larger_than_a_read_come_back(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    records = [(1, b"small"), (2, b"x" * (3 * READ_BYTES)), (3, b"y" * (2 * READ_BYTES)), (4, b"z")]

    with opened(path) as (log, _):
        log.append_many(records)

    assert records_of(path) == records


@pytest.mark.timeout(30)
def test_a_hundred_thousand_frames_are_written_and_read_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"

    with opened(path) as (log, _):
        for number in range(100_000):
            log.append(1, b"%06d" % number * 17)

    with opened(path) as (log, found):
        assert found == [(1, b"%06d" % number * 17) for number in range(100_000)]
        assert log.size_bytes == FILE_HEADER_BYTES + 100_000 * (102 + 32) + 32


def test_calls_out_of_order_are_refused(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "node-a.wal", disk=OsDisk())
    with pytest.raises(InvalidStateError, match="not open"):
        log.append(1, b"")
    with pytest.raises(InvalidStateError, match="not open"):
        list(log.replay())
    log.close()

    log.open(node_id=NODE_ID, incarnation=1)
    with pytest.raises(InvalidStateError, match="open already"):
        log.open(node_id=NODE_ID, incarnation=1)
    with pytest.raises(InvalidStateError, match="take replay"):
        log.append(1, b"")
    with pytest.raises(InvalidStateError, match="take replay"):
        log.append_many([(1, b"")])
    with pytest.raises(InvalidStateError, match="take replay"):
        log.sync()

    assert list(log.replay()) == []
    with pytest.raises(InvalidStateError, match="replayed already"):
        list(log.replay())
    log.close()
    log.close()
    with pytest.raises(InvalidStateError, match="not open"):
        log.sync()


def test_replay_that_was_given_up_can_be_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    records = [(1, b"one"), (2, b"two"), (3, b"three")]
    with opened(path) as (log, _):
        log.append_many(records)
    log = WriteAheadLog(path, disk=OsDisk())
    log.open(node_id=NODE_ID, incarnation=1)

    first = next(log.replay())
    again = list(log.replay())
    log.append(4, b"four")
    log.close()

    assert first == records[0]
    assert again == records
    assert records_of(path) == [*records, (4, b"four")]


def test_incarnation_out_of_range_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="incarnation"):
        WriteAheadLog(tmp_path / "node-a.wal", disk=OsDisk()).open(
            node_id=NODE_ID, incarnation=2**64
        )

    assert list(tmp_path.iterdir()) == []


def test_an_append_is_one_write_and_a_sync_is_one_sync(tmp_path: Path) -> None:
    disk = FaultyDisk()

    with opened(tmp_path / "node-a.wal", disk=disk) as (log, _):
        log.append(1, b"one")
        disk.operations.clear()
        log.append(2, b"two")
        log.append_many([(3, b"three"), (4, b"four")])
        log.append_many([])
        assert has_unsynced(log)
        log.sync()
        assert not has_unsynced(log)
        log.sync()

        assert [name for name, _ in disk.operations] == ["pwrite", "pwrite", "sync"]


def test_each_frame_says_up_to_where_the_file_was_durable_when_it_was_written(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "node-a.wal") as (log, _):
        log.append(1, b"one")
        log.append(2, b"two")
        log.append_many([(3, b"three"), (4, b"four")])
        log.sync()
        synced = log.size_bytes
        log.append(5, b"five")
        log.append_many([(6, b"six"), (7, b"seven")])

    disk = OsDisk()
    file = disk.open(log.path, OpenMode.EXISTING)
    _, seed = decode_file_header(file.pread(FILE_HEADER_BYTES, 0), log.path)
    headers = [header for _, header in frame_headers(file, FILE_HEADER_BYTES, seed)]
    file.close()

    closed = log.size_bytes - FRAME_OVERHEAD_BYTES
    marks = [FILE_HEADER_BYTES] * 4 + [synced] * 3 + [closed]
    assert [header.mark for header in headers] == marks
    assert [header.sequence for header in headers] == list(range(1, 9))


@pytest.mark.parametrize("kind", [0, 256, -1])
def test_kind_that_is_no_kind_is_a_bug_of_the_caller(tmp_path: Path, kind: int) -> None:
    """0 would be skipped by replay."""
    with opened(tmp_path / "node-a.wal") as (log, _):
        with pytest.raises(AssertionError):
            log.append(kind, b"")
        with pytest.raises(AssertionError):
            log.append_many([(1, b""), (kind, b"")])

    assert records_of(tmp_path / "node-a.wal") == []


def test_space_is_allocated_in_growing_chunks_and_given_back(tmp_path: Path) -> None:
    disk = FaultyDisk(only=frozenset({"allocate"}))
    path = tmp_path / "node-a.wal"

    with opened(path, disk=disk) as (log, _):
        for i in range(1, 4 * 2**10):
            log.append(1, bytes(2**10))
            if i % 2**8 == 0:
                spare_bytes = path.stat().st_size - log.size_bytes
                assert 0 <= spare_bytes <= max(2**15, log.size_bytes // 8)
        assert disk.count < 50
        size_bytes = log.size_bytes

    assert path.stat().st_size == size_bytes + FRAME_OVERHEAD_BYTES


def test_the_space_ahead_is_written_and_not_only_reserved(tmp_path: Path) -> None:
    """What is reserved is a hole still: a sync of the first write into it takes twice as long."""
    path = tmp_path / "node-a.wal"

    with opened(path) as (log, _):
        log.append(1, b"one")
        log.sync()

        with path.open("rb") as file:
            hole = os.lseek(file.fileno(), log.size_bytes, os.SEEK_HOLE)
        assert log.size_bytes < path.stat().st_size == hole


def test_disk_that_has_no_room_ahead_takes_the_record_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        if not any(data):
            raise OSError(errno.ENOSPC, "no space left")
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr("os.pwrite", refuse)
    path = tmp_path / "node-a.wal"

    with opened(path) as (log, _):
        log.append(1, b"one")
        log.sync()
        assert log.size_bytes == path.stat().st_size

    assert records_of(path) == [(1, b"one")]


def test_space_left_allocated_by_a_killed_process_is_used(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    path.write_bytes(image_of(tmp_path, [[(1, b"one")]]) + bytes(ALLOCATION_BYTES))
    disk = FaultyDisk()

    with opened(path, disk=disk) as (log, found):
        log.append(2, b"two")
        assert found == [(1, b"one")]
        assert log.torn_tail is None

    assert ("allocate", path.name) not in disk.operations
    assert records_of(path) == [(1, b"one"), (2, b"two")]


def test_opening_and_closing_does_not_let_the_file_grow(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    with opened(path) as (log, _):
        log.append(1, b"one")
    size_bytes = path.stat().st_size

    for _ in range(3):
        assert records_of(path) == [(1, b"one")]

    assert path.stat().st_size == size_bytes


def test_sync_covers_what_was_appended_before_it_and_nothing_else(tmp_path: Path) -> None:
    """Another thread appends while the sync waits for the disk: that is not durable by it."""
    waiting, go_on = threading.Event(), threading.Event()

    class SlowFile:
        def __init__(self, log: WriteAheadLog) -> None:
            self.sync_file = log._file.sync

        def sync(self) -> None:
            waiting.set()
            assert go_on.wait(10)
            self.sync_file()

    with opened(tmp_path / "node-a.wal") as (log, _):
        log.append(1, b"one")
        file, slow = log._file, SlowFile(log)
        log._file = slow  # type: ignore[assignment]  # only its sync is called
        thread = threading.Thread(target=log.sync)
        thread.start()
        assert waiting.wait(10)
        log._file = file
        log.append(2, b"two")
        go_on.set()
        thread.join()

        assert has_unsynced(log)
        log.sync()
        assert not has_unsynced(log)

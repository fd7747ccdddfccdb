"""A disk or a file that is full: the write is refused by name, leaves nothing, and works later."""

from __future__ import annotations

import errno
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from softadastra import (
    Cause,
    Client,
    ClientOptions,
    StorageError,
    configure_logging,
    readiness,
)
from softadastra.testing import LocalCluster, wait_until
from softadastra.wal import OsDisk, WriteAheadLog
from tests.faults.mounts import tmpfs
from tests.faults.tracing import calls_of, traced

DEADLINE_SECONDS = 30.0
VALUE = "v" * 1_000
DISK_BYTES = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "disk", DISK_BYTES):
        yield tmp_path / "disk"


def fill(client: Client, held: dict[str, str]) -> StorageError:
    """Write new keys until one is refused; what was taken is added to what is held."""
    for number in range(len(held), DISK_BYTES // len(VALUE) + 1):
        try:
            client.put(f"key/{number}", VALUE)
        except StorageError as error:
            return error
        held[f"key/{number}"] = VALUE
    raise AssertionError("the disk is larger than it should be")


def content_of_a_copy(path: Path, target: Path) -> dict[str, object]:
    """What the file holds at this moment, and nothing behind it."""
    shutil.copyfile(path, target)
    log = WriteAheadLog(target, disk=OsDisk())
    log.open(node_id="a", incarnation=1)
    assert list(log.replay())
    assert log.torn_tail is None
    log.close()
    with Client(ClientOptions.persistent("a", target)) as client:
        return dict(client)


def test_a_write_that_a_full_disk_refused_leaves_nothing_and_works_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    path = disk / "a.wal"
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 4))
    held: dict[str, str] = {}
    with Client(ClientOptions.persistent("a", path)) as client:
        refused = fill(client, held)
        assert refused.errno == errno.ENOSPC
        assert re.search(r"a\.wal: No space left on device; free some space", refused.message)
        assert dict(client) == held == content_of_a_copy(path, tmp_path / "copy.wal")
        with pytest.raises(StorageError, match="free some space"):
            client.put("large", VALUE * 10)
        assert [found.cause for found in readiness(client.vitals()).findings] == [Cause.DISK_FULL]

        ballast.unlink()
        client.put("key/0", "after")
        assert readiness(client.vitals()).ok
        held["key/0"] = "after"
        assert dict(client) == held == content_of_a_copy(path, tmp_path / "copy-2.wal")
    with Client(ClientOptions.persistent("a", path)) as client:
        assert dict(client) == held


def test_a_full_disk_keeps_no_node_from_being_opened_and_read(disk: Path) -> None:
    held: dict[str, str] = {}
    with Client(ClientOptions.persistent("a", disk / "a.wal")) as client:
        fill(client, held)
        with (disk / "rest").open("wb") as rest, pytest.raises(OSError, match="No space left"):
            rest.write(bytes(DISK_BYTES))
    with Client(ClientOptions.persistent("a", disk / "a.wal")) as client:
        assert dict(client) == held


def test_when_a_full_disk_ends_the_rewriting_of_a_log_writes_go_on_until_there_is_room(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 keys are alive, so that the log is rewritten at half a disk; the ballast keeps it."""
    monkeypatch.setattr("softadastra.runtime.compaction.RETRY_MIN_MS", 500)
    monkeypatch.setattr("softadastra.runtime.compaction.RETRY_MAX_MS", 500)
    path, events = disk / "a.wal", tmp_path / "events.jsonl"
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES * 2 // 5))
    configure_logging("info", "json", file=events)
    held: dict[str, str] = {}
    try:
        with Client(ClientOptions.persistent("a", path)) as client:

            def overwrite(number: int) -> bool:
                key, value = f"key/{number % 200}", f"{number}{VALUE}"
                # While the new file has the last room a write may be refused too.
                with suppress(StorageError):
                    client.put(key, value)
                    held[key] = value
                return held.get(key) == value

            for number in range(500):
                overwrite(number)
            assert wait_until(lambda: "compaction.failed" in events.read_text(), DEADLINE_SECONDS)
            for number in range(500, 510):
                assert wait_until(partial(overwrite, number), DEADLINE_SECONDS)
            assert dict(client) == held == content_of_a_copy(path, tmp_path / "copy.wal")

            ballast.unlink()
            full_bytes = path.stat().st_size
            assert wait_until(lambda: path.stat().st_size < full_bytes, DEADLINE_SECONDS)
            assert dict(client) == held
    finally:
        configure_logging("warning")
    with Client(ClientOptions.persistent("a", path)) as client:
        assert dict(client) == held


def test_a_write_that_was_cut_short_at_the_largest_size_of_a_file_leaves_nothing(
    tmp_path: Path,
) -> None:
    """The system takes what fits of it, and refuses the rest (ulimit -f)."""
    path, log = tmp_path / "node-a.wal", tmp_path / "calls"
    with LocalCluster(1, directory=tmp_path) as cluster:
        (node,) = cluster.nodes
        node.put("before", 1)
        unlimited = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
        with traced(node.pid, log, "-P", str(path), "-e", "trace=pwrite64,ftruncate"):
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (40_000, unlimited[1]))
            with pytest.raises(StorageError, match="raise the file size limit"):
                node.put_many(((f"key/{n}", VALUE * 4) for n in range(20)), batch_size=1)
        taken = node.items()
        assert 1 < len(taken) < 20
        with pytest.raises(StorageError, match="raise the file size limit"):
            node.put("refused", VALUE * 4)

        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, unlimited)
        node.put("after", VALUE * 4)
        node.kill()
        node.restart()
        assert node.items() == {**taken, "after": VALUE * 4}

    *whole, short, refused, cut_off = calls_of(log)
    assert {call.result > 4_000 for call in whole} == {True}
    assert 0 < short.result < 4_000
    assert (refused.name, refused.result) == ("pwrite64", -1)
    assert (cut_off.name, cut_off.result) == ("ftruncate", 0)

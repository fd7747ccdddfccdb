"""The simulated disk loses what a real one may lose, and nothing else."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from softadastra.errors import StorageError
from softadastra.testing.sim_disk import SimDisk
from softadastra.wal.disk import OpenMode

PATH = Path("log")

OLD, NEW = b"o" * 2048, b"n" * 2048


def disk_after(seed: int, *, synced: bytes = b"") -> SimDisk:
    """A disk with a file of which a part is synced, in the world of a seed."""
    disk = SimDisk(Random(seed), allocation_bytes_max=0)
    file = disk.open(PATH, OpenMode.NEW)
    file.pwrite(synced, 0)
    file.sync()
    disk.sync_directory(PATH.parent)
    return disk


def read(disk: SimDisk) -> bytes:
    return disk.open(PATH, OpenMode.EXISTING).pread(10_000, 0)


@pytest.mark.parametrize("seed", range(20))
def test_synced_bytes_survive_every_power_cut(seed):
    disk = disk_after(seed, synced=OLD)
    disk.open(PATH, OpenMode.EXISTING).pwrite(NEW, len(OLD))

    disk.lose_power()

    assert read(disk).startswith(OLD)


def test_a_power_cut_keeps_nothing_everything_a_piece_or_some_sectors():
    kept = set()
    for seed in range(200):
        disk = disk_after(seed, synced=OLD)
        disk.open(PATH, OpenMode.EXISTING).pwrite(NEW, 0)
        disk.lose_power()
        kept.add(read(disk))

    sectors = {tuple(content[i : i + 512] for i in range(0, 2048, 512)) for content in kept}
    assert {OLD, NEW} <= kept
    assert any(
        content[:4] == b"nnnn" and len(set(part)) == 2
        for content in kept
        for part in [content[i : i + 512] for i in range(0, 2048, 512)]
    )
    assert (OLD[:512], NEW[:512], OLD[:512], NEW[:512]) in sectors


def test_a_killed_process_loses_nothing_that_it_wrote():
    disk = disk_after(0, synced=OLD)
    disk.open(PATH, OpenMode.EXISTING).pwrite(NEW, 0)

    disk.end_process()

    assert read(disk) == NEW


def test_a_name_whose_directory_was_not_synced_may_vanish_with_what_is_synced_into_it():
    survived = set()
    for seed in range(50):
        disk = SimDisk(Random(seed), allocation_bytes_max=0)
        file = disk.open(PATH, OpenMode.NEW)
        file.pwrite(OLD, 0)
        file.sync()
        disk.lose_power()
        survived.add(read(disk) if disk.durable(PATH) is not None else b"")

    assert survived == {b"", OLD}


def test_after_a_failed_sync_reads_show_what_a_power_cut_takes_away():
    """The trap of the clean page: only what is written once more is durable."""
    lost = 0
    for seed in range(50):
        disk = disk_after(seed, synced=OLD)
        file = disk.open(PATH, OpenMode.EXISTING)
        file.pwrite(NEW, 0)
        disk.fails_next_sync = True
        with pytest.raises(StorageError):
            file.sync()
        assert read(disk) == NEW
        file.sync()
        disk.lose_power()
        lost += read(disk) != NEW

    assert lost > 0


def test_a_full_disk_takes_what_there_is_room_for_and_overwrites_the_rest():
    disk = disk_after(0, synced=OLD)
    file = disk.open(PATH, OpenMode.EXISTING)
    disk.free_bytes = 10

    assert file.pwrite(NEW, 1024) == 1024 + 10
    with pytest.raises(StorageError) as refused:
        file.pwrite(NEW, len(OLD) + 10)
    assert refused.value.errno == errno.ENOSPC

"""A file is leased on a file system that sees who reads it, and on no other."""

from __future__ import annotations

from pathlib import Path

from softadastra.wal.disk import OpenMode, OsDisk
from tests.faults.mounts import loop_mount, overlay


def test_a_file_on_ext4_is_leased_unless_it_is_read(tmp_path: Path) -> None:
    with loop_mount("ext4", tmp_path) as mounted:
        path = mounted.path / "file"
        file = OsDisk().open(path, OpenMode.NEW)
        with path.open("rb"):
            path.unlink()
            is_leased_beside_a_reader = file.lease()
        is_leased = file.lease()
        file.close()

    assert (is_leased_beside_a_reader, is_leased) == (False, True)


def test_a_file_on_an_overlay_is_not_leased(tmp_path: Path) -> None:
    """The system would grant it, whoever reads the file in the directory below."""
    with overlay(tmp_path) as upper:
        path = upper.with_name("above") / "file"
        file = OsDisk().open(path, OpenMode.NEW)
        file.pwrite(b"content", 0)
        with (upper / "file").open("rb"):
            path.unlink()
            is_leased = file.lease()
        file.close()

    assert not is_leased

"""A file is leased when nobody else can see it, and as long as that is so nobody gets to see it."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from softadastra.wal.disk import File, OpenMode, OsDisk

from .leasing import need_leases

CONTENT = b"content" * 1_000

OPENED_THROUGH_PROC = """
import os, subprocess, sys
from pathlib import Path
from softadastra.wal.disk import OpenMode, OsDisk

path = Path(sys.argv[1])
file = OsDisk().open(path, OpenMode.NEW)
file.pwrite(b"content", 0)
path.unlink()
assert file.lease()
source = f"/proc/{os.getpid()}/fd/{file._descriptor}"
waiting = f"print('opens', flush=True); print(open('{source}', 'rb').read(), flush=True)"
with subprocess.Popen([sys.executable, "-c", waiting], stdout=subprocess.PIPE) as other:
    assert other.stdout.readline() == b"opens\\n"
    while file.lease():
        pass
    # It waits in open(), and this process was told so.
    file.truncate(0)
    file.close()
    print(other.stdout.readline().decode().strip())
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    need_leases(tmp_path)
    file = OsDisk().open(tmp_path / "file", OpenMode.NEW)
    file.pwrite(CONTENT, 0)
    yield file
    file.close()


@contextmanager
def a_name(path: Path) -> Iterator[None]:
    yield


@contextmanager
def another_name(path: Path) -> Iterator[None]:
    other = path.with_name("other")
    other.hardlink_to(path)
    path.unlink()
    yield
    other.unlink()


@contextmanager
def a_reader(path: Path) -> Iterator[None]:
    with path.open("rb"):
        path.unlink()
        yield


@contextmanager
def a_writer(path: Path) -> Iterator[None]:
    with path.open("r+b"):
        path.unlink()
        yield


@contextmanager
def a_mapping(path: Path) -> Iterator[None]:
    with path.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    path.unlink()
    with mapped:
        yield


@contextmanager
def another_process(path: Path) -> Iterator[None]:
    program = f"f = open({str(path)!r}, 'rb'); print(flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        path.unlink()
        yield
        other.stdin.write(b"\n")


@pytest.mark.parametrize(
    "seen_by", [a_name, another_name, a_reader, a_writer, a_mapping, another_process]
)
def test_a_file_that_somebody_may_see_is_not_leased(
    file: File, seen_by: Callable[[Path], Iterator[None]]
) -> None:
    with seen_by(file.path):  # type: ignore[attr-defined]  # of contextmanager
        assert not file.lease()
    with suppress(FileNotFoundError):
        file.path.unlink()

    assert file.lease()
    assert file.lease()


@pytest.mark.usefixtures("file")
def test_who_opens_a_leased_file_waits_until_it_is_closed_and_ends_no_process(
    tmp_path: Path,
) -> None:
    """Through /proc it can be opened still. The signal that tells of it is SIGIO by default."""
    command = [sys.executable, "-c", OPENED_THROUGH_PROC, str(tmp_path / "leased")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "b''\n"), done.stderr


def test_where_openings_are_not_known_to_be_counted_no_file_is_leased(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an overlay: what is read past it is not seen in it."""
    file.path.unlink()
    monkeypatch.setattr("softadastra.wal.lease.FILE_SYSTEMS", frozenset({"overlay"}))

    assert not file.lease()


def test_a_system_that_refuses_a_lease_has_none(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, command: int, argument: int) -> int:
        raise OSError(22, os.strerror(22))

    file.path.unlink()
    monkeypatch.setattr("softadastra.wal.lease.fcntl.fcntl", refuse)

    assert not file.lease()

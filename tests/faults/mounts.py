"""File systems that a test mounts, breaks and removes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from tests.faults.requirements import need, need_root, need_tool, run

__all__ = ["LoopMount", "loop_mount", "overlay", "tmpfs"]

GOINGDOWN: Final = 0x8004587D
"""The ioctl with which ext4 and XFS test themselves (XFS_IOC_GOINGDOWN of xfs_fs.h, as
EXT4_IOC_SHUTDOWN in ext4.h)."""
WITHOUT_LOG: Final = 2
"""Its argument: nothing more is written, the journal in memory included, as when power fails."""
CLONE_NEWNS: Final = 0x0002_0000
"""For `unshare`: of mounts (sched.h)."""

MEBIBYTES: Final = {"ext4": 64, "xfs": 300}
"""The image is sparse. mkfs.xfs makes none below 300 MiB."""
PACKAGES: Final = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}


class LoopMount:
    """A file system in a file.

    Args:
        kind: ext4 or xfs.
        image: the file, with the file system in it.
        path: where it is mounted.
    """

    def __init__(self, kind: str, image: Path, path: Path) -> None:
        self.path = path
        self._kind = kind
        self._image = image

    def mount(self, options: str = "loop") -> None:
        """Mount it."""
        run("mount", "-t", self._kind, "-o", options, str(self._image), str(self.path))

    def remount(self, options: str) -> None:
        """Change how it is mounted."""
        run("mount", "-o", f"remount,{options}", str(self.path))

    def unmount(self) -> None:
        """Unmount it; all files have to be closed. Its loop device goes with it."""
        run("umount", str(self.path))

    def cut_power(self) -> None:
        """Lose whatever is not on the disk. All calls fail until it is mounted again."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, GOINGDOWN, struct.pack("I", WITHOUT_LOG))
        finally:
            os.close(descriptor)

    def find_damage(self) -> None:
        """Have ext4 believe that it found damage; mounted with errors=remount-ro it turns
        read-only then, under whatever is open. By itself nobody can remount it so."""
        device = Path(f"/sys/dev/block/{os.major(self._device)}:{os.minor(self._device)}").resolve()
        Path(f"/sys/fs/ext4/{device.name}/trigger_fs_error").write_text("1")

    @property
    def _device(self) -> int:
        return self.path.stat().st_dev


@contextmanager
def loop_mount(kind: str, directory: Path, options: str = "loop") -> Iterator[LoopMount]:
    """Make a file system in a file of this directory, and mount it."""
    need_root()
    need_tool(f"mkfs.{kind}", PACKAGES[kind])
    leave_the_mounts_of_others()
    image, path = directory / f"{kind}.image", directory / kind
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(MEBIBYTES[kind] << 20)
    run(f"mkfs.{kind}", "-q", str(image))
    mounted = LoopMount(kind, image, path)
    with removed_at_the_end(path):
        try:
            mounted.mount(options)
        except AssertionError as error:
            need(False, f"this machine mounts no {kind} image: {error}")
        yield mounted


@contextmanager
def tmpfs(path: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system in memory that has room for so much."""
    need_root()
    path.mkdir()
    with removed_at_the_end(path):
        run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path))
        yield


@contextmanager
def overlay(directory: Path) -> Iterator[Path]:
    """Mount a file system above a directory; what is changed in it goes to the one that it gives.

    Both are in memory, as an overlay can be above most file systems, but not above another one.
    """
    need_root()
    leave_the_mounts_of_others()
    below = directory / "below"
    with tmpfs(below, 64 << 20):
        lower, upper, work, path = (below / name for name in ("lower", "upper", "work", "above"))
        for each in (lower, upper, work, path):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        with removed_at_the_end(path):
            run("mount", "-t", "overlay", "-o", options, "overlay", str(path))
            yield upper


@cache
def leave_the_mounts_of_others() -> None:
    """Mount in a namespace of this process, from here to its end.

    Whoever makes one of his own meanwhile, as a service that starts, gets a copy of each mount of
    the one he leaves. A file system of which there is a copy is not gone when it is unmounted: the
    next mount of its image would find it as the power cut left it, and give EIO.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        error = ctypes.get_errno()
        need(False, f"this process gets no mounts of its own: {os.strerror(error)}")
    run("mount", "--make-rprivate", "/")


@contextmanager
def removed_at_the_end(path: Path) -> Iterator[None]:
    """Leave nothing mounted, also when files are open there because a test failed."""
    try:
        yield
    finally:
        # Not asked of the path itself, which fails after a power cut.
        if f" {path} " in Path("/proc/self/mountinfo").read_text():
            subprocess.run(["umount", "--lazy", str(path)], check=True, timeout=60)

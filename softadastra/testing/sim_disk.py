"""A simulated disk: it keeps what was synced, and of the rest what chance keeps.

- What is written can be read at once, as from a page cache; a killed process loses nothing.
- A power cut keeps, of what was not synced, nothing, everything, a beginning that may end in
  the middle of a write, or any sectors in any order. A sector is kept as it was at one moment.
- A name that is new, moved or gone is durable after `sync_directory`; a power cut keeps the
  first of the changes since then, any number of them.
- A sync that fails leaves on the disk what chance wrote, and in the cache what was written,
  as if it were clean: that is what ext4, XFS and Btrfs do (Rebello et al., ATC 2020).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeAlias

from softadastra.errors import StorageError
from softadastra.testing.sim_inode import SimInode
from softadastra.wal.disk import Bytes, File, OpenMode

__all__ = ["SimDisk"]


class Linked(NamedTuple):
    """A name was given to a file, in place of the file that had it."""

    path: Path
    inode: SimInode


class Unlinked(NamedTuple):
    """A name was taken away."""

    path: Path


NameChange: TypeAlias = tuple[Unlinked, Linked] | tuple[Linked] | tuple[Unlinked]
"""What happens to names in one step."""


class SimDisk:
    """The disk of one machine, an implementation of the port `Disk`. Not thread-safe.

    Args:
        rng: decides what a power cut keeps.
        allocation_bytes_max: how much one `allocate` reserves; 0: this disk has no such thing.
    """

    def __init__(self, rng: Random, *, allocation_bytes_max: int) -> None:
        self.rng = rng
        self.allocation_bytes_max = allocation_bytes_max
        self.free_bytes: int | None = None
        """By how much files may still grow, all together; None: by any amount."""
        self.fails_next_sync = False
        self.operations = 0
        """How many changes and syncs were asked for, those that failed too."""
        self.durable_version = 0
        """Rises whenever what `durable` gives may have changed."""
        self._names: dict[Path, SimInode] = {}
        self._durable_names: dict[Path, SimInode] = {}
        self._changes: list[NameChange] = []
        self._numbers = count(int(rng.random() * 2**32))

    @property
    def is_full(self) -> bool:
        """Whether space is short. Overwriting goes on, as does making files smaller."""
        return self.free_bytes is not None

    def open(self, path: Path, mode: OpenMode) -> File:
        """See `Disk.open`."""
        inode = self._names.get(path)
        if inode is None:
            if mode in (OpenMode.EXISTING, OpenMode.READING):
                raise refused("open", path, errno.ENOENT)
            if self.is_full:
                raise refused("open", path, errno.ENOSPC)
            inode = SimInode(next(self._numbers))
            self._change((Linked(path, inode),))
        elif mode is OpenMode.NEW:
            raise refused("open", path, errno.EEXIST)
        return SimFile(self, path, inode)

    def exists(self, path: Path) -> bool:
        """See `Disk.exists`."""
        return path in self._names

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk.rename`."""
        if source not in self._names:
            raise refused("rename to", target, errno.ENOENT)
        self._change((Unlinked(source), Linked(target, self._names[source])))

    def remove(self, path: Path) -> None:
        """See `Disk.remove`."""
        if path in self._names:
            self._change((Unlinked(path),))

    def make_directory(self, path: Path) -> None:
        """See `Disk.make_directory`; here every directory is there."""

    def sync_directory(self, path: Path) -> None:  # noqa: ARG002  one journal for all of them
        """See `Disk.sync_directory`."""
        self.operations += 1
        for change in self._changes:
            apply(change, self._durable_names)
        self._changes.clear()
        self.durable_version += 1

    def inodes(self) -> Collection[SimInode]:
        """Give the files that have a name."""
        return self._names.values()

    def durable(self, path: Path) -> bytearray | None:
        """Give what any power cut would leave of a file; None when it may leave no such name."""
        inode = self._durable_names.get(path)
        if inode is None or self._names.get(path) is not inode:
            return None
        return inode.durable

    def lose_power(self) -> None:
        """Keep what is durable, and of the rest what chance keeps."""
        kept = pick(self.rng, len(self._changes))
        for change in self._changes[:kept]:
            apply(change, self._durable_names)
        self._changes.clear()
        self._names = dict(self._durable_names)
        self.durable_version += 1
        for inode in self._names.values():
            inode.lose_power(self.rng)
        self.end_process()

    def end_process(self) -> None:
        """Close all files, as the system does when a process ends."""
        for inode in self._names.values():
            inode.is_locked = False
        self.fails_next_sync = False

    def replace(self, path: Path, content: bytes, *, in_place: bool) -> None:
        """Let a file hold this and nothing else, durably; not in place it is another file."""
        old = self._durable_names.get(path)
        inode = old if in_place and old is not None else SimInode(next(self._numbers))
        inode.load(content)
        for change in self._changes:
            apply(change, self._durable_names)
        self._changes.clear()
        self._durable_names[path] = inode
        self._names = dict(self._durable_names)
        self.durable_version += 1

    def flip_bit(self, path: Path, offset: int, bit: int) -> None:
        """Turn one bit over, in what is durable too."""
        self.durable_version += 1
        for content in (self._names[path].cache, self._names[path].durable):
            content[offset] ^= 1 << bit

    def _change(self, change: NameChange) -> None:
        self.operations += 1
        self._changes.append(change)
        self.durable_version += 1
        apply(change, self._names)


@dataclass(slots=True)
class SimFile:
    """An open file of a SimDisk."""

    disk: SimDisk
    path: Path
    inode: SimInode

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """See `File.pread`."""
        return bytes(self.inode.cache[offset : offset + size_bytes])

    def pwrite(self, data: Bytes, offset: int) -> int:
        """See `File.pwrite`; where space is short it takes what there is room for."""
        self.disk.operations += 1
        growth = offset + len(data) - len(self.inode.cache)
        if self.disk.free_bytes is not None and growth > 0:
            taken = min(growth, self.disk.free_bytes)
            self.disk.free_bytes -= taken
            data = data[: len(data) - growth + taken]
            if not data:
                raise refused("write", self.path, errno.ENOSPC)
        self.inode.write(bytes(data), offset)
        return len(data)

    def sync(self) -> None:
        """See `File.sync`."""
        self.disk.operations += 1
        self.disk.durable_version += 1
        if self.disk.fails_next_sync:
            self.disk.fails_next_sync = False
            self.inode.fail_sync(self.disk.rng)
            raise refused("sync", self.path, errno.EIO)
        self.inode.sync()

    def truncate(self, size_bytes: int) -> None:
        """See `File.truncate`."""
        self.disk.operations += 1
        self.inode.resize(size_bytes)

    def allocate(self, offset: int, size_bytes: int) -> None:
        """See `File.allocate`."""
        taken = min(size_bytes, self.disk.allocation_bytes_max)
        if taken and not self.disk.is_full and offset + taken > len(self.inode.cache):
            self.inode.resize(offset + taken)

    def size(self) -> int:
        """See `File.size`."""
        return len(self.inode.cache)

    def identity(self) -> tuple[int, int]:
        """See `File.identity`."""
        return 1, self.inode.number

    def lock(self) -> bool:
        """See `File.lock`."""
        was_locked, self.inode.is_locked = self.inode.is_locked, True
        return not was_locked

    def unlock(self) -> None:
        """See `File.unlock`."""
        self.inode.is_locked = False

    def lease(self) -> bool:
        """See `File.lease`; a copy is made in one go here, and nobody else reads."""
        return self.inode not in self.disk.inodes()

    def close(self) -> None:
        """See `File.close`."""


def apply(change: Sequence[Linked | Unlinked], names: dict[Path, SimInode]) -> None:
    """Do to names what was done."""
    for step in change:
        match step:
            case Linked(path, inode):
                names[path] = inode
            case Unlinked(path):
                names.pop(path, None)


def pick(rng: Random, last: int) -> int:
    """Give a number from 0 to `last`.

    One draw, always: `randint` draws as often as it takes, which depends on `last`, and so on
    the length of what is on the disk.
    """
    return int(rng.random() * (last + 1))


def refused(action: str, path: Path, number: int) -> StorageError:
    """Give the error of a system that refuses."""
    return StorageError(
        f"cannot {action} {path}: {os.strerror(number)} (simulated)",
        errno=number,
        filename=str(path),
    )

"""A real disk that fails, tears and shortens operations on request, and lists what was done."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from pathlib import Path

from softadastra.errors import StorageError
from softadastra.wal.disk import Bytes, File, OpenMode, OsDisk


class FaultyDisk:
    """OsDisk with a fault at the N-th operation.

    Args:
        fail_at: which operation fails, counted from 1; 0: none does.
        sticky: all operations after it fail too.
        only: the names of the operations that count and fail; empty: all of them.
        code: the errno of the failure.
        write_bytes_max: how much a pwrite takes at once.
    """

    def __init__(
        self,
        *,
        fail_at: int = 0,
        sticky: bool = False,
        only: frozenset[str] = frozenset(),
        code: int = errno.EIO,
        write_bytes_max: int = 2**31,
    ) -> None:
        self.fail_at = fail_at
        self.sticky = sticky
        self.only = only
        self.code = code
        self.write_bytes_max = write_bytes_max
        self.count = 0
        self.has_failed = False
        self.operations: list[tuple[str, str]] = []
        self.writes: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self._disk = OsDisk()

    def is_due(self, name: str, path: Path) -> bool:
        self.operations.append((name, path.name))
        if self.only and name not in self.only:
            return False
        self.count += 1
        due = self.count == self.fail_at or (self.sticky and 0 < self.fail_at < self.count)
        self.has_failed = self.has_failed or due
        return due

    def step(self, name: str, path: Path) -> None:
        if self.is_due(name, path):
            raise self.failure(name, path)

    def failure(self, name: str, path: Path) -> StorageError:
        return StorageError(
            f"{name} {path}: {os.strerror(self.code)} (injected)",
            errno=self.code,
            filename=str(path),
        )

    def open(self, path: Path, mode: OpenMode) -> File:
        self.step("open", path)
        return FaultyFile(self, self._disk.open(path, mode))

    def exists(self, path: Path) -> bool:
        self.step("exists", path)
        return self._disk.exists(path)

    def rename(self, source: Path, target: Path) -> None:
        self.step("rename", target)
        self._disk.rename(source, target)

    def remove(self, path: Path) -> None:
        self.step("remove", path)
        self._disk.remove(path)

    def make_directory(self, path: Path) -> None:
        self.step("make_directory", path)
        self._disk.make_directory(path)

    def sync_directory(self, path: Path) -> None:
        self.step("sync_directory", path)
        self._disk.sync_directory(path)


class FaultyFile:
    """A file of a FaultyDisk. A write that fails writes half of its bytes first."""

    def __init__(self, disk: FaultyDisk, file: File) -> None:
        self.path = file.path
        self._disk = disk
        self._file = file
        self._is_open = True

    def pread(self, size_bytes: int, offset: int) -> bytes:
        self._disk.step("pread", self.path)
        return self._file.pread(size_bytes, offset)

    def pwrite(self, data: Bytes, offset: int) -> int:
        if self._disk.is_due("pwrite", self.path):
            self._file.pwrite(data[: len(data) // 2], offset)
            raise self._disk.failure("pwrite", self.path)
        taken = data[: self._disk.write_bytes_max]
        self._disk.writes[self.path.name].append((offset, bytes(taken)))
        return self._file.pwrite(taken, offset)

    def sync(self) -> None:
        self._disk.step("sync", self.path)
        self._file.sync()

    def truncate(self, size_bytes: int) -> None:
        self._disk.step("truncate", self.path)
        self._file.truncate(size_bytes)

    def allocate(self, offset: int, size_bytes: int) -> None:
        self._disk.step("allocate", self.path)
        self._file.allocate(offset, size_bytes)

    def size(self) -> int:
        self._disk.step("size", self.path)
        return self._file.size()

    def identity(self) -> tuple[int, int]:
        self._disk.step("identity", self.path)
        return self._file.identity()

    def lock(self) -> bool:
        self._disk.step("lock", self.path)
        return self._file.lock()

    def unlock(self) -> None:
        self._disk.step("unlock", self.path)
        self._file.unlock()

    def lease(self) -> bool:
        self._disk.step("lease", self.path)
        return self._file.lease()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            # The descriptor is gone in any case, as with close(2) on Linux.
            self._file.close()
            self._disk.step("close", self.path)

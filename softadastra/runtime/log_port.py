"""The durable history, as commits know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Log"]


class Log(Protocol):
    """The durable history, as `wal.log.WriteAheadLog` is one."""

    def append(self, kind: int, payload: bytes) -> None:
        """Append a frame, or raise and change nothing."""

    def append_many(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Append all of the frames, or raise and change nothing."""

    def sync(self) -> None:
        """Make what was appended before durable; a failure is for good."""

    @property
    def is_poisoned(self) -> bool:
        """Whether a sync failed, so that nothing is written any more."""

    @property
    def size_bytes(self) -> int:
        """Where the last frame ends: it says what an interrupted append has done."""

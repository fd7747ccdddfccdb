"""Writes that are gathered and become one atomic, durable record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from softadastra.errors import InvalidStateError
from softadastra.store.siblings import TOMBSTONE
from softadastra.store.writes import Assigned, Assignment
from softadastra.types import PutResult, Storable

__all__ = ["Batch", "Gathered"]


class Gathered:
    """Writes that are gathered within a block.

    Args:
        assignment: checks and packs a put.
        key: checks a key.
    """

    def __init__(
        self, assignment: Callable[[str, Storable], Assignment], key: Callable[[str], str]
    ) -> None:
        self._assignment = assignment
        self._key = key
        self._asked: list[Assignment] = []
        self._is_open = False
        self._results: list[Assigned | None] = []

    def _begin(self) -> None:
        if self._is_open or self._results:
            raise InvalidStateError("a batch is used once: call batch() again")
        self._is_open = True

    def _end(self, error: BaseException | None) -> list[Assignment]:
        """End the block; give what is to be written now."""
        self._is_open = False
        asked, self._asked = self._asked, []
        return asked if error is None else []

    @property
    def results(self) -> list[PutResult | None]:
        """Per write, after the block; None for the remove of an absent key."""
        return [None if row is None else PutResult._make(row) for row in self._results]

    def __len__(self) -> int:
        return len(self._asked)

    def put(self, key: str, value: Storable) -> None:
        """Gather a put.

        Raises:
            InvalidArgumentError: the key or the value cannot be stored.
            InvalidStateError: not inside the `with` block.
        """
        self._check_open()
        self._asked.append(self._assignment(key, value))

    def remove(self, key: str) -> None:
        """Gather a remove. Raises as `put`."""
        self._check_open()
        self._asked.append((self._key(key), TOMBSTONE, 0))

    def __setitem__(self, key: str, value: Storable) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        self.remove(key)

    def _check_open(self) -> None:
        if not self._is_open:
            raise InvalidStateError("a batch takes writes inside its with block only")


class Batch(Gathered):
    """Gathers writes in a `with` block; they happen at its end, all or none.

    An exception in the block discards them all. Nothing is visible before the end; a later
    write of the same key counts. For one thread. `results` has what each write did.

    Args:
        assignment: checks and packs a put.
        key: checks a key.
        write: commits.
    """

    def __init__(
        self,
        assignment: Callable[[str, Storable], Assignment],
        key: Callable[[str], str],
        write: Callable[[Sequence[Assignment]], list[Assigned | None]],
    ) -> None:
        super().__init__(assignment, key)
        self._write = write

    def __enter__(self) -> Batch:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asked = self._end(error)
        if asked:
            self._results = self._write(asked)

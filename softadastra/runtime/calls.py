"""What one thread has another one do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from softadastra.runtime.waiting import closed_gate, open_gate

__all__ = ["Call"]

T = TypeVar("T")


class Call(Generic[T]):
    """A function to be run by another thread, and its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        # Not an Event, whose own lock an interrupt of the caller may leave taken: the reactor
        # would wait for it for ever.
        self.done = closed_gate()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run it, and keep what it returns or raises for the caller."""
        try:
            self.result = self.function()
        except BaseException as error:  # belongs to the caller, who raises it
            self.error = error
        open_gate(self.done)

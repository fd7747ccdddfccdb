"""Numbers on the command line, refused in words that say what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from softadastra.arguments import plain_number

__all__ = ["Number"]


class Number(click.ParamType[float]):
    """A number within limits, which are included.

    Args:
        read: `int` or `float`.
        minimum: the least, None for no limit.
        maximum: the greatest, None for no limit.
    """

    name = "number"

    def __init__(
        self,
        read: Callable[[Any], float],
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> None:
        self._read = read
        self._minimum = minimum
        self._maximum = maximum

    @property
    def expected(self) -> str:
        """What is accepted, in words."""
        kind = "a whole number" if self._read is int else "a number"
        match self._minimum, self._maximum:
            case None, None:
                return kind
            case minimum, None:
                return f"{kind} of at least {minimum}"
            case minimum, maximum:
                return f"{kind} from {minimum} to {maximum}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number, or say what was expected."""
        try:
            number = self._read(plain_number(value) if isinstance(value, str) else value)
        except ValueError:
            self.fail(f"{value!r} is not {self.expected}.", param, ctx)
        # Written so that NaN, which every comparison refuses, is within no limits.
        is_above = self._minimum is None or number >= self._minimum
        is_below = self._maximum is None or number <= self._maximum
        if not (is_above and is_below):
            self.fail(f"{value!r} is not {self.expected}.", param, ctx)
        return number

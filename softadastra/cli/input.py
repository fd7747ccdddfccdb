"""Open what an argument names: a file, or standard input for "-"."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

__all__ = ["STANDARD_INPUT", "open_input"]

STANDARD_INPUT = "-"


@contextmanager
def open_input(name: str, *, hint: str = "") -> Iterator[BinaryIO]:
    """Open a file for reading, and close it when the block ends; standard input stays open.

    Args:
        name: the file, or "-".
        hint: a sentence to add when it cannot be opened.

    Raises:
        click.UsageError: it cannot be opened.
    """
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise click.UsageError("Standard input is closed: give it a file or a pipe.")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise click.UsageError(f"Cannot read {name!r}: {error.strerror}.{hint}") from error
    with stream:
        yield stream

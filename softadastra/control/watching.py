"""The changes of a node, told to a command of another process.

The node's side reads a watch of its own (`watch.py`), whose queue is bounded: a command that does
not read holds up the thread that answers it and nobody else, and is told what it missed.

It ends when the command leaves or the node is closed, then behind all that is known by then.

A command is told `Place` first, then each `Change`. `Place` comes again when the queue
overflowed, and now and then when nothing changes that it wants to know of: a place is younger then
than that of the last change, and is kept for longer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from softadastra.control.operations import Operations
from softadastra.errors import WatchOverflowError
from softadastra.types import Change

__all__ = ["Place", "watched"]

LOOK_SECONDS: Final = 0.25
"""How often the node looks whether a command that waits has left, or the node is being closed:
half of the time that it gives commands to end."""

PLACE_SECONDS: Final = 5.0
"""How often a place is told when nothing changes. A place lasts for half a minute at least."""

BYTES_MAX: Final = 2 * 1024 * 1024
"""A thirty-second of what is taken for all: see WATCHES_MAX in `server.py`. Who falls behind is
told the newest values, so that a large queue would give it little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the reader is."""

    position: str
    missed: str | None = None
    """What the reader is told when changes before it were not kept; None: it had them all."""


def watched(node: Operations, prefix: str, since: str | None) -> Iterator[Change | Place | None]:
    """Give what changes, for ever; None each time when nothing waits."""
    with node.watch(prefix, since=since, max_bytes=BYTES_MAX) as watch:
        place = watch.position
        yield Place(position=place)
        told = time.monotonic()
        while True:
            try:
                change = watch.get(0)
                if change is None:
                    yield None
                    change = watch.get(LOOK_SECONDS)
            except WatchOverflowError as error:
                yield Place(position=error.position, missed=error.message)
                continue
            if change is not None:
                yield change
            elif time.monotonic() - told >= PLACE_SECONDS:
                told = time.monotonic()
                if place != (place := watch.position):
                    yield Place(position=place)

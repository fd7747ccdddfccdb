"""Single keys of whoever sits at the terminal, while something is shown."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Keyboard", "keyboard"]


class Keyboard:
    """Waits for a key.

    Args:
        descriptor: of the terminal; None: there is none, and no key ever comes.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> str:
        """Give the keys that are pressed, as characters; "" when none is within this time."""
        watched = [] if self._descriptor is None else [self._descriptor]
        ready, _, _ = select.select(watched, [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(ready[0], 64)
        if not pressed:
            self._descriptor = None  # the terminal is gone; waiting for it would never end
        return pressed.decode(errors="replace")


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Take keys as they are pressed, without showing them, until the block ends."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield Keyboard(None)
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        # Ctrl-C stays what it is everywhere.
        tty.setcbreak(descriptor)
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

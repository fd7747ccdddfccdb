"""How commands that have something to clean up are stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stopped_as_by_ctrl_c"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and the SIGHUP of a terminal that closes, end the command as Ctrl-C does.

    Left alone they end the process at once, with its files where they are.
    """
    signals = [each for each in STOP_SIGNALS if signal.getsignal(each) is signal.SIG_DFL]
    for each in signals:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in signals:
            signal.signal(each, signal.SIG_DFL)

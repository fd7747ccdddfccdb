"""What all tests start from."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C be what it is in a terminal.

    A job in the background ignores SIGINT, and so would every process that a test starts and stops.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)

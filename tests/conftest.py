"""What all tests start from."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

from hypothesis import HealthCheck, settings

# How long an example takes says how fast the machine is, and how busy: it decides no test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """Let Ctrl-C be what it is in a terminal, and have nodes noted apart from this user's own.

    A job in the background ignores SIGINT, and so would every process that a test starts and stops.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="run-")


def pytest_unconfigure() -> None:
    """Remove what the nodes were noted in."""
    shutil.rmtree(os.environ.pop("XDG_RUNTIME_DIR"), ignore_errors=True)

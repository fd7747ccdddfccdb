"""`make sim` leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.eventually import DEADLINE_SECONDS, eventually
from tests.processes import children_of, has_ended


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_that_run_seeds_end_with_the_one_that_started_them(
    stop: signal.Signals,
) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "100000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: len(children_of(running.pid)) == os.cpu_count())
            workers = children_of(running.pid)
        finally:
            running.send_signal(stop)
        assert running.wait(DEADLINE_SECONDS) == -stop

    try:
        eventually(lambda: all(map(has_ended, workers)))
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

"""The tool at a terminal, with a person who reads and types."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path
from subprocess import Popen

from tests.eventually import eventually
from tests.processes import process_status

__all__ = ["DEADLINE_SECONDS", "Terminal"]

DEADLINE_SECONDS = 30.0
"""Far beyond what any step takes, so that only a hang ends a test."""


class Terminal:
    """A process of the tool on a terminal of its own. A context manager: leaving it ends it.

    Args:
        directory: where it runs.
        arguments: of the tool.
        kind: of the terminal; on a dumb one the cursor cannot be moved.
    """

    def __init__(self, directory: Path, *arguments: str, kind: str = "dumb") -> None:
        self._screen, inside = pty.openpty()
        environment = {n: v for n, v in os.environ.items() if "SOFTADASTRA" not in n}
        self.process = Popen(
            [sys.executable, "-m", "softadastra", *arguments],
            cwd=directory,
            env=environment | {"COLUMNS": "100", "TERM": kind},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self.text = ""
        """All that was shown."""
        self._read = 0

    def read(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown, behind what was found before.

        A blank in the pattern is also the end of a line: sentences are broken where they must.
        """
        pattern = pattern.replace(" ", r"\s+")
        until = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.text[self._read :])):
            assert time.monotonic() < until, f"{pattern!r} is not in:\n{self.text}"
            if not self._take(0.1):
                assert self.process.poll() is None, f"it ended, without {pattern!r}:\n{self.text}"
        self._read += found.end()
        return found

    def interrupt(self) -> None:
        """Interrupt it while it waits for a key.

        What comes between readline's look for signals and its wait is noticed with the next key.
        """
        # macOS says I of one that has slept for a while.
        eventually(lambda: process_status(self.process.pid) in ("S", "I"))
        self.process.send_signal(signal.SIGINT)

    def type(self, line: str) -> None:
        """Type a line."""
        self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._screen, keys.encode())

    def ended(self) -> int:
        """Wait for the end; give the exit code."""
        code = self.process.wait(DEADLINE_SECONDS)
        while self._take(0.0):
            pass
        return code

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)

    def _take(self, seconds: float) -> bool:
        """Take what is shown now; give whether there was anything."""
        if not select.select([self._screen], [], [], seconds)[0]:
            return False
        try:
            shown = os.read(self._screen, 65536)
        except OSError:  # nobody has the other end open any more
            return False
        self.text += shown.decode(errors="replace").replace("\r\n", "\n")
        return bool(shown)

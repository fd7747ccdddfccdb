"""Programs that tests run as people do: in a terminal, by what they show, ended with Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["Program", "free_ports"]

DEADLINE_SECONDS = 60.0
"""For a program to end: far more than a loaded machine needs."""

CONFUSED = ("Traceback", "Exception ignored", "Warning:")
"""What no program shows to whoever uses it as it is meant."""


class Program:
    """A program that runs in a terminal of its own.

    What it shows, on either output, is waited for by line; the test's time limit ends the wait.

    Args:
        arguments: the command.
        directory: where it runs.
        environment: the variables; None: those of the test.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal: Ctrl-C reaches all processes in it, and no other
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.shown: list[str] = []
        """All lines, as far as they were looked at; after the end all there are."""
        self._unclaimed: list[str] = []

    def type(self, line: str) -> None:
        self._input.write(f"{line}\n")
        self._input.flush()

    def sees(self, text: str) -> str:
        """Give the next line that has this in it, whatever else is shown before."""
        return self.sees_like(re.compile(f".*{re.escape(text)}.*"))

    def sees_like(self, pattern: re.Pattern[str]) -> str:
        """Give the next line that is as a whole as the pattern says."""
        for line in self._unclaimed:
            if pattern.fullmatch(line):
                self._unclaimed.remove(line)
                return line
        while line := self._output.readline():
            self.shown.append(line.rstrip("\n"))
            if pattern.fullmatch(self.shown[-1]):
                return self.shown[-1]
            self._unclaimed.append(self.shown[-1])
        raise AssertionError(f"it ended without {pattern.pattern!r}, after {self._unclaimed}")

    def press_ctrl_c(self) -> int:
        """Interrupt it as a terminal does, and give its exit code."""
        with suppress(ProcessLookupError):  # it may just have ended by itself
            os.killpg(self._process.pid, signal.SIGINT)
        return self.wait()

    def press_ctrl_d(self) -> int:
        """End its input, and give its exit code."""
        self._input.close()
        return self.wait()

    def kill(self) -> None:
        """End it as kill -9 does, with all that it started; it may have ended already."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        with suppress(BrokenPipeError):
            self._input.close()
        self._output.close()

    def kill_alone(self) -> None:
        """End the program as kill -9 does, and nothing that it started."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Wait until it has ended, and give its exit code. It may not have shown an accident."""
        self.shown += self._output.read().splitlines()
        code = self._process.wait(DEADLINE_SECONDS)
        self._close()
        confused = [line for line in self.shown if any(word in line for word in CONFUSED)]
        assert not confused, self.shown
        return code


def free_ports(names: Iterable[str]) -> dict[str, str]:
    """Give each name a port of the loopback interface that nobody listens on."""
    with ExitStack() as stack:
        free = {}
        for name in names:
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            free[name] = str(probe.getsockname()[1])
    return free

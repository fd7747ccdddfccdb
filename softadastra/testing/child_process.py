"""A child process that answers requests, and the faults that a test does to it.

It ends with its input: closing the pipe closes it, and no child outlives its parent. One
that is stopped cannot read that its input ended, so each child has a process group of its
own: when its parent dies, the group is orphaned, and the kernel ends its stopped members
(SIGHUP and SIGCONT, POSIX `_exit`). That also keeps Ctrl-C from the children: it reaches the
parent alone, which ends them in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from softadastra.errors import InternalError, InvalidStateError
from softadastra.testing.command_pipe import CommandPipe

__all__ = ["ChildProcess", "ProcessState"]

ANSWER_SECONDS = 60.0
"""For an answer, and for a process to start or to close: far more than a loaded machine needs,
so that only a stuck process reaches it."""

LOG_TAIL_BYTES = 2000
"""Of the log of a process that failed, shown with the error: a traceback fits."""


class ProcessState(StrEnum):
    """What a process is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    """Stopped by SIGSTOP: its connections stand, and nothing moves."""
    KILLED = "killed"
    """It has ended, by `kill()`, by `close()`, or by itself; or it never started."""


class ChildProcess:
    """One process at a time under one name, started again after it ended.

    Safe to use from any thread. Requests, `pause()`, `start()` and `close()` wait for each
    other; `kill()` waits for nothing.

    Args:
        name: for errors.
        log_path: gets what the process writes to standard error, appended.
    """

    __slots__ = ("_is_paused", "_lock", "_log_path", "_name", "_pipe", "_process")

    def __init__(self, name: str, log_path: Path) -> None:
        self._name = name
        self._log_path = log_path
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: CommandPipe | None = None
        """Open from `start()` until the process was seen to end."""
        self._is_paused = False

    @property
    def pid(self) -> int:
        """The process id, also after it ended; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def state(self) -> ProcessState:
        """What the process is doing at this moment."""
        if self._process is None or self._process.poll() is not None:
            return ProcessState.KILLED
        return ProcessState.PAUSED if self._is_paused else ProcessState.RUNNING

    def start(self, command: Sequence[str]) -> None:
        """Start the process, and return before it is ready: see `ready()`.

        Raises:
            InvalidStateError: it is there already.
        """
        with self._lock:
            if self.state is not ProcessState.KILLED:
                raise InvalidStateError(
                    f"cannot start {self._name}: it is {self.state}; kill or close it first"
                )
            self._release()
            self._is_paused = False
            # Not forked: ZeroMQ sockets do not survive it, and file locks would be shared.
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  the caller's own program
                    command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    process_group=0,
                )
            self._pipe = CommandPipe(self._process, self._name)

    def ready(self) -> Any:
        """Wait for the first line of a process that was just started, and give what it says.

        Raises:
            SoftadastraError: the process says why it cannot start, or ended, or says nothing
                for 60 s. It has ended then, and the end of its log is a note of the error.
        """
        with self._lock:
            assert self._pipe is not None, "ready() comes after start()"
            try:
                return self._pipe.ready(ANSWER_SECONDS)
            except BaseException as error:
                self.kill()
                error.add_note(self._log_tail())
                raise

    def request(self, command: str, *, allowance: float = 0.0, **arguments: object) -> Any:
        """Have the process do something, and give the result.

        Args:
            command: its name.
            allowance: seconds that the command may take by its nature, beyond the 60 s.
            arguments: what JSON carries.

        Raises:
            InvalidStateError: the process is paused or killed; it was not asked.
            TransportError: it ended, or gave no answer in time; it may have done it or not.
            SoftadastraError: it refused, for the reason given.
        """
        with self._lock:
            if self.state is not ProcessState.RUNNING or self._pipe is None:
                raise InvalidStateError(
                    f"cannot ask {self._name} for {command!r}: it is {self.state}; "
                    f"{'resume' if self._is_paused else 'restart'} it first"
                )
            return self._pipe.request(command, arguments, ANSWER_SECONDS + allowance)

    def pause(self) -> None:
        """Stop the process (SIGSTOP) between two requests; it stands still on return.

        Raises:
            InvalidStateError: it is not running.
        """
        with self._lock:
            if self.state is not ProcessState.RUNNING:
                raise InvalidStateError(f"cannot pause {self._name}: it is {self.state}")
            assert self._process is not None
            self._process.send_signal(signal.SIGSTOP)
            # A signal is delivered some time after kill(2) returns: without this wait the process
            # might go on for a moment. One that ends instead is seen here, or in another thread.
            with suppress(ChildProcessError):
                os.waitpid(self.pid, os.WUNTRACED)
            self._is_paused = True

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT).

        Raises:
            InvalidStateError: it is not paused.
        """
        with self._lock:
            if self.state is not ProcessState.PAUSED:
                raise InvalidStateError(f"cannot resume {self._name}: it is {self.state}")
            assert self._process is not None
            self._process.send_signal(signal.SIGCONT)
            self._is_paused = False

    def kill(self) -> None:
        """End the process at once (SIGKILL), also in the middle of a request, or paused.

        A request under way raises TransportError in its own thread. A process that has ended
        already is no error.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with self._lock:
                self._release()

    def close(self) -> None:
        """Let the process close and end; a paused one goes on first. Idempotent.

        Raises:
            InternalError: it ended with an error.
            subprocess.TimeoutExpired: it did not end within 60 s, and was killed.
        """
        with self._lock:
            if self._process is None or self._pipe is None:
                return
            if self.state is ProcessState.PAUSED:
                self.resume()
            self._release()
            try:
                status = self._process.wait(ANSWER_SECONDS)
            except BaseException:
                self.kill()
                raise
            if status != 0:
                raise InternalError(
                    f"{self._name} ended with status {status}, expected 0; {self._log_tail()}"
                )

    def _release(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _log_tail(self) -> str:
        tail = self._log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"the end of {self._log_path}:\n{tail}"

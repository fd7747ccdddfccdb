"""Knows from outside which writes of a writer have returned, and so what its log must hold."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from softadastra.wal.frames import FILE_HEADER_BYTES, decode_file_header
from tests.faults.writer import THREADS, Life, Load, changes_of

DEADLINE_SECONDS = 60.0

EARLY_SHARE = 0.25
EARLY_SECONDS_MAX = 0.05
"""To open the log takes a part of this."""
WRITES_MAX = 40
LATE_SECONDS_MAX = 0.005
"""Longer than a write and its sync, so that the end falls anywhere in them."""


class Recorder:
    """The other end of a writer's pipe. It checks whatever the writer tells.

    Args:
        process: the writer.
        path: of its log.
        load: what it writes.
        held_path: where the writer puts what it found in the log.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], path: Path, *, load: Load, held_path: Path
    ) -> None:
        self.answered_count = 0
        self.opened_count = 0
        self.refusals: list[str] = []
        """Of the current life, one a thread."""
        self.status: int | None = None
        """How the last life ended; None: it goes on."""
        self._process = process
        self._path = path
        self._load = load
        self._held_path = held_path
        self._pid = 0
        self._unread = b""
        self._held: list[dict[str, str]] = [{} for _ in range(THREADS)]
        """What the writes of each thread add up to of which it is known that they are there."""
        self._unknown = [0] * THREADS
        """The next write of each thread: nobody knows whether it is there."""
        self._first = [0] * THREADS

    def begin(self) -> None:
        """Have the writer live again. When this returns it is about to open the log."""
        # A number is not used again: the write may turn out to be there.
        self._first = [number + 1 for number in self._unknown]
        life = Life(str(self._path), self._first, self._load, str(self._held_path))
        self._pid = 0
        self.status = None
        self.refusals = []
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(life).encode() + b"\n")
        self.listen_until(lambda: self._pid != 0)

    def listen_to_a_random_moment(self, rng: random.Random) -> None:
        """Most lives end after some writes; some early, perhaps while the log is opened."""
        opened_count = self.opened_count
        if rng.random() < EARLY_SHARE:
            self.listen_for(rng.uniform(0, EARLY_SECONDS_MAX))
            return
        goal = self.answered_count + rng.randint(1, WRITES_MAX)
        self.listen_until(lambda: self.opened_count > opened_count and self.answered_count >= goal)
        self.listen_for(rng.uniform(0, LATE_SECONDS_MAX))

    def kill(self) -> None:
        """End the life that goes on (SIGKILL), and take all that it has told."""
        self.send_kill()
        self.wait_killed()

    def wait_killed(self) -> None:
        """Take all that was told before a kill."""
        self.listen_until(lambda: self.status is not None)
        assert self.status == -signal.SIGKILL

    def send_kill(self) -> None:
        """The same without waiting for it: what it is doing in the system may go on."""
        assert self.status is None, f"the writer ended by itself, {self.status}: {self.refusals}"
        os.kill(self._pid, signal.SIGKILL)

    def check_what_is_left(self) -> None:
        """Open the log once more, and compare."""
        opened_count = self.opened_count
        self.begin()
        self.listen_until(lambda: self.opened_count > opened_count)
        self.kill()

    @property
    def generation(self) -> int:
        """How many times the log was written anew."""
        with self._path.open("rb") as file:
            header, _ = decode_file_header(file.read(FILE_HEADER_BYTES), self._path)
        return header.generation

    def end(self) -> None:
        """End what goes on, and the writer with it."""
        if self._pid and self.status is None:
            os.kill(self._pid, signal.SIGKILL)
        self._process.communicate(timeout=DEADLINE_SECONDS)

    def listen_until(self, condition: Callable[[], bool]) -> None:
        """Take what is told until a condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert self._listen(deadline - time.monotonic()), "the writer tells nothing any more"

    def listen_for(self, seconds: float) -> None:
        """Take what is told up to a moment."""
        moment = time.monotonic() + seconds
        while (left := moment - time.monotonic()) > 0:
            self._listen(left)

    def _listen(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, seconds))
        if not ready:
            return False
        told = os.read(self._process.stdout.fileno(), 1 << 16)
        assert told, "the writer has ended"
        *lines, self._unread = (self._unread + told).split(b"\n")
        for line in lines:
            self._take(line.decode())
        return True

    def _take(self, line: str) -> None:
        match line.split(" ", 3):
            case ["begun", pid]:
                self._pid = int(pid)
            case ["opened"]:
                self._compare(json.loads(self._held_path.read_text()))
            case ["answered", thread, number]:
                self._settle(int(thread), int(number))
            case ["refused", _, _, message]:
                self.refusals.append(message)
            case ["ended", status]:
                self.status = int(status)
            case _:
                raise AssertionError(f"unknown line {line!r}")

    def _settle(self, thread: int, number: int) -> None:
        assert number == self._unknown[thread]
        apply(self._held[thread], thread, number, self._load)
        self._unknown[thread] = number + 1
        self.answered_count += 1

    def _compare(self, found: dict[str, str]) -> None:
        """Every write that returned is there; of each thread one more may be, as a whole."""
        for thread, held in enumerate(self._held):
            part = {key: value for key, value in found.items() if key.startswith(f"{thread}/")}
            if part != held:
                apply(held, thread, self._unknown[thread], self._load)
                assert part == held
        assert len(found) == sum(map(len, self._held))
        self._unknown = list(self._first)
        self.opened_count += 1


def apply(held: dict[str, str], thread: int, number: int, load: Load) -> None:
    """Do to what is held what a write does to a store."""
    for key, value in changes_of(thread, number, load):
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value


@contextmanager
def recorded(path: Path, *, load: Load, held_path: Path) -> Iterator[Recorder]:
    """Start a writer and its recorder; both end with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writer"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        recorder = Recorder(process, path, load=load, held_path=held_path)
        try:
            yield recorder
        finally:
            recorder.end()

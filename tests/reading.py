"""A reader of a document: saves its files, types its commands, and compares what is shown.

How a document says what is to be done:

- A block of Python whose first line is a comment with the name of a file is saved under that name.
- In a block of a console, lines that begin with "$ " are typed, and have to end with exit code 0.
  What is under a command is what it shows, on either output; "..." stands for anything. A command
  with nothing under it may show whatever it does.
- `<!-- terminal: NAME -->` before a block gives it a terminal of its own, where the last command of
  the block may go on running. "^C" in a later block of that terminal ends it; else the end of the
  document does. Either way it has to exit with 0.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from softadastra.wal.disk import OsDisk
from softadastra.wal.lock import holder_of

from .programs import Program

__all__ = ["Reader", "Typed", "file_name", "typed_in"]

COMMAND_SECONDS = 60.0
"""For one command to end."""
INTERRUPT = "^C"
FILE = re.compile(r"# ([\w-]+\.\w+)\n")


class Typed(NamedTuple):
    """A line that is typed, and what is shown then."""

    command: str
    shown: str


def file_name(code: str) -> str | None:
    """Give the name under which a block of Python is to be saved; None when it is not."""
    found = FILE.match(code)
    return found[1] if found else None


def typed_in(console: str) -> Iterator[Typed]:
    """Give what is typed in a block, in order."""
    for part in re.split(r"^(?=\$ |\^C$)", console.replace("\\\n", " "), flags=re.MULTILINE):
        line, _, shown = part.partition("\n")
        if line:
            command = line.removeprefix("$ ")
            assert line == INTERRUPT or command != line, f"shown before anything is typed: {line!r}"
            yield Typed(command, shown.rstrip())


class Reader:
    """Does what a document says, in a directory of its own.

    Args:
        directory: an empty one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / ".venv").symlink_to(sys.prefix)
        self._environment = {
            **{name: value for name, value in os.environ.items() if "SOFTADASTRA" not in name},
            "PATH": os.pathsep.join((os.fspath(Path(sys.executable).parent), os.environ["PATH"])),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INDEX": "1",  # what is to be installed is there already
            "PYTHONWARNINGS": "always::ResourceWarning",  # told, and so not as the document shows
        }
        self._running: dict[str, Program] = {}
        self.commands: list[str] = []
        """All that were typed."""

    def save(self, code: str) -> None:
        """Save a block that has the name of a file."""
        name = file_name(code)
        assert name is not None
        (self._directory / name).write_text(code)

    def type(self, console: str, terminal: str = "") -> None:
        """Type what a block of a console says, and look at what is shown."""
        lines = list(typed_in(console))
        for number, (command, shown) in enumerate(lines, start=1):
            if command == INTERRUPT:
                check_regular(terminal, self._running.pop(terminal).press_ctrl_c())
                continue
            self.commands.append(command)
            if terminal in self._running:  # it is typed when the one before has ended
                check_regular(terminal, self._running.pop(terminal).wait())
            if not terminal or number < len(lines):
                self._run(command, shown)
            else:
                self._start(command, shown, terminal)

    def close(self) -> None:
        """End what still runs, as Ctrl-C does."""
        for terminal in list(self._running):
            check_regular(terminal, self._running.pop(terminal).press_ctrl_c())

    def abandon(self) -> None:
        """Kill what still runs, after a failure: nodes in the background, too."""
        for program in self._running.values():
            program.kill()
        for lock in self._directory.rglob("*.lock"):
            holder = holder_of(lock.with_suffix(""), disk=OsDisk())
            if holder is not None and holder.pid is not None:
                os.kill(holder.pid, signal.SIGKILL)

    def _run(self, command: str, shown: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        real = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        assert not shown or pattern(shown).fullmatch(real), f"{command} shows:\n{real}"

    def _start(self, command: str, shown: str, terminal: str) -> None:
        words = ["bash", "-c", f"exec {command}"]
        program = self._running[terminal] = Program(words, self._directory, self._environment)
        for line in shown.splitlines():
            if line != "...":
                program.sees_like(pattern(line))


def check_regular(terminal: str, code: int) -> None:
    assert code == 0, f"the last command in terminal {terminal} ends with {code}"


def pattern(shown: str) -> re.Pattern[str]:
    """Give what matches the text of a document, in which "..." stands for anything."""
    return re.compile(r".*".join(map(re.escape, shown.split("..."))), re.DOTALL)

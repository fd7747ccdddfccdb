"""`softadastra` alone, at a terminal: one command after the other, until somebody leaves.

Each line is a command line without the program's name, and runs as one: it reaches the node, and
lets go of it. Between two lines nothing is open, so other commands and nodes find the log free.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from softadastra import __version__
from softadastra.cli.output import tell
from softadastra.cli.words import completed, split_line, unfinished
from softadastra.errors import InvalidArgumentError

if TYPE_CHECKING:
    from softadastra.cli.invocation import Invocation

try:
    import readline
except ImportError:  # as on Windows: lines are read without history and completion
    readline = None  # type: ignore[assignment]

__all__ = ["Candidates", "Session", "history_path"]

PROMPT = "softadastra> "

LEAVING = frozenset({"exit", "quit"})

HISTORY_LINES_MAX = 1_000
"""What shells keep, by default."""

Candidates = Callable[[list[str], str], list[str]]
"""Gives what may stand behind finished words, of what begins like an unfinished one."""


def history_path() -> Path | None:
    """Give where lines are kept over sessions; None where this user has no place for them."""
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "softadastra" / "history"
    try:
        return Path.home() / ".local" / "state" / "softadastra" / "history"
    except RuntimeError:
        return None


class Session:
    """A person at a terminal.

    Args:
        run: runs a command line that was split into words, and gives its exit code.
        candidates: completes one.
        common: the common options that the session was begun with; each line begins with these.
    """

    def __init__(
        self,
        run: Callable[[list[str], Invocation], int],
        candidates: Candidates,
        common: Invocation,
    ) -> None:
        self._run = run
        self._candidates = candidates
        self._common = common
        self._found: list[str] = []
        """What the word that is completed may become."""

    def run(self) -> None:
        """Take lines until `exit`, or Ctrl-D."""
        self._common.output.note(
            f"Softadastra {__version__}. Type commands as behind softadastra; help lists them,"
            " exit or Ctrl-D leaves."
        )
        keep = self._prepare()
        goes_on = True
        while goes_on:
            # Also one that comes between two lines, as the second of two Ctrl-C.
            with suppress(KeyboardInterrupt):
                goes_on = self._take_next(keep)

    def _take_next(self, keep: Callable[[str], None]) -> bool:
        """Take the next line; give whether to go on."""
        try:
            line = input(PROMPT)
        except EOFError:
            print()  # noqa: T201  the prompt's line ends here
            return False
        except KeyboardInterrupt:
            tell("")
            return True
        except UnicodeDecodeError:
            tell("error: the line is not text in the encoding of this terminal")
            return True
        keep(line)
        return self._take(line)

    def _take(self, line: str) -> bool:
        """Run a line; give whether to go on."""
        try:
            words = split_line(line)
        except InvalidArgumentError as error:
            tell(f"error: {error.message}")
            return True
        if words[:1] == ["softadastra"]:  # as it is written everywhere else
            words = words[1:]
        if not words:
            return True
        if words[0] in LEAVING:
            return False
        from softadastra.runtime.events import logging_restored

        with logging_restored():  # what -v and `node run` show is theirs
            self._run(words, dataclasses.replace(self._common, is_interactive=True))
        return True

    # Lines that are edited.

    def _prepare(self) -> Callable[[str], None]:
        """Have lines edited and completed; give what keeps one for later."""
        if readline is None:
            return lambda _: None
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n")
        is_libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
        readline.set_auto_history(False)
        readline.clear_history()
        path = history_path()
        if path is not None:
            with suppress(OSError):  # there is none yet
                readline.read_history_file(path)
        readline.set_history_length(HISTORY_LINES_MAX)
        return lambda line: self._keep(line, path)

    def _keep(self, line: str, path: Path | None) -> None:
        """Remember a line, but not one that begins with a blank, nor the same one again."""
        length = readline.get_current_history_length()
        last = readline.get_history_item(length) if length else None
        if not line.strip() or line[0].isspace() or line == last:
            return
        readline.add_history(line)
        if path is None:
            return
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                # What is stored is typed here: it is nobody else's to read.
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.append_history_file(1, path)
        except OSError:
            return  # it is remembered for this session

    def _complete(self, _: str, state: int) -> str | None:
        """Give the next way to complete the word before the cursor, as readline asks for them."""
        if state == 0:
            try:
                self._found = self._ways()
            except Exception:  # a traceback in the middle of a line that is typed helps nobody
                self._found = []
        return self._found[state] if state < len(self._found) else None

    def _ways(self) -> list[str]:
        begin = readline.get_begidx()
        line = readline.get_line_buffer()[: readline.get_endidx()]
        words, begun, start, quote = unfinished(line)
        if words[:1] == ["softadastra"]:
            words = words[1:]
        names = self._candidates(words, begun)
        # readline replaces from the last blank on, which may be in the middle of a quotation.
        written = [completed(name, quote) for name in names]
        kept = line[start:begin]
        ways = [each[len(kept) :] for each in written if each.startswith(kept)]
        return [f"{ways[0]} "] if len(ways) == 1 else ways


def is_at_terminal() -> bool:
    """Whether somebody types, and sees what is shown."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stdout))

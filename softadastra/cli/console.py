"""rich's console in this tool's ways; imported, with rich, only by what draws."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

from rich.console import Console

__all__ = ["ToolConsole"]


class ToolConsole(Console):
    """A console that leaves a closed pipe to the tool."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise: rich would exit with 1 and no word, the tool says what a closed pipe means."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

"""Run the command line tool: as `python -m softadastra`, and as `softadastra`."""

from __future__ import annotations

import signal
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the tool on this process's arguments and exit."""
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual:
        # While modules are imported nobody can catch what Ctrl-C raises: it ends the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from softadastra.cli import main as tool

    if is_usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    tool.main()


if __name__ == "__main__":
    main()

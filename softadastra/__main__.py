"""Run the command line tool as `python -m softadastra`."""

from __future__ import annotations

from softadastra.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()

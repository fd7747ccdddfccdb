"""The command line tool `softadastra`: the only package that imports click and rich.

Data goes to standard output, all else to standard error. With `--json` a command prints one
document with `"schema": 1`. `exit_codes.py` lists the exit codes. Modules import the library
and rich inside their commands, so that `softadastra --help` does not pay for them.
"""

from __future__ import annotations

__all__: list[str] = []

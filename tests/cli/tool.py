"""The tool as the tests run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import Popen
from typing import Any, TypeAlias

from click.testing import Result

Run: TypeAlias = Callable[..., Result]
"""Runs the tool in this process: `run("store", "get", "key", input=b"")`."""

Spawn: TypeAlias = Callable[..., Popen[bytes]]
"""Starts the tool as a process of its own; it is killed when the test ends."""


def document(result: Result) -> Any:
    """Read the one JSON document of a command."""
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert found.pop("schema") == 1
    return found

"""What a test needs of the machine: where it is missing the test is skipped, and says why."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

import pytest

__all__ = ["TOOLS", "Requirements", "run"]


class Requirements:
    """What the tests of one kind need.

    Args:
        must_run: the variable that is set to 1 where everything is there, as in CI: what would be
            skipped fails.
    """

    def __init__(self, must_run: str) -> None:
        self._must_run = must_run

    def need(self, is_there: bool, missing: str) -> None:
        """Go on only when it is there."""
        if not is_there:
            if os.environ.get(self._must_run) == "1":
                pytest.fail(f"{self._must_run}=1, and {missing}")
            pytest.skip(missing)

    def need_root(self, what_for: str) -> None:
        """Go on only as root."""
        self.need(os.geteuid() == 0, f"only root may {what_for}")

    def need_tool(self, name: str, package: str) -> None:
        """Go on only when this program is installed."""
        self.need(shutil.which(name) is not None, f"{name} is not installed (Debian: {package})")


TOOLS: Final = Requirements("TOOLS_MUST_RUN")
"""Programs of others that only read what this project writes."""


def run(*command: str) -> str:
    """Run a program that has to succeed, and give what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout

"""What a fault needs of the machine: where it is missing the test is skipped, and says why."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

__all__ = ["need", "need_root", "need_tool", "run"]

MUST_RUN = "FAULTS_MUST_RUN"
"""Set to 1 where everything is there, as in CI: what would be skipped fails."""


def need(is_there: bool, missing: str) -> None:
    """Go on only when it is there."""
    if not is_there:
        if os.environ.get(MUST_RUN) == "1":
            pytest.fail(f"{MUST_RUN}=1, and {missing}")
        pytest.skip(missing)


def need_root() -> None:
    """Go on only as root."""
    need(os.geteuid() == 0, "only root may mount file systems and trace processes")


def need_tool(name: str, package: str) -> None:
    """Go on only when this program is installed."""
    need(shutil.which(name) is not None, f"{name} is not installed (Debian: {package})")


def run(*command: str) -> None:
    """Run a program that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

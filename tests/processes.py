"""What ps(1) says of processes that a test has started."""

from __future__ import annotations

import subprocess

from tests.requirements import TOOLS

__all__ = ["children_of", "has_ended", "process_status"]


def children_of(pid: int) -> list[int]:
    """Give the processes that a process has started and not outlived."""
    pairs = [line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def process_status(pid: int) -> str:
    """Give the first letter of its state: T stopped, Z ended and not yet reaped, "" gone."""
    return _ps("-o", "stat=", "-p", str(pid)).strip()[:1]


def has_ended(pid: int) -> bool:
    """Whether a process is no more, but for its entry when nobody has reaped it."""
    return process_status(pid) in ("", "Z")


def _ps(*options: str) -> str:
    TOOLS.need_tool("ps", "procps")
    return subprocess.run(["ps", *options], capture_output=True, text=True).stdout

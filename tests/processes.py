"""What ps(1) says of processes that a test has started."""

from __future__ import annotations

import subprocess

__all__ = ["children_of", "has_ended", "process_status"]


def children_of(pid: int) -> list[int]:
    """Give the processes that a process has started and not outlived."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def process_status(pid: int) -> str:
    """Give the first letter of its state: T stopped, Z ended and not yet reaped, "" gone."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()[:1]


def has_ended(pid: int) -> bool:
    """Whether a process is no more, but for its entry when nobody has reaped it."""
    return process_status(pid) in ("", "Z")

"""Which machine this is, for telling a log from a copy of it on another one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

__all__ = ["read_host"]

MACHINE_ID: Final = Path("/etc/machine-id")
"""Drawn when a Linux system is installed; see machine-id(5). It outlives changes of the name."""


def read_host() -> str:
    """Give what this machine is told from others by: its machine id, else its name."""
    try:
        return MACHINE_ID.read_text(encoding="ascii").strip() or socket.gethostname()
    except (OSError, UnicodeDecodeError):
        return socket.gethostname()

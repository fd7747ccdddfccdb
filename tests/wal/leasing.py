"""Where files can be leased."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from softadastra.wal.lease import FILE_SYSTEMS, file_system_of

__all__ = ["need_leases"]


def need_leases(directory: Path) -> None:
    """Go on only when a file in this directory can be leased; `make faults` has one of its own."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        kind = file_system_of(descriptor)
    finally:
        os.close(descriptor)
    if kind not in FILE_SYSTEMS:
        pytest.skip(f"{directory} is on {kind}, where no file is leased: set TMPDIR")

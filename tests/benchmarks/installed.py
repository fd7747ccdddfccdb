"""What is only measured beside, and is used when it is installed."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import Any

from .measure import LeftOutError

__all__ = ["package", "program"]


def package(name: str) -> Any:
    """Import a package that `make others` installs.

    Raises:
        LeftOutError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise LeftOutError(f"{error}: `make others` installs it") from error


def program(name: str, how: str) -> str:
    """Give the path of a program.

    Args:
        name: what it is called.
        how: how it is installed.

    Raises:
        LeftOutError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise LeftOutError(f"there is no {name}: {how}")
    return path

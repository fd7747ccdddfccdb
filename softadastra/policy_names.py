"""What conflict policies are called: their names have to be the same on all nodes of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

from softadastra.types import MergeFunction

__all__ = ["policy_name"]


def policy_name(policy: str | MergeFunction) -> str:
    """Name a policy, a function by its module and its name: the same on all nodes."""
    if isinstance(policy, str):
        return policy
    return f"merge:{_module_name(policy)}.{getattr(policy, '__qualname__', repr(policy))}"


def _module_name(function: MergeFunction) -> str:
    """Name the module of a function as those know it who import it, also where it is the program.

    That is called `__main__`, and `__mp_main__` in a process that multiprocessing has spawned.
    """
    name = function.__module__
    module = sys.modules.get(name)
    if name not in ("__main__", "__mp_main__") or module is None:
        return name
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return name if file is None else Path(file).stem

"""What is public: what the modules list, and the classes that their calls give and take."""

from __future__ import annotations

import enum
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from softadastra import testing
from softadastra.errors import ErrorCode, SoftadastraError

from .described import members_of

__all__ = ["errors", "public_names"]

MODULES = [
    name
    for name in ("softadastra", "softadastra.aio", "softadastra.dashboard", "softadastra.testing")
    if find_spec(name) is not None
]


def public_names() -> dict[str, object]:
    """Give all that has to be in the reference, in the order in which it is found."""
    found: dict[str, object] = {}
    for module_name in MODULES:
        module = import_module(module_name)
        found |= {name: getattr(module, name) for name in module.__all__}
    # Those of `softadastra.testing` also show their insides, to the checkers: they are not listed.
    waiting = [value for name, value in found.items() if name not in testing.__all__]
    while waiting:
        for kind in named_by(waiting.pop(0)):
            if kind not in found.values():
                found[kind.__name__] = kind
                waiting.append(kind)
    return found


def errors() -> list[type[SoftadastraError]]:
    """Give all errors, as they are ordered in their module."""
    module = import_module("softadastra.errors")
    kinds = [getattr(module, name) for name in vars(module) if name in module.__all__]
    return [kind for kind in kinds if kind is not ErrorCode]


def named_by(value: object) -> Iterator[type]:
    """Give the classes of this package that the calls of a class, or a function, name."""
    if isinstance(value, enum.EnumType):
        return
    calls = members_of(value).values() if isinstance(value, type) else [value]
    for call in calls:
        function = call.fget if isinstance(call, property) else getattr(call, "__func__", call)
        if inspect.isfunction(function):
            # Not by get_type_hints: aliases like `Value` are text, for the module that has them.
            known = vars(sys.modules[function.__module__])
            for annotation in function.__annotations__.values():
                for name in re.findall(r"\w+", str(annotation)):
                    kind = known.get(name)
                    if isinstance(kind, type) and kind.__module__.startswith("softadastra"):
                        yield kind

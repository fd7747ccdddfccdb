"""The text of the reference for each kind of name."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final

from softadastra.errors import SoftadastraError

from . import docstrings
from .source import alias_of, attributes_of, fields_of

__all__ = ["GIVEN", "described", "error_table", "members_of"]

GIVEN: Final = {
    "AsyncBatch",
    "AsyncView",
    "AsyncWatch",
    "Batch",
    "LocalNode",
    "PrefixItems",
    "PrefixKeys",
    "SimLiar",
    "SimNode",
    "Subscription",
    "Watch",
}
"""What a program is given and never makes: how it is made is nobody's business."""


def described(name: str, value: object) -> str:
    """Give the text for a public name, Markdown."""
    match value:
        case enum.EnumType():
            return "\n".join([words_of(value), "", *member_table(value)])
        case type():
            members = [f"- {line}" for line in member_lines(value)]
            if is_value(value):
                members = [*raised_by(value), *members]
                parts = [words_of(value), "", *field_table(value), *([""] if members else [])]
            elif name in GIVEN:
                parts = [words_of(value), "", *(f"- {line}" for line in attribute_lines(value))]
            else:
                parts = [f"- {call_of(name, value, value.__doc__)}"]
                parts += [f"- {line}" for line in attribute_lines(value)]
            return "\n".join([*parts, *members])
        case str() if name == "__version__":
            return f"- **`{name}: str`** The version of this package."
        case _ if inspect.isfunction(value):
            return f"- {call_of(name, value, value.__doc__)}"
        case _:
            alias = alias_of("softadastra.types", name)
            return f"- **`{name} = {alias.value}`** {alias.words}"


def error_table(errors: Iterable[type[SoftadastraError]]) -> str:
    """Give a table of all errors."""
    lines = ["| error | `.code` | is also | means |", "|---|---|---|---|"]
    for error in errors:
        bases = [each.__name__ for each in error.__bases__ if each is not SoftadastraError]
        also = ", ".join(f"`{base}`" for base in bases if base != "Exception") or "-"
        lines.append(f"| `{error.__name__}` | `{error.code}` | {also} | {words_of(error)} |")
    return "\n".join(lines)


def is_value(kind: type) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_fields")


def words_of(kind: type) -> str:
    return docstrings.read(kind.__doc__).words


def member_table(kind: enum.EnumType) -> list[str]:
    said = fields_of(kind)
    members: list[enum.Enum] = list(kind)
    rows = [
        f"| `{kind.__name__}.{member.name}` | `{member.value!r}` | {said[member.name].words} |"
        for member in members
    ]
    return ["| member | value | |", "|---|---|---|", *rows]


def field_table(kind: type) -> list[str]:
    said = fields_of(kind)
    defaults = defaults_of(kind)
    has_defaults = any(default for default in defaults.values())
    arguments = docstrings.read(kind.__doc__).arguments
    lines = ["| field | type | default | |", "|---|---|---|---|"]
    if not has_defaults:
        lines = ["| field | type | |", "|---|---|---|"]
    for name, default in defaults.items():
        annotation = cell(said[name].annotation)
        words = cell(said[name].words or arguments.get(name, ""))
        shown = [f"`{name}`", f"`{annotation}`"]
        if has_defaults:
            shown.append(f"`{cell(default)}`" if default else "")
        lines.append(f"| {' | '.join([*shown, words])} |")
    return lines


def defaults_of(kind: type) -> dict[str, str]:
    """Give each field with its default as text, empty when it has none."""
    if not is_dataclass(kind):
        return dict.fromkeys(kind._fields, "")  # type: ignore[attr-defined]
    found = {}
    for each in fields(kind):
        if each.default_factory is not MISSING:
            found[each.name] = shown(each.default_factory())
        else:
            found[each.name] = "" if each.default is MISSING else shown(each.default)
    return found


def members_of(kind: type) -> dict[str, Any]:
    """Give the public methods and properties of a class and its bases here, in their order."""
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("softadastra"):
            values = fields_of(kind) if is_value(kind) else {}
            for name, value in vars(each).items():
                is_call = isinstance(value, property | classmethod | staticmethod)
                is_call = is_call or inspect.isfunction(value)
                if is_call and not name.startswith("_") and name not in values:
                    found[name] = value
    return found


def attribute_lines(kind: type) -> Iterator[str]:
    """Describe the attributes that are public and no calls, as those of an exception."""
    arguments = docstrings.read(kind.__doc__).arguments
    for name, field in attributes_of(kind).items():
        annotation = f": {field.annotation}" if field.annotation else ""
        words = field.words or arguments.get(name, "")
        if words:  # without any, it is for the package itself
            yield f"**`{name}{annotation}`** {words}"


def member_lines(kind: type) -> Iterator[str]:
    for name, value in members_of(kind).items():
        match value:
            case property(fget=read) if read is not None:
                result = annotation_of(inspect.signature(read).return_annotation)
                words = docstrings.read(read.__doc__).words
                yield f"**`{name}: {result}`** {words}"
            case classmethod() | staticmethod():
                yield call_of(f"{kind.__name__}.{name}", value.__func__, value.__doc__)
            case _:
                yield call_of(name, value, value.__doc__)


def call_of(name: str, call: Callable[..., object], text: str | None) -> str:
    """Describe a call: how it is written, what it does, its arguments, result and errors."""
    said = docstrings.read(text)
    lines = [f"**`{name}{signature_of(call)}`** {said.words}"]
    lines += [f"  - `{argument}`: {words}" for argument, words in said.arguments.items()]
    if said.returns:
        lines.append(f"  - returns: {said.returns}")
    lines += [f"  - {words}" for words in errors_of(said)]
    return "\n".join(lines)


def raised_by(kind: type) -> list[str]:
    """Say what the making of a value raises."""
    return [f"- {words}" for words in errors_of(docstrings.read(kind.__doc__))]


def errors_of(said: docstrings.Docstring) -> Iterator[str]:
    for errors, words in said.raises.items():
        named = re.sub(r"\w+", lambda found: f"`{found[0]}`", errors)
        yield f"raises {named}: {words}"


def signature_of(call: Callable[..., object]) -> str:
    """Write a signature as it is in the source, without what is bound."""
    signature = inspect.signature(call)
    parts: list[str] = []
    seen_star = False
    for name, parameter in signature.parameters.items():
        if name in ("self", "cls"):
            continue
        is_open = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        prefix = str(parameter).partition(name)[0] if is_open else ""
        if parameter.kind is parameter.KEYWORD_ONLY and not seen_star:
            parts.append("*")
        seen_star = seen_star or parameter.kind in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        )
        text = f"{prefix}{name}"
        if parameter.annotation is not parameter.empty:
            text += f": {annotation_of(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {shown(parameter.default)}"
        parts.append(text)
    result = signature.return_annotation
    arrow = "" if result in (signature.empty, "None", None) else f" -> {annotation_of(result)}"
    return f"({', '.join(parts)}){arrow}"


def annotation_of(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def shown(default: object) -> str:
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    return "..." if type(default) is object else repr(default)


def cell(text: str) -> str:
    return text.replace("|", "\\|")

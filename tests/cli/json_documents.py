"""What docs/cli.md says of the JSON of each command, as types to check documents against."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import softadastra
from softadastra import vitals

__all__ = ["check", "described_commands", "objects", "type_names"]

TEXT: Final = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

PRIMITIVES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "list": (list,),
    "null": (type(None),),
    "any": (object,),
}

Fields = dict[str, str]
"""Field -> type."""


@cache
def objects() -> dict[str, Fields]:
    """Give the fields of each object that the document lists."""
    behind = TEXT[TEXT.index("\n## JSON\n") :]
    found = {}
    for section in behind.split("\n### ")[1:]:
        name, _, rows = section.partition("\n")
        found[name] = dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", rows, re.MULTILINE))
    return found


@cache
def described_commands() -> dict[str, str]:
    """Give what the document says of each command."""
    (table,) = re.findall(r"\| command \| its document.*?\n\n", TEXT, re.DOTALL)
    return dict(re.findall(r"^\| `([\w ]+)` \| (.*) \|$", table, re.MULTILINE))


def alternatives(command: str) -> list[Fields]:
    """Give what documents a command may print."""
    found = []
    for part in re.split(r"; (?:or|else)\b", described_commands()[command]):
        if same := re.search(r"as `([\w ]+)`", part):
            found += alternatives(same[1])
        elif whole := re.search(r"all fields of (\w+(?: \w+)*)", part):
            found.append(objects()[whole[1]])
        else:
            pairs = re.findall(r"`(\w+)`: ([A-Za-z ]+?)(?= \(|[,;]|$)", part)
            found.append(dict(pairs))
    return found


def type_names() -> set[str]:
    """Give the names of all types that are used."""
    fields = [*objects().values(), *(f for c in described_commands() for f in alternatives(c))]
    described = {name for each in fields for name in each.values()}
    named = {part for each in described for part in each.split(" or ")}
    cells = described_commands().values()
    whole = {name for each in cells for name in re.findall(r"all fields of (\w+(?: \w+)*)", each)}
    return {re.sub(r"^(list|object) of ", "", each) for each in named} | whole


def check(command: str, document: dict[str, Any]) -> None:
    """Fail where a document is not what is said of its command."""
    assert document.pop("schema") == 1
    kinds = [{"error": "error"}] if "error" in document else alternatives(command)
    reasons = [reason for kind in kinds if (reason := wrong_fields(kind, document))]
    assert len(reasons) < len(kinds), (command, reasons)


def wrong_fields(fields: Fields, found: Any) -> str | None:
    """Say what is wrong with an object; None: nothing is."""
    if not isinstance(found, dict):
        return f"{found!r} is no object"
    required = [name for name, kind in fields.items() if "absent" not in kind.split(" or ")]
    missing = [name for name in required if name not in found]
    unknown = [name for name in found if name not in fields]
    if missing or unknown:
        return f"{missing} are missing, {unknown} are not listed"
    wrong = (
        wrong_value(fields[name], value) and f"{name}: {wrong_value(fields[name], value)}"
        for name, value in found.items()
    )
    return next(filter(None, wrong), None)


def wrong_value(kind: str, found: Any) -> str | None:
    """Say what is wrong with a value; None: nothing is."""
    reasons = [wrong_one(each, found) for each in kind.split(" or ") if each != "absent"]
    return None if None in reasons else "; ".join(filter(None, reasons))


def wrong_one(kind: str, found: Any) -> str | None:
    if match := re.fullmatch(r"(list|object) of (.+)", kind):
        if not isinstance(found, dict if match[1] == "object" else list):
            return f"{found!r} is no {match[1]}"
        elements: Iterable[Any] = found.values() if isinstance(found, dict) else found
        return next(filter(None, (wrong_value(match[2], each) for each in elements)), None)
    if kind in PRIMITIVES:
        is_bool = isinstance(found, bool) and kind in ("integer", "number")
        is_right = isinstance(found, PRIMITIVES[kind]) and not is_bool
        return None if is_right else f"{found!r} is no {kind}"
    if kind in objects():
        return wrong_fields(objects()[kind], found)
    class_ = getattr(softadastra, kind, None) or getattr(vitals, kind)
    missing = {field.name for field in dataclasses.fields(class_)} - set(found or ())
    return f"{sorted(missing)} of {kind} are missing" if missing else None

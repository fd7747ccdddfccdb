"""docs/events.md lists exactly the events that the code can emit."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import softadastra
from softadastra.sync.traces import batch_facts

PACKAGE = Path(softadastra.__file__).parent
CATALOGUE = PACKAGE.parent / "docs" / "events.md"

ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| (.*?) \| .+ \|$", re.MULTILINE)
NAME = re.compile(r"[a-z]+\.(?:[a-z]+_)*([a-z]+)")
IRREGULAR = {"cut", "found", "heard", "lost", "sent", "told"}
"""Past tenses that do not end in -ed."""


class Event(NamedTuple):
    """An event as the documents have it."""

    level: str
    fields: set[str]


class Noted(NamedTuple):
    """One place in the code that makes an event."""

    place: str
    name: str
    level: str
    fields: set[str]
    """Those that the call itself names."""
    fields_nearby: set[str]
    """Those, and the keys of the dicts that its function builds."""


def documented() -> dict[str, Event]:
    rows = ROW.findall(CATALOGUE.read_text())
    events = {
        name: Event(level, set(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows
    }

    assert len(events) == len(rows), "an event is listed twice"
    return events


FACTS: dict[str, set[str]] = {}
"""Functions that give fields, and their names."""


def keys_built_in(function: ast.AST) -> set[str]:
    """The string keys of dict literals and of item assignments, and those of functions it calls."""
    found: set[object] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= FACTS.get(node.func.id, set())
        if isinstance(node, ast.Dict):
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
    return {key for key in found if isinstance(key, str)}


FACTS["batch_facts"] = keys_built_in(ast.parse(inspect.getsource(batch_facts)))


def noted() -> Iterator[Noted]:
    """Find the calls `...(Level.X, "name", ...)`: `Notices.note` and `Notice` alike."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in ast.walk(function):
                if not isinstance(call, ast.Call) or len(call.args) < 2:
                    continue
                level, name = map(ast.unparse, call.args[:2])
                if level.startswith("Level."):
                    place = f"{path.relative_to(PACKAGE).as_posix()}:{call.lineno}"
                    fields = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
                    nearby = fields | keys_built_in(function)
                    level = level.removeprefix("Level.").lower()
                    yield Noted(place, name.strip("'"), level, fields, nearby)


def test_the_code_makes_events() -> None:
    """Otherwise every comparison below would hold between two empty sets."""
    assert len(list(noted())) >= 20


def test_every_event_of_the_code_is_documented() -> None:
    events = documented()

    assert {f"{n.place}: {n.name}" for n in noted() if n.name not in events} == set()


def test_every_documented_event_is_in_the_code() -> None:
    assert documented().keys() - {n.name for n in noted()} == set()


def test_every_event_is_named_subject_and_past_tense() -> None:
    for event in noted():
        name = NAME.fullmatch(event.name)

        assert name, f"{event.place}: {event.name}"
        assert name[1].endswith("ed") or name[1] in IRREGULAR, f"{event.place}: {event.name}"


def test_levels_and_fields_are_those_of_the_code() -> None:
    events = documented()
    for event in noted():
        level, fields = events[event.name]

        assert event.level == level, f"{event.place}: {event.name}"
        assert event.fields <= fields <= event.fields_nearby, f"{event.place}: {event.name}"

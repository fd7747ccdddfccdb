"""docs/cli.md is true: its session runs as shown, and its JSON has the fields that it lists."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from softadastra.cli.command import Group
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.main import cli

from .tool import Run, Spawn, document

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
DEADLINE_S = 60.0

VARYING = (
    (r"\d{4}-\d\d-\d\d[ T][\d:.]+(?:Z|\+00:00)", "TIME"),
    (r"\b[0-9a-f]{32}\b", "DIGEST"),
    (r"127\.0\.0\.1:\d{2,}", "ADDRESS"),
    (r'"(hostname|os)": "[^"]*"', r'"\1": ""'),
    (r"(?m)^(hostname|os) .*$", r"\1"),
    (r"\S*/data/", "data/"),
    (r'(uptime_ms"?:? *)[\d,]+', r"\1N"),
    (r"[\d,]{4,}", "N"),
    (r"─+", "-"),
    (r" +", " "),
    (r" *$", ""),
)
"""What is another with each run, and widths that come of it."""


def plain(text: str) -> list[str]:
    for pattern, shown in VARYING:
        text = re.sub(pattern, shown, text, flags=re.MULTILINE)
    return text.strip().splitlines()


def session() -> list[tuple[str, str]]:
    """Give each command that is shown, with what it prints."""
    (block,) = re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (each.partition("\n") for each in steps)]


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path.parent / f"{tmp_path.name}-run"
    path.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))


@pytest.fixture
def running(run: Run, spawn: Spawn) -> Iterator[None]:
    process = spawn("node", "start", "--detach", "--json")
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    yield
    found = re.search(rb'"pid": (\d+)', output)
    assert found is not None
    if run("node", "stop").exit_code != 0:
        os.kill(int(found[1]), signal.SIGKILL)


def test_the_session_runs_as_it_is_shown(spawn: Spawn, run: Run) -> None:
    steps = session()
    assert len(steps) > 15
    try:
        for command, expected in steps:
            program, *arguments = shlex.split(command)
            assert program == "softadastra"
            process = spawn(*arguments)
            output, errors = process.communicate(timeout=DEADLINE_S)

            shown = plain(output.decode() + errors.decode())
            assert sorted(shown) == sorted(plain(expected)), command
    finally:
        run("node", "stop")


def commands(group: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    if not isinstance(group, Group):
        yield path
        return
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield from commands(command, *path, name)


def test_every_command_is_listed_once() -> None:
    listed = re.findall(r"^\| `softadastra ([\w ]+)` \|", DOCUMENT.read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(" ".join(path) for path in commands(cli))


def test_every_exit_code_is_listed() -> None:
    listed = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)

    assert [int(code) for code in listed] == list(ExitCode)


TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "list": list,
    "list of strings": list,
    "null": type(None),
    "any": object,
}


def fields(name: str) -> dict[str, tuple[type, ...]]:
    """Give the fields that the document lists for an object, with their types."""
    text = DOCUMENT.read_text()
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \| ([\w ,]+) \|", section, re.MULTILINE)
    return {
        field: tuple(TYPES[each] for each in kinds.split(", "))  # a tuple of tuples is a type too
        for field, kinds in rows
    }


def check(name: str, found: dict[str, Any]) -> None:
    expected = fields(name)

    assert list(found) == list(expected), name
    for field, kinds in expected.items():
        assert isinstance(found[field], kinds), (name, field, found[field])


def test_objects_have_the_fields_that_are_listed(run: Run, running: None) -> None:
    run("peers", "add", "office@127.0.0.1:1")
    check("write", document(run("store", "put", "k", "v", "--json")))
    check("entry", document(run("store", "get", "k", "--json")))
    status = document(run("status", "--json"))
    assert list(status) == ["node", "store", "sync", "transport", "discovery", "peers"]
    for name in ("node", "store", "sync", "transport", "discovery"):
        check(name, status[name])
    check("peer", status["peers"][0])
    check("running node", document(run("node", "list", "--json"))["nodes"][0])
    check("tick", document(run("sync", "tick", "--json"))["tick"])
    check("check", document(run("doctor", "--json"))["checks"][0])
    check("log", document(run("wal", "inspect", "--json")))


def test_what_the_bench_finds_has_the_fields_that_are_listed(run: Run) -> None:
    found = document(run("bench", "--seconds", "0.1", "--json"))

    check("bench", found)
    for measure in found["measures"]:
        check("measure", measure)


def test_a_node_that_does_not_run_has_the_same_fields(run: Run) -> None:
    run("store", "put", "k", "v")
    status = document(run("status", "--json"))

    for name in ("node", "store", "sync", "transport", "discovery"):
        check(name, status[name])

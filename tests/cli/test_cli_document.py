"""docs/cli.md is true: its session runs as shown, and its JSON has the fields that it lists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from softadastra.cli.command import Group
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.main import cli

from .tool import Run, Spawn

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
    (r'\b((?:pid|process)"?:? *)\d+', r"\1N"),
    (r" \d+( +running)", r" N\1"),
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
    monkeypatch.setenv("TMPDIR", str(path))  # where the nodes of other tests are noted too


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

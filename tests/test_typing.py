"""What type checkers make of the public names, in a file of a user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typing import application

MISTAKES = """\
import asyncio
from softadastra import Client, ClientOptions
from softadastra.aio import AsyncClient

node = Client(ClientOptions.memory_only("a"))
node.put("k", object())                         # arg-type
node.put(1, "k")                                # arg-type
text: str = node.get("k")                       # assignment
node.watch(since=7)                             # arg-type
node.watch("a", "beginning")                    # call-arg
node.on("peer.connected", len)                  # arg-type
for change in node.watch():
    change.value = 1                            # misc
    change.removed                              # attr-defined
ClientOptions(node_id=1)                        # arg-type

async def use(other: AsyncClient) -> None:
    for key in other.keys():                    # attr-defined
        pass
    (await other.put("k", 1)).statuses          # attr-defined
    other.put("k", 1)                           # unused-coroutine
    async for event in other.watch():
        number: int = event.version
        words: str = event.version              # assignment
"""
ERROR = re.compile(r":(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)


def checked(path: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Check a file as a user does: without this project's settings."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--enable-error-code", "unused-awaitable", "--cache-dir", str(cache), str(path)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=path.parent
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def test_a_user_s_program_has_the_types_that_it_says(cache: Path):
    path = Path(application.__file__)

    found = checked(path, cache)

    assert found.returncode == 0, found.stdout + found.stderr


def test_a_user_s_mistakes_are_found(cache: Path, tmp_path: Path):
    path = tmp_path / "mistakes.py"
    path.write_text(MISTAKES)
    expected = [
        (number, line.partition("# ")[2])
        for number, line in enumerate(MISTAKES.splitlines(), 1)
        if "# " in line
    ]

    found = checked(path, cache)

    assert [(int(line), code) for line, code in ERROR.findall(found.stdout)] == expected


def test_that_program_runs(capsys: pytest.CaptureFixture[str]):
    application.main()

    assert capsys.readouterr().err == ""

"""README.md and docs/ are true: their code runs, and what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from softadastra.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DEADLINE_SECONDS = 60.0

BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
EXEMPTION = re.compile(r"<!-- not run: \w+( \S+)+ -->")
"""Before a block that cannot run here, with the reason."""
INLINE_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PORT = re.compile(r"\b40[45]\d\b")
"""The ports that the documents use; the tests put free ones in their place."""
COMMAND = re.compile(r"(?:^|[|;&] *)(?:\w+=\S+ +)*(?:\S+/)?softadastra(?=\s|$)([^|;&>]*)")
TARGET = re.compile(r"(?:^|[|;&] *)make ([a-z][\w-]*)")
SHELLS = {"bash", "console", "sh", "shell"}


class Block(NamedTuple):
    """A fenced block."""

    language: str
    code: str
    line: int
    """The line of the document, from 0, at which the code begins."""
    is_exempt: bool


def blocks_of(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        line = text.count("\n", 0, match.start(3))
        is_exempt = EXEMPTION.fullmatch(before.strip()) is not None
        found.append(Block(match[2], textwrap.dedent(match[3]), line, is_exempt))
    assert text.count("```") == 2 * len(found), "a fence is not closed"
    return found


def script_of(text: str) -> str:
    """The Python of a document, at the lines where it stands there; empty when it has none."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks_of(text):
        if block.language == "python" and not block.is_exempt:
            code = block.code.splitlines()
            lines[block.line : block.line + len(code)] = code
    return "\n".join(lines).rstrip()


def with_free_ports(script: str) -> str:
    with ExitStack() as stack:
        free = {}
        for port in set(PORT.findall(script)):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            free[port] = str(probe.getsockname()[1])
    return PORT.sub(lambda match: free[match[0]], script)


def commands_of(text: str) -> Iterator[str]:
    """The lines that are shown to be typed, and all code within sentences."""
    for block in blocks_of(text):
        if block.language in SHELLS:
            lines = block.code.replace("\\\n", " ").splitlines()
            typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            yield from typed or lines
    yield from inline_code_of(text)


def inline_code_of(text: str) -> list[str]:
    return INLINE_CODE.findall(BLOCK.sub("", text))


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)

SAMPLE = """\
A `make nothing` and [a link](nowhere.md).

```python
first = 1
```

<!-- not run: it needs two machines -->
```python
raise SystemExit("two machines")
```

<!-- not run: -->
```python
second = first + 4041
```

```console
$ NO_COLOR=1 softadastra store frobnicate key | less
an answer
```
"""


def test_code_stands_at_its_line_and_only_a_reason_exempts_it() -> None:
    assert script_of(SAMPLE).splitlines()[3] == "first = 1"
    assert script_of(SAMPLE).split() == ["first", "=", "1", "second", "=", "first", "+", "4041"]
    assert "4041" not in with_free_ports(script_of(SAMPLE))


def test_what_is_shown_to_be_typed_is_found() -> None:
    shown = list(commands_of(SAMPLE))

    assert [m[1] for line in shown for m in COMMAND.finditer(line)] == [" store frobnicate key "]
    assert [m[1] for line in shown for m in TARGET.finditer(line)] == ["nothing"]
    assert LINK.findall(SAMPLE) == ["nowhere.md"]
    assert CliRunner().invoke(cli, ["store", "frobnicate", "--help"]).exit_code == 2


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if script_of(d.read_text())], ids=name_of
)
def test_the_code_of_a_document_runs_in_an_empty_directory(document: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{document.stem}.py"
    script.write_text(with_free_ports(script_of(document.read_text())))
    empty = tmp_path / "empty"
    empty.mkdir()

    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=empty,
        env={name: value for name, value in os.environ.items() if "SOFTADASTRA" not in name},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )

    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr  # as of a client that was not closed


@every_document
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    for target in LINK.findall(INLINE_CODE.sub("", BLOCK.sub("", document.read_text()))):
        path = target.partition("#")[0]
        if path and not re.match(r"\w+:", path):
            assert (document.parent / path).exists(), target


@every_document
def test_every_command_that_is_shown_exists(document: Path) -> None:
    for line in commands_of(document.read_text()):
        for arguments in COMMAND.findall(line):
            words = takewhile(lambda word: word != "--", shlex.split(arguments, comments=True))
            shown = CliRunner().invoke(cli, [*words, "--help"])

            assert shown.exit_code == 0, f"{line}: {shown.output}"


@every_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands_of(document.read_text()):
        for target in TARGET.findall(line):
            assert target in targets, line


@every_document
def test_every_module_and_test_that_is_named_exists(document: Path) -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for code in inline_code_of(document.read_text()):
        if re.fullmatch(r"[\w/]+\.py", code):
            assert (ROOT / "softadastra" / code).exists() or (ROOT / code).exists(), code
        elif re.fullmatch(r"test_\w+", code):
            assert re.search(rf"^(?:def )?{code}(?:\(| = )", sources, re.MULTILINE), code

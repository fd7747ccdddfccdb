"""README.md and docs/ are true: their code runs, and what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from softadastra.cli.main import cli

from .programs import free_ports
from .reading import Reader, file_name, typed_in

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
READ_ALOUD = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("monitoring", "operations", "tutorial")),
]
"""Those whose commands are typed, in their order; see `reading.py` for how they are to be written.
Of the others the commands are shown to exist."""
DEADLINE_SECONDS = 60.0

BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
EXEMPTION = re.compile(r"<!-- not run: \w+( \S+)+ -->")
"""Before a block that cannot run here, with the reason."""
TERMINAL = re.compile(r"<!-- terminal: (\w+) -->")
"""Before a block that is typed in a terminal of its own."""
INLINE_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PORT = re.compile(r"\b(?:40[45]\d|8765)\b")
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
    terminal: str


def blocks_of(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        before = text[: match.start()].rstrip().rpartition("\n")[2].strip()
        line = text.count("\n", 0, match.start(3))
        is_exempt = EXEMPTION.fullmatch(before) is not None
        terminal = found_in[1] if (found_in := TERMINAL.fullmatch(before)) else ""
        found.append(Block(match[2], textwrap.dedent(match[3]), line, is_exempt, terminal))
    assert text.count("```") == 2 * len(found), "a fence is not closed"
    return found


def script_of(text: str) -> str:
    """The Python of a document that is no file, at the lines where it stands there; or nothing."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks_of(text):
        if block.language == "python" and not block.is_exempt and not file_name(block.code):
            code = block.code.splitlines()
            lines[block.line : block.line + len(code)] = code
    return "\n".join(lines).rstrip()


def with_free_ports(script: str) -> str:
    free = free_ports(set(PORT.findall(script)))
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


CONSOLE = """\
^C
$ softadastra store \\
    list
Key ... Value
key     1
$ python sell.py
"""


def test_what_is_typed_and_what_is_shown_then_are_told_apart() -> None:
    assert list(typed_in(CONSOLE)) == [
        ("^C", ""),
        ("softadastra store      list", "Key ... Value\nkey     1"),
        ("python sell.py", ""),
    ]
    assert (file_name("# sell.py\nx = 1"), file_name("# sell it\nx = 1")) == ("sell.py", None)


@pytest.mark.parametrize(
    ("shown", "is_right"),
    [("one\ntwo", True), ("one\n...", True), ("on...wo", True), ("one", False), ("two", False)],
)
def test_what_a_document_shows_has_to_be_all_that_is_shown(
    tmp_path: Path, shown: str, is_right: bool
) -> None:
    reader = Reader(tmp_path)

    with nullcontext() if is_right else pytest.raises(AssertionError, match="shows:\none\ntwo"):
        reader.type(f"$ printf 'one \\ntwo\\n'\n{shown}\n")


def test_what_fails_is_found_also_where_nothing_is_shown_of_it(tmp_path: Path) -> None:
    reader = Reader(tmp_path)

    with pytest.raises(AssertionError, match="false"):
        reader.type("$ false\n")
    reader.type("$ sh -c 'trap \"exit 1\" INT; echo ready; read line'\nready\n", "one")
    with pytest.raises(AssertionError, match="terminal one ends with 1"):
        reader.close()


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


@pytest.mark.parametrize("document", READ_ALOUD, ids=name_of)
def test_whoever_types_what_a_document_says_sees_what_it_shows(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path.parent / f"{tmp_path.name}-run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    reader = Reader(tmp_path)
    saved = []
    try:
        for block in blocks_of(with_free_ports(document.read_text())):
            if block.language == "python" and (name := file_name(block.code)):
                reader.save(block.code)
                saved.append(name)
            elif block.language in SHELLS and not block.is_exempt:
                reader.type(block.code, block.terminal)
        reader.close()
    finally:
        reader.abandon()

    assert reader.commands
    assert not never_run(saved, reader.commands)


def never_run(files: Iterable[str], commands: Iterable[str]) -> set[str]:
    """Give the files that no command names."""
    return set(files) - {word for command in commands for word in command.split()}


def test_a_file_that_is_shown_and_never_run_is_found() -> None:
    assert never_run(["sell.py", "meet.py"], ["python sell.py", "ls"]) == {"meet.py"}


@every_document
def test_only_a_document_that_is_read_aloud_shows_files(document: Path) -> None:
    files = [block for block in blocks_of(document.read_text()) if file_name(block.code)]

    assert not files or document in READ_ALOUD


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
    shown = {file_name(block.code) for block in blocks_of(document.read_text())}
    for code in inline_code_of(document.read_text()):
        if re.fullmatch(r"[\w/]+\.py", code) and code not in shown:
            assert (ROOT / "softadastra" / code).exists() or (ROOT / code).exists(), code
        elif re.fullmatch(r"test_\w+", code):
            assert re.search(rf"^(?:def )?{code}(?:\(| = )", sources, re.MULTILINE), code

"""What docs/operations.md shows is a unit of systemd, and the tool speaks with systemd.

Its tables say what to do about every error and every event that is more than a note. Its commands
are typed by tests/test_documents.py.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from softadastra import errors
from softadastra.cli.main import cli
from softadastra.cli.notifying import notify
from softadastra.runtime.catalogue import EVENTS
from softadastra.sync.notices import Level
from tests.requirements import TOOLS

DOCUMENT = Path(__file__).parents[1] / "docs" / "operations.md"
DEADLINE_SECONDS = 60.0


def unit() -> str:
    (found,) = re.findall(r"```ini\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert isinstance(found, str)
    return found


def command() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit(), re.MULTILINE)
    return shlex.split(line)


def table(first: str) -> list[list[str]]:
    """The cells of the table whose first column is called so."""
    text = DOCUMENT.read_text()
    lines = text[text.index(f"| {first} | ") :].partition("\n\n")[0].splitlines()[2:]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("error", [name for name in errors.__all__ if name != "ErrorCode"]),
        ("event", [name for name, level in EVENTS.items() if level >= Level.WARNING]),
    ],
)
def test_the_tables_say_what_to_do_about_everything_that_is_more_than_a_note(
    first: str, expected: list[str]
) -> None:
    rows = table(first)

    assert sorted(name.strip("`") for name, *_ in rows) == sorted(expected)
    assert all(len(row) == 3 and all(row) for row in rows)


def test_what_is_found_has_its_table_in_the_document_that_is_linked() -> None:
    """tests/test_health_document.py holds that table to the code."""
    link = re.search(r"\(health\.md#([\w-]+)\) has a row for each", DOCUMENT.read_text())
    assert link is not None
    health = (DOCUMENT.parent / "health.md").read_text()
    headings = [title.lower() for title in re.findall(r"^#+ (.+)$", health, re.MULTILINE)]

    assert link[1] in [re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in headings]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    TOOLS.need_tool("systemd-analyze", "systemd")
    text = unit().replace("/opt/softadastra/bin/softadastra", sys.executable)
    text = re.sub("^User=.*$", "User=daemon", text, flags=re.MULTILINE)

    assert complaints(tmp_path, text) == []
    assert len(complaints(tmp_path, text.replace("Type=notify", "Typo=notify"))) == 1


def complaints(directory: Path, text: str) -> list[str]:
    """Give what systemd says of this unit; other units of the machine are not ours."""
    path = directory / "softadastra-till.service"
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    return [line for line in done.stderr.splitlines() if path.name in line]


def test_the_command_of_the_unit_exists_with_its_options() -> None:
    program, *arguments = command()
    known = CliRunner().invoke(cli, [*arguments, "--help"])

    assert program.endswith("/softadastra")
    assert known.exit_code == 0, known.output
    for option in arguments:
        assert not option.startswith("--") or option in known.output


def test_a_node_tells_systemd_when_it_listens_and_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify.sock")
        manager.settimeout(DEADLINE_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", "notify.sock")
        node = subprocess.Popen(
            [sys.executable, "-m", "softadastra", "node", "run"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert manager.recv(64) == b"READY=1"
            monkeypatch.delenv("NOTIFY_SOCKET")
            shown = CliRunner().invoke(cli, ["status", "--json"])
            assert json.loads(shown.stdout)["transport"]["running"] is True
            assert CliRunner().invoke(cli, ["node", "stop"]).exit_code == 0
            assert manager.recv(64) == b"STOPPING=1"
            assert node.wait(DEADLINE_SECONDS) == 0
        finally:
            node.kill()
            node.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_an_abstract_name_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0softadastra-test-notify")
        manager.settimeout(DEADLINE_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", "@softadastra-test-notify")
        notify("READY=1")

        assert manager.recv(64) == b"READY=1"

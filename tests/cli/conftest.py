"""What the tests of the command line share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from click.testing import CliRunner, Result

from softadastra.cli.main import cli
from softadastra.runtime import events

from .tool import Run, Spawn


@pytest.fixture
def heeded_hangup() -> Iterator[None]:
    """Children heed SIGHUP: where these tests run under nohup, they would inherit that it is not.

    A handler, which ends with exec(2), as the default would end the tests.
    """
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the variables that change what the tool shows or which node it opens."""
    for name in list(os.environ):
        if name in {"COLUMNS", "NO_COLOR", "FORCE_COLOR"} or name.startswith("SOFTADASTRA_"):
            monkeypatch.delenv(name)


@pytest.fixture
def directory(plain_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    # A command may send the events of this process elsewhere, and the process does not end here.
    monkeypatch.setattr(events, "_output", events._output)

    def invoke(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(cli, arguments, input=input, catch_exceptions=False)

    return invoke


@pytest.fixture
def spawn(directory: Path, request: pytest.FixtureRequest) -> Spawn:
    def start(
        *arguments: str | bytes, stdin: int = PIPE, stdout: int = PIPE, stderr: int = PIPE
    ) -> Popen[bytes]:
        process = Popen(
            [sys.executable, "-m", "softadastra", *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=directory,
            env=dict(os.environ),  # without what readline has put beside it, as COLUMNS
        )

        def end() -> None:
            process.kill()
            process.communicate()

        request.addfinalizer(end)
        return process

    return start

"""A shell completes commands, and keys and peers of the node."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.cli import completion
from softadastra.cli.completion import ANSWER_SECONDS
from tests.requirements import TOOLS

from .tool import Run, Spawn, document

DEADLINE_S = 60.0


@pytest.fixture
def running(directory: Path) -> Iterator[Client]:
    with Client(ClientOptions.persistent("node-1", "data/node-1.wal")) as client:
        for key in ("sale/1", "sale/2", "drawer", "a\nb"):
            client[key] = 1
        yield client


def completed(
    run: Run, monkeypatch: pytest.MonkeyPatch, *words: str, answer_seconds: float = DEADLINE_S
) -> list[str]:
    """Give what bash gets for the last of the words.

    A node that is well but waits for its processor may take longer to answer than is felt.
    """
    with monkeypatch.context() as context:
        context.setattr(completion, "ANSWER_SECONDS", answer_seconds)
        context.setenv("_SOFTADASTRA_COMPLETE", "bash_complete")
        context.setenv("COMP_WORDS", " ".join(["softadastra", *words]))
        context.setenv("COMP_CWORD", str(len(words)))
        found = run()
    assert (found.exit_code, found.stderr) == (0, "")
    return [line.partition(",")[2] for line in found.stdout.split()]


def test_commands_and_options_are_completed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(run, monkeypatch, "st") == ["status", "store"]
    assert completed(run, monkeypatch, "store", "ex") == ["export"]
    assert completed(run, monkeypatch, "node", "start", "--det") == ["--detach"]
    assert completed(run, monkeypatch, "completion", "") == ["bash", "zsh", "fish"]


def test_keys_of_the_running_node_are_completed(
    run: Run, running: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed(run, monkeypatch, "store", "get", "sa") == ["sale/1", "sale/2"]
    assert completed(run, monkeypatch, "store", "remove", "d") == ["drawer"]
    assert completed(run, monkeypatch, "store", "get", "a") == []


def test_peers_of_the_running_node_are_completed(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport()
    options.peers = ("office@127.0.0.1:1", "till@127.0.0.1:2")  # type: ignore[assignment]
    with Client(options) as client:
        client.start_transport()

        assert completed(run, monkeypatch, "peers", "forget", "o") == ["office"]


def test_keys_and_peers_of_a_node_that_does_not_run_are_completed_from_its_log(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ClientOptions.persistent("node-1", "data/node-1.wal").with_local_transport()
    options.peers = (Peer.local("office", 1),)
    with Client(options) as client:
        for key in ("sale/1", "sale/2", "sale/3", "drawer", "a\nb"):
            client[key] = 1
        del client["sale/3"]
        client.start_transport()
    before = sorted(path.name for path in (directory / "data").iterdir())

    assert completed(run, monkeypatch, "store", "get", "sa") == ["sale/1", "sale/2"]
    assert completed(run, monkeypatch, "store", "get", "a") == []
    assert completed(run, monkeypatch, "peers", "forget", "o") == ["office"]
    assert completed(run, monkeypatch, "sync", "explain", "o") == ["office"]
    assert sorted(path.name for path in (directory / "data").iterdir()) == before


def test_a_log_that_takes_long_to_read_is_not_read_to_complete_a_key(
    run: Run, running: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.close()
    size = Path("data/node-1.wal").stat().st_size
    found = []
    for limit in (size, size - 1):
        monkeypatch.setattr("softadastra.cli.completion.LOG_BYTES_MAX", limit)
        found.append(completed(run, monkeypatch, "store", "get", "d"))

    assert found == [["drawer"], []]


def test_a_damaged_log_completes_nothing(
    run: Run, running: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.close()
    log = Path("data/node-1.wal")
    content = bytearray(log.read_bytes())
    content[4096 + 60] ^= 0xFF
    log.write_bytes(content)

    assert completed(run, monkeypatch, "store", "get", "d") == []


def test_without_a_node_nothing_is_completed_and_nothing_is_made(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed(run, monkeypatch, "store", "get", "s") == []
    (directory / "softadastra.toml").write_text("not TOML")
    assert completed(run, monkeypatch, "store", "get", "s") == []
    assert [path.name for path in directory.iterdir()] == ["softadastra.toml"]


def test_a_node_that_hangs_keeps_nobody_at_the_keyboard(
    spawn: Spawn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    process: Popen[bytes] = spawn("node", "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    try:
        found = completed(run, monkeypatch, "store", "get", "s", answer_seconds=ANSWER_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)

    assert found == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_printed_is_code_of_that_shell(run: Run, shell: str, tmp_path: Path) -> None:
    printed = run("completion", shell)

    assert printed.exit_code == 0
    assert "_SOFTADASTRA_COMPLETE" in printed.stdout
    assert document(run("completion", shell, "--json"))["source"] in printed.stdout
    if shutil.which(shell) is not None:
        done = subprocess.run([shell, "-n"], input=printed.stdout, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


PATIENT_TOOL = f"""#!{sys.executable}
from softadastra.__main__ import main
from softadastra.cli import completion

completion.ANSWER_SECONDS = {DEADLINE_S}
main()
"""


def completed_by_bash(directory: Path, begun: str, then: str) -> list[str]:
    """Let bash complete `softadastra store get` with a word begun, then do something, by lines."""
    TOOLS.need_tool("bash", "bash")
    tool = directory / "softadastra"
    tool.write_text(PATIENT_TOOL)
    tool.chmod(0o755)
    script = (
        f'eval "$({tool} completion bash)"\n'
        f"COMP_WORDS=({tool} store get {shlex.quote(begun)}); COMP_CWORD=3\n"
        f"_softadastra_completion {tool}\n{then}\n"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=directory,
        env=dict(os.environ),
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_with_it(run: Run, running: Client, directory: Path) -> None:
    found = completed_by_bash(directory, "sa", 'printf "%s\\n" "${COMPREPLY[@]}"')

    assert found == ["sale/1", "sale/2"]


HOSTILE_KEYS = sorted(
    [
        "k $(touch ran)",
        "k`touch ran`",
        "k;touch ran",
        "k*",
        "k\\",
        "k'\"",
        "k{a,b}",
        "k,",
        "kü",
        "k=1",
    ]
)


def test_a_key_is_one_word_for_bash_whatever_is_in_it(
    run: Run, running: Client, directory: Path
) -> None:
    """A peer could write one that is a command to whoever completes it."""
    for key in HOSTILE_KEYS:
        running[key] = 1

    words = completed_by_bash(directory, "k", "eval \"printf '%s\\n' ${COMPREPLY[*]}\"")

    assert words == HOSTILE_KEYS
    assert not (directory / "ran").exists()


def test_behind_an_open_quotation_names_are_given_that_mean_the_same_in_it(
    run: Run, running: Client, directory: Path
) -> None:
    running["sale $(touch ran)"] = 1

    found = completed_by_bash(directory, '"sa', 'printf "%s\\n" "${COMPREPLY[@]}"')

    assert found == ["sale/1", "sale/2"]


def test_another_shell_is_refused(run: Run) -> None:
    refused = run("completion", "tcsh")

    assert refused.exit_code == 2
    assert "bash" in refused.stderr

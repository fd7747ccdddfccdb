"""How the tool takes its options, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import softadastra
from softadastra.cli.command import Group
from softadastra.cli.main import cli
from softadastra.errors import ErrorCode

from .tool import Run, document


def commands(
    group: click.Command = cli, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command, str]]:
    """List every command with its path and the summary that its group shows."""
    found = []
    context = click.Context(group)
    assert isinstance(group, Group)
    for name, lazy in group.lazy.items():
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command, lazy.summary))
        if isinstance(command, Group):
            found += commands(command, (*path, name))
    return found


ALL = commands()


@pytest.mark.parametrize(("path", "command", "summary"), ALL, ids=[" ".join(p) for p, _, _ in ALL])
def test_every_command_has_the_summary_that_is_shown_of_it_and_the_common_options(
    run: Run, path: tuple[str, ...], command: click.Command, summary: str
) -> None:
    shown = run(*path, "--help")

    assert shown.exit_code == 0
    assert command.get_short_help_str(200).rstrip(".") == summary.rstrip(".")
    assert "Common options:" in shown.stdout
    for option in ("--node-id", "--wal", "--config", "--json", "--no-color", "-v", "-q"):
        assert f" {option}" in shown.stdout


def test_the_tool_alone_shows_its_help_as_an_error(run: Run) -> None:
    for group in ((), ("--json",), ("node",), ("store",), ("sync",)):
        shown = run(*group)

        assert shown.exit_code == 2
        assert shown.stdout == ""
        assert shown.stderr.startswith("Usage: softadastra")
        assert "Commands:" in shown.stderr


def test_help_fits_forty_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for path, _, _ in ALL:
        shown = run(*path, "--help").stdout

        assert shown == run("help", *path).stdout
        assert max(map(len, shown.splitlines())) <= 40


def test_help_shows_what_the_option_shows(run: Run) -> None:
    assert run("help").stdout == run("--help").stdout == run("-h").stdout
    assert run("help", "store", "put").stdout == run("store", "put", "--help").stdout
    assert document(run("help", "peers", "--json"))["help"] + "\n" == run("peers", "-h").stdout


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("frob",), "Unknown command: frob"),
        (("store", "frob"), "Unknown store command: frob"),
        (("version", "frob"), "softadastra version has no commands: no frob among them"),
    ],
)
def test_help_of_nothing_is_refused(run: Run, path: tuple[str, ...], message: str) -> None:
    refused = run("help", *path)

    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[0] == message


def test_the_version_is_shown_in_three_ways(run: Run) -> None:
    assert run("version").stdout == run("--version").stdout == "Softadastra 0.1.0\n"
    assert document(run("version", "--json")) == {"version": softadastra.__version__}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("statsu",), "Unknown command: statsu"),
        (("node", "frob"), "Unknown node command: frob"),
        (("sync", "frob"), "Unknown sync command: frob"),
        (("status", "more"), "Got unexpected extra argument (more)"),
        (("status", "--nothing"), "No such option '--nothing'."),
        (("--node-id",), "Option '--node-id' requires an argument."),
        (
            ("node", "run", "--port", "70000"),
            "Invalid value for '--port': '70000' is not a whole number from 0 to 65535.",
        ),
        (
            ("node", "run", "--port", "http"),
            "Invalid value for '--port': 'http' is not a whole number from 0 to 65535.",
        ),
        (
            ("node", "run", "--port", "5_0"),
            "Invalid value for '--port': '5_0' is not a whole number from 0 to 65535.",
        ),
        (
            ("sync", "tick", "--wait", "\u0665"),
            "Invalid value for '--wait': '\u0665' is not a number from 0 to 3600.",
        ),
        (
            ("sync", "tick", "--wait", "-1"),
            "Invalid value for '--wait': '-1' is not a number from 0 to 3600.",
        ),
        (
            ("sync", "tick", "--wait", "nan"),
            "Invalid value for '--wait': 'nan' is not a number from 0 to 3600.",
        ),
        (
            ("demo", "--seed", "x"),
            "Invalid value for '--seed': 'x' is not a whole number.",
        ),
        (
            ("status", "--wal", ""),
            "Invalid value for '--wal': expected the path of a file.",
        ),
        (
            ("status", "--config", ""),
            "Invalid value for '--config': expected the path of a file.",
        ),
        (("trace", "nonsense"), "error: 'nonsense' is no sync id"),
        (("logs", "--sync-id", "nonsense"), "error: 'nonsense' is no sync id"),
        (("store", "put", "k", "{", "--json-value"), "error: not JSON at character 2"),
        (("keys", "trust", "b", "nonsense"), "error: cannot read public key 'nonsense'"),
        (("status", "--node-id", "../x"), "error: the options of node '../x' cannot be used"),
    ],
)
def test_a_wrong_command_line_gives_its_reason_the_usage_and_exit_2(
    run: Run, directory: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run(*arguments)
    lines = refused.stderr.splitlines()

    assert refused.exit_code == 2
    assert lines[0].startswith(message)
    assert any(line.startswith("Usage: softadastra") for line in lines)
    assert document(run("--json", *arguments))["error"]["code"] == ErrorCode.INVALID_ARGUMENT
    assert list(directory.iterdir()) == []


def test_the_nearest_command_is_named(run: Run) -> None:
    assert "Did you mean status?" in run("statsu").stderr


def test_common_options_stand_anywhere_and_the_last_counts(run: Run, directory: Path) -> None:
    run("--node-id", "node-a", "store", "put", "key", "value")
    run("store", "--node-id", "node-b", "put", "key", "value")
    run("--node-id", "no", "store", "--node-id", "nor", "put", "k", "v", "--node-id", "node-c")

    made = {path.name for path in (directory / "data").glob("*.wal")}
    assert made == {"node-a.wal", "node-b.wal", "node-c.wal"}
    for arguments in (("--json", "store", "list"), ("store", "--json", "list")):
        assert document(run(*arguments, "--node-id", "node-a"))["entries"]


def test_a_log_alone_names_its_node(run: Run) -> None:
    run("store", "put", "key", "value", "--node-id", "node-a", "--wal", "here.wal")
    found = document(run("status", "--wal", "here.wal", "--json"))

    assert found["node"]["id"] == "node-a"
    assert found["node"]["wal"] == "here.wal"


def test_the_log_of_another_node_is_refused(run: Run) -> None:
    run("store", "put", "key", "value", "--node-id", "node-a", "--wal", "here.wal")
    refused = run("status", "--node-id", "node-b", "--wal", "here.wal")

    assert refused.exit_code == 1
    assert "node-a" in refused.stderr
    assert "node-b" in refused.stderr


def test_settings_come_from_the_command_line_then_the_environment_then_the_file(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def node_id(*arguments: str) -> object:
        return document(run("status", "--json", *arguments))["node"]["id"]

    (directory / "softadastra.toml").write_text('node_id = "from-file"\n')
    (directory / "other.toml").write_text('node_id = "from-other-file"\n')
    assert node_id() == "from-file"
    assert node_id("--config", "other.toml") == "from-other-file"

    monkeypatch.setenv("SOFTADASTRA_NODE_ID", "from-environment")
    assert node_id() == "from-environment"
    assert node_id("--node-id", "from-argument") == "from-argument"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('node_ide = "a"', "did you mean 'node_id'"),
        ("node_id = ", "not TOML"),
        ('node_id = ""', "node_id"),
        ("enable_discovery = 1", "enable_discovery"),
    ],
)
def test_wrong_settings_exit_with_2_and_no_traceback(
    run: Run, directory: Path, settings: str, message: str
) -> None:
    (directory / "softadastra.toml").write_text(settings)
    refused = run("status", "--json")

    assert refused.exit_code == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert document(refused)["error"]["code"] == "invalid_argument"


def test_wrong_settings_are_told_before_anything_of_the_node(run: Run) -> None:
    for node_id in ("", "a/b"):
        refused = run("status", "--node-id", node_id)

        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"error: the options of node {node_id!r} cannot be used:")


def test_problems_are_a_list_for_programs(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text(
        'conflict_policy = "lww"\nenable_transport = true\ntransport_host = "0.0.0.0"\n'
    )
    first, second = document(run("status", "--json"))["error"]["context"]["problems"]

    assert first == "conflict_policy 'lww' is unknown: did you mean 'last_write_wins'?"
    assert second.startswith("transport_host '0.0.0.0' lets every machine")


def test_a_foreign_file_is_refused_and_left_as_it_is(run: Run, directory: Path) -> None:
    (directory / "notes.txt").write_text("dear diary")
    refused = run("store", "put", "a", "1", "--wal", "notes.txt")

    assert refused.exit_code == 1
    assert "notes.txt" in refused.stderr
    assert (directory / "notes.txt").read_text() == "dear diary"


def test_damage_exits_with_6_and_names_the_place(run: Run, directory: Path) -> None:
    for number in range(20):
        run("store", "put", f"key/{number}", "value")
    log = directory / "data" / "node-1.wal"
    content = bytearray(log.read_bytes())
    content[4096 + 40] ^= 1
    log.write_bytes(content)
    refused = run("status", "--json")

    assert refused.exit_code == 6
    assert document(refused)["error"]["context"]["path"] == "data/node-1.wal"
    assert log.read_bytes() == content


def test_a_torn_tail_is_reported_on_standard_error(run: Run, directory: Path) -> None:
    run("store", "put", "a", "1")
    run("store", "put", "b", "1")
    log = directory / "data" / "node-1.wal"
    with log.open("ab") as file:
        file.write(b"\xf5\xda\x7atorn")
    shown = run("store", "list", "--json")

    assert shown.stderr.startswith("warning: wal.tail_cut ")
    assert len(document(shown)["entries"]) == 2
    assert run("store", "list").stderr == ""


def test_help_imports_neither_rich_nor_the_library() -> None:
    program = (
        "import sys\n"
        "from softadastra.cli.main import cli\n"
        "try:\n"
        "    cli.main(['--help'])\n"
        "except SystemExit:\n"
        "    heavy = {'rich', 'zmq', 'msgpack', 'structlog', 'softadastra.client', 'asyncio'}\n"
        "    sys.exit(', '.join(heavy & sys.modules.keys()) or 0)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=30)

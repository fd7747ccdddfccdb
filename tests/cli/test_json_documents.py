"""What each command prints with --json is what docs/cli.md says."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import click
import pytest

import softadastra
from softadastra import Client, ClientOptions, Peer, vitals
from softadastra.cli.command import Group
from softadastra.cli.main import cli
from tests.eventually import eventually

from .json_documents import PRIMITIVES, check, described_commands, objects, type_names, wrong_value
from .tool import Run, Spawn


@pytest.fixture(autouse=True)
def runtime(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))


def commands(group: click.Command, *path: str) -> list[str]:
    if not isinstance(group, Group):
        return [" ".join(path)]
    found = []
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found += commands(command, *path, name)
    return found


def test_every_command_is_described() -> None:
    assert sorted(described_commands()) == sorted(commands(cli))


def test_every_type_is_listed_and_every_object_is_used() -> None:
    found = {each: getattr(softadastra, each, getattr(vitals, each, None)) for each in type_names()}
    classes = {name for name, each in found.items() if dataclasses.is_dataclass(each)}

    assert type_names() - classes - set(PRIMITIVES) - {"absent"} == set(objects()) - {"error"}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("string", 1),
        ("integer", True),
        ("integer or null", "1"),
        ("list of string", ["a", 1]),
        ("object of peer sync", {"b": {"lag": 1}}),
        ("node", {}),
        ("row", {"key": "k", "value": 1, "more": 1}),
        ("Vitals", {"node": {}}),
    ],
)
def test_what_is_wrong_is_found(kind: str, wrong: object) -> None:
    assert wrong_value(kind, wrong) is not None


def checked(run: Run, lines: str, *, codes: dict[str, int] | None = None) -> None:
    """Run command lines, and check their documents; those of errors too."""
    for line in lines.strip().splitlines():
        words = shlex.split(line)
        found = run(*words, "--json", input=b'{"key": "imported", "value": 1}\n')
        path = " ".join(words[:2]) if " ".join(words[:2]) in described_commands() else words[0]
        path = path if path in described_commands() else f"{path} list"

        assert found.exit_code == (codes or {}).get(line, 0), (line, found.output)
        for row in found.stdout.splitlines():
            check(path, json.loads(row))
        assert found.stdout, line


LINES = """
status
top --once --interval 0.1
node info
node list
store put k v
store get k
store put gone v
store remove gone
store list
store history k
store import -
store export
sync status
sync explain k
sync explain --peer office
sync tick
peers
peers list
conflicts
keys init
keys show
keys list
wal inspect
wal inspect --frames
wal verify
wal compact
wal backup copy.wal
config show
doctor
bench --seconds 0.1
completion bash
version
help store put
"""

FAILING = {
    "store get nowhere": 3,
    "store history nowhere": 3,
    "store put k": 2,
    "store put '' v": 2,
    "sync wait --timeout 0": 124,
    "peers add b@127.0.0.1:1": 4,
    "peers forget nobody": 3,
    "conflicts show k": 3,
    "keys trust b nonsense": 2,
    "wal backup copy.wal": 1,
}


def test_documents_of_a_node_that_runs(run: Run, spawn: Spawn) -> None:
    node = spawn("node", "run", "--json", "--peer", "office@127.0.0.1:1")
    assert node.stdout is not None
    check("node run", json.loads(node.stdout.readline()))
    checked(run, LINES, codes={"sync tick": 4})
    checked(run, "\n".join(FAILING), codes=FAILING)
    checked(
        run,
        """
        sync retry
        store watch --from beginning --count 2
        peers remove office
        peers forget office
        node start --detach
        node stop
        """,
    )


def test_documents_of_a_node_that_does_not_run(run: Run) -> None:
    Path("softadastra.toml").write_text('peers = ["office@127.0.0.1:1"]\n')
    run("store", "put", "k", "v")
    lines = LINES.replace("sync explain --peer office\n", "")
    checked(run, lines, codes={"sync tick": 4, "doctor": 0})
    checked(run, "\n".join(FAILING), codes=FAILING)
    stopped = dict.fromkeys(["sync retry", "store watch", "node stop", "peers remove office"], 4)
    checked(run, "\n".join(stopped), codes=stopped)
    checked(run, "wal repair")


def test_documents_of_a_node_that_is_started_and_of_its_log(run: Run, spawn: Spawn) -> None:
    starting = spawn("node", "start", "--detach", "--json", "--log-level", "debug")
    output, _ = starting.communicate(timeout=60)
    try:
        check("node start", json.loads(output))
        run("store", "put", "k", "v")
        # The node's own thread tells of a write, when it has been asked to wake.
        eventually(lambda: run("trace", "node-1-1").exit_code == 0)
        checked(run, "trace node-1-1")
        event = json.loads(run("logs", "-n", "1", "--json").stdout)
        assert {"event", "level", "node_id", "ts"} <= set(event)
    finally:
        assert run("node", "stop").exit_code == 0


def test_documents_of_damage(run: Run) -> None:
    for value in range(5):
        run("store", "put", "k", str(value))
    path = Path("data/node-1.wal")
    offset = json.loads(run("store", "history", "k", "--json").stdout)["versions"][2]["offset"]
    image = bytearray(path.read_bytes())
    image[offset + 3 : offset + 50] = bytes(47)
    path.write_bytes(image)
    codes = dict.fromkeys(
        ["wal inspect", "wal inspect --frames", "wal verify", "store history k", "status"], 6
    )

    checked(run, "\n".join(codes), codes=codes)
    checked(run, "doctor", codes={"doctor": 1})
    checked(run, "wal repair")


def test_documents_of_conflicts(run: Run) -> None:
    Path("softadastra.toml").write_text('conflict_policy = "manual"\n')
    options = [
        ClientOptions.persistent(name, f"data/{name}.wal").with_local_transport()
        for name in ("node-1", "till")
    ]
    for each in options:
        each.conflict_policy = "manual"
    with Client(options[0]) as one, Client(options[1]) as till:
        one.put("cart", b"\xff")
        till.put("cart", {"n": 1})
        one.start_transport()
        till.start_transport()
        assert one.transport_port is not None
        till.connect(Peer.local("node-1", one.transport_port))
        assert till.wait_synced(20)
        assert one.wait_synced(20)
    checked(
        run,
        """
        status
        store history cart
        conflicts list
        conflicts show cart
        conflicts resolve cart settled
        """,
    )


def test_documents_of_keys(run: Run) -> None:
    run("keys", "init", "--node-id", "till")
    key = run("keys", "show", "--raw", "--node-id", "till").stdout.strip()
    checked(run, f"keys init\nkeys trust till {key}\nkeys list\nkeys revoke till")

"""`softadastra keys`: what each command prints, writes, and ends with."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import pytest

from softadastra.cli.exit_codes import ExitCode
from softadastra.security.key_file import KeyFile
from softadastra.security.keys import PublicKey
from softadastra.security.trust_file import TrustFile

from .tool import Run, Spawn, document

OTHER = PublicKey(bytes(range(32)))


def key_of(node_id: str) -> KeyFile:
    return KeyFile(Path("data", f"{node_id}.wal.key"))


def trusted(node_id: str = "node-1") -> dict[str, PublicKey]:
    return dict(TrustFile(Path("data", f"{node_id}.wal.trusted")).load().by_node)


def test_init_makes_a_key_pair_that_show_shows_without_its_secret(run: Run) -> None:
    made = run("keys", "init")
    shown = run("keys", "show")
    pair = key_of("node-1").load()

    assert (made.exit_code, shown.exit_code) == (0, 0)
    assert made.stdout == shown.stdout
    assert str(pair.public) in shown.stdout
    assert pair.public.fingerprint in shown.stdout
    assert "data/node-1.wal.key" in shown.stdout
    assert f"softadastra keys trust node-1 {pair.public}" in shown.stderr
    assert pair.secret.text() not in made.output + shown.output
    assert stat.S_IMODE(key_of("node-1").path.stat().st_mode) == 0o600


def test_a_script_gets_the_public_key_alone(run: Run) -> None:
    run("keys", "init")
    found = run("keys", "show", "--raw")

    assert PublicKey.parse(found.stdout.strip()) == key_of("node-1").load().public
    assert (found.stdout.count("\n"), found.stderr) == (1, "")
    assert run("keys", "show", "--raw", "--json").exit_code == 2


def test_a_key_pair_that_is_there_is_left_as_it_is(run: Run) -> None:
    run("keys", "init")
    before = key_of("node-1").path.read_bytes()
    again = run("keys", "init")

    assert again.exit_code == ExitCode.FAILURE
    assert "is there already, and was left as it is" in again.stderr
    assert "softadastra keys show" in again.stderr
    assert key_of("node-1").path.read_bytes() == before


def test_without_a_key_pair_show_says_what_makes_one(run: Run, directory: Path) -> None:
    shown = run("keys", "show")

    assert shown.exit_code == ExitCode.KEY_NOT_FOUND
    assert "softadastra keys init" in shown.stderr
    assert list(directory.iterdir()) == []


def test_a_key_pair_that_others_can_read_is_not_shown(run: Run) -> None:
    run("keys", "init")
    key_of("node-1").path.chmod(0o644)
    shown = run("keys", "show", "--json")

    assert shown.exit_code == ExitCode.FAILURE
    assert document(shown)["error"]["code"] == "store_error"
    assert "chmod 600" in shown.stderr


def test_a_node_is_trusted_listed_and_revoked(run: Run) -> None:
    done = run("keys", "trust", "office", str(OTHER))
    assert done.exit_code == 0
    assert done.stdout == f"Trusted office, key {OTHER.fingerprint}.\n"
    assert trusted() == {"office": OTHER}

    listed = run("keys", "list")
    assert "office" in listed.stdout
    assert OTHER.fingerprint in listed.stdout

    revoked = run("keys", "revoke", "office")
    assert revoked.exit_code == 0
    assert revoked.stdout == f"Revoked office, key {OTHER.fingerprint}.\n"
    assert trusted() == {}
    assert run("keys", "list").stdout == "No trusted keys.\n"


def test_each_command_prints_one_document_on_request(run: Run) -> None:
    made = document(run("keys", "init", "--json"))
    key = key_of("node-1").load().public
    own = {"node_id": "node-1", "public_key": str(key), "fingerprint": key.fingerprint}
    other = {
        "node_id": "office",
        "public_key": str(OTHER),
        "fingerprint": OTHER.fingerprint,
    }
    path = "data/node-1.wal.trusted"

    assert made == {"key": own, "path": "data/node-1.wal.key"}
    assert document(run("keys", "show", "--json")) == made
    assert document(run("keys", "trust", "office", str(OTHER), "--json")) == {
        "trusted": other,
        "path": path,
    }
    assert document(run("keys", "list", "--json")) == {"trusted": [other], "path": path}
    assert document(run("keys", "revoke", "office", "--json")) == {"revoked": other, "path": path}


def test_a_name_that_is_pinned_is_not_given_another_key(run: Run) -> None:
    run("keys", "trust", "office", str(OTHER))
    key = PublicKey(bytes(32))
    refused = run("keys", "trust", "office", str(key), "--json")

    assert refused.exit_code == ExitCode.FAILURE
    error = document(refused)["error"]
    assert error["code"] == "already_exists"
    assert error["context"]["expected"] == OTHER.fingerprint
    assert error["context"]["seen"] == key.fingerprint
    assert "softadastra keys revoke office" in refused.stderr
    assert trusted() == {"office": OTHER}


def test_to_trust_again_is_no_error(run: Run) -> None:
    run("keys", "trust", "office", str(OTHER))
    again = run("keys", "trust", "office", str(OTHER))

    assert again.exit_code == 0
    assert "was trusted already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("office", "abc"), "cannot read public key 'abc'"),
        (("", str(OTHER)), "no node can be called ''"),
        (("node-1", str(OTHER)), "is this node itself"),
    ],
)
def test_what_cannot_be_trusted_is_wrong_usage(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    refused = run("keys", "trust", *arguments)

    assert refused.exit_code == ExitCode.USAGE
    assert words in refused.stderr
    assert trusted() == {}


def test_a_node_does_not_trust_its_own_key_under_another_name(run: Run) -> None:
    run("keys", "init")
    refused = run("keys", "trust", "office", str(key_of("node-1").load().public))

    assert refused.exit_code == ExitCode.USAGE
    assert "is the key of this node itself" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("trust",), "Missing name"), (("trust", "a"), "Missing key"), (("revoke",), "Missing name")],
)
def test_a_missing_argument_is_named(run: Run, arguments: tuple[str, ...], words: str) -> None:
    refused = run("keys", *arguments)

    assert refused.exit_code == ExitCode.USAGE
    assert f"{words} argument." in refused.stderr


def test_who_is_not_trusted_cannot_be_revoked(run: Run) -> None:
    refused = run("keys", "revoke", "office")

    assert refused.exit_code == ExitCode.KEY_NOT_FOUND
    assert refused.stderr == "node not trusted: 'office'\n"


def test_the_keys_of_a_log_are_found_by_the_log_alone(run: Run, directory: Path) -> None:
    run("store", "put", "k", "v", "--node-id", "till", "--wal", "x/till.log")
    run("keys", "init", "--wal", "x/till.log")
    run("keys", "trust", "office", str(OTHER), "--wal", "x/till.log")

    assert document(run("keys", "show", "--json", "--wal", "x/till.log"))["key"]["node_id"] == (
        "till"
    )
    assert (directory / "x" / "till.log.key").exists()
    assert (directory / "x" / "till.log.trusted").exists()


def test_keys_may_be_kept_elsewhere(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text('key_path = "keys/mine.key"\n')
    run("keys", "init")
    run("keys", "trust", "office", str(OTHER))

    assert sorted(path.name for path in (directory / "keys").iterdir()) == [
        "mine.key",
        "mine.trusted",
    ]


def test_a_node_that_trusts_nobody_says_so_when_it_starts(spawn: Spawn, run: Run) -> None:
    lines = []
    for _ in range(2):
        process = spawn("node", "run", "--security", "curve", "--log-level", "error", "--json")
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["transport"]["security"] == "curve"
        process.send_signal(signal.SIGTERM)
        lines.append(process.communicate(timeout=30)[1].decode())
        run("keys", "trust", "office", str(OTHER))

    assert "No key is trusted yet, so nobody is let in" in lines[0]
    assert lines[1] == ""


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:0", ":5"])
def test_an_address_to_pair_with_has_to_be_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("softadastra.cli.pair._is_terminal", lambda: True)
    refused = run("keys", "pair", address)

    assert refused.exit_code == ExitCode.USAGE
    assert f"Cannot read {address!r}: expected HOST:PORT" in refused.stderr


@pytest.mark.parametrize("seconds", ["0", "121", "nan"])
def test_a_window_is_open_for_two_minutes_at_most(run: Run, seconds: str) -> None:
    refused = run("keys", "pair", "--window", seconds)

    assert refused.exit_code == ExitCode.USAGE
    assert "a number from 1 to 120.0" in refused.stderr

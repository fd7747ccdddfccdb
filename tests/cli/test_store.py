"""Keys and values go in and come out through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from softadastra import Client, ClientOptions

from .tool import Run, document


def test_put_shows_key_version_and_status(run: Run) -> None:
    created = run("store", "put", "message/1", "hello")
    run("store", "put", "message/1", "hello again")
    unchanged = document(run("store", "put", "message/1", "hello again", "--json"))

    assert created.exit_code == 0
    assert created.stdout.splitlines()[0] == "Stored value."
    assert created.stdout.split()[-6:] == ["key", "message/1", "version", "1", "status", "created"]
    assert unchanged == {
        "key": "message/1",
        "version": 2,
        "status": "unchanged",
        "origin": "node-1",
        "n": 2,
        "sync_id": "node-1-2",
    }


def test_get_shows_the_entry(run: Run) -> None:
    run("store", "put", "message/1", "hello")
    shown = run("store", "get", "message/1")
    entry = document(run("store", "get", "message/1", "--json"))

    assert shown.stdout.splitlines()[0] == "Store entry"
    assert [line.split()[0] for line in shown.stdout.splitlines()[3:]] == [
        "key",
        "value",
        "version",
        "timestamp",
    ]
    assert entry.pop("timestamp_ms") > 0
    assert entry == {
        "key": "message/1",
        "value": "hello",
        "version": 1,
        "origin": "node-1",
        "sync_id": "node-1-1",
    }


@pytest.mark.parametrize("command", ["get", "remove"])
def test_an_absent_key_exits_with_3(run: Run, command: str) -> None:
    run("store", "put", "here", "1")
    absent = run("store", command, "nowhere")
    as_json = run("store", command, "nowhere", "--json")

    assert absent.exit_code == as_json.exit_code == 3
    assert absent.stderr == "Key not found: nowhere\n"
    assert absent.stdout == ""
    assert document(as_json)["error"] == {
        "code": "not_found",
        "message": "Key not found: nowhere",
        "context": {"key": "nowhere"},
    }


def test_remove_removes_and_says_so(run: Run) -> None:
    run("store", "put", "a", "1")
    run("store", "put", "b", "1")

    assert run("store", "remove", "a").stdout.splitlines()[0] == "Removed value"
    assert document(run("store", "remove", "b", "--json")) == {"key": "b", "removed": True}
    assert run("store", "get", "a").exit_code == 3


def test_raw_gives_back_every_byte(run: Run) -> None:
    content = bytes(range(256)) + b"\n"
    run("store", "put", "bytes", "-", "--bytes-value", input=content)
    run("store", "put", "text", "-", input="é\n\n".encode())

    assert run("store", "get", "bytes", "--raw").stdout_bytes == content
    assert run("store", "get", "text", "--raw").stdout_bytes == "é\n\n".encode()


def test_a_value_comes_from_a_file_to_its_last_byte(run: Run, directory: Path) -> None:
    (directory / "photo").write_bytes(b"\xff\0\n")
    (directory / "note").write_text("line\n")
    run("store", "put", "photo", "@photo", "--bytes-value")
    run("store", "put", "note", "@note")
    run("store", "put", "handle", "@@note")

    with Client(ClientOptions()) as node:
        assert dict(node) == {"handle": "@note", "note": "line\n", "photo": b"\xff\0\n"}


def test_json_values_keep_their_types(run: Run) -> None:
    written = '{"a": [1, 2.5, null, true], "b": {"$bytes": "AAE="}}'
    run("store", "put", "j", "--json-value", written)
    run("store", "put", "n", "--json-value", "-", input=b"5")

    with Client(ClientOptions()) as node:
        assert node["j"] == {"a": [1, 2.5, None, True], "b": b"\0\1"}
        assert node["n"] == 5
    assert run("store", "get", "j", "--raw").stdout == written


def test_a_value_that_begins_with_a_dash_goes_behind_two(run: Run) -> None:
    refused = run("store", "put", "temperature", "-5")

    assert refused.exit_code == 2
    assert "Put -- before an argument that begins with '-'." in refused.stderr
    assert run("store", "put", "--", "temperature", "-5").exit_code == 0
    assert run("store", "get", "temperature", "--raw").stdout == "-5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("put",), "Missing key or value argument."),
        (("put", "key"), "Missing key or value argument."),
        (("get",), "Missing key argument."),
        (("remove",), "Missing key argument."),
        (("put", "", "value"), "Key cannot be empty."),
        (("get", ""), "Key cannot be empty."),
        (("remove", ""), "Key cannot be empty."),
        (("get", "a", "--raw", "--json"), "Choose one of --raw and --json."),
        (
            ("put", "a", "b", "--json-value", "--bytes-value"),
            "Choose one of --json-value and --bytes-value.",
        ),
        (("frob",), "Unknown store command: frob"),
        (
            ("list", "--limit", "0"),
            "Invalid value for '--limit': '0' is not a whole number of at least 1.",
        ),
    ],
)
def test_a_wrong_command_line_gives_its_reason_and_the_usage(
    run: Run, directory: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("store", *arguments)
    lines = refused.stderr.splitlines()

    assert refused.exit_code == 2
    assert lines[0] == message
    assert lines[1].startswith("Usage: softadastra store")
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (("put", "k", "-"), b"\xff", "the value is not UTF-8 text at its byte 1"),
        (("put", "k", "--json-value", "{"), b"", "not JSON"),
        (("put", "k", "@missing"), b"", "To store this text, write '@@missing'."),
        (("put", "k" * 1025, "v"), b"", "1024"),
        (("put", "k", "-"), b"x" * 1_048_577, "1048576"),
        (("put", "k", "-"), b"x" * (16 * 1024 * 1024 + 1), "longer than 16,777,216 bytes"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_and_changes_nothing(
    run: Run, arguments: tuple[str, ...], content: bytes, message: str
) -> None:
    refused = run("store", *arguments, input=content)

    assert refused.exit_code == 2
    assert message in refused.stderr.replace(",", "" if message.isdigit() else ",")
    assert document(run("store", "list", "--json"))["entries"] == []


def test_list_shows_the_keys_of_a_prefix_in_order(run: Run) -> None:
    for key in ("b/2", "a/1", "b/1"):
        run("store", "put", key, f"value of {key}")

    assert run("store", "list", "b/").stdout.split("\n") == [
        "Key  Value",
        "b/1  value of b/1",
        "b/2  value of b/2",
        "",
    ]
    assert document(run("store", "list", "b/", "--json")) == {
        "entries": [
            {"key": "b/1", "value": "value of b/1"},
            {"key": "b/2", "value": "value of b/2"},
        ],
        "has_more": False,
    }


def test_a_limited_list_says_that_there_is_more(run: Run) -> None:
    for key in "abc":
        run("store", "put", key, "1")
    limited = run("store", "list", "--limit", "2")

    assert limited.stdout.split() == ["Key", "Value", "a", "1", "b", "1"]
    assert limited.stderr == "The first 2 keys; there are more.\n"
    assert run("store", "list", "--limit", "3").stderr == ""
    assert document(run("store", "list", "--limit", "2", "--json"))["has_more"] is True


def test_an_empty_list_says_so_beside_the_data(run: Run) -> None:
    run("store", "put", "a", "1")
    found = run("store", "list", "b")

    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "No keys found.\n")


def test_a_write_to_a_node_that_keeps_nothing_is_refused(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text("enable_wal = false\n")
    refused = run("store", "put", "a", "1")

    assert refused.exit_code == 1
    assert "keeps nothing on disk" in refused.stderr

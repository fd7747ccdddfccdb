"""Files go in as groups that are whole or absent, and come out equal."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Value
from softadastra.cli import transfer

from .tool import Run, document

VALUES: dict[str, Value] = {
    "bytes": b"\0\xff",
    "datetime": datetime(1950, 1, 1, 12, 30, 0, 250_000, tzinfo=UTC),
    "dict": {"$bytes": "of the user"},
    "infinite": -math.inf,
    "nested": [1, 2**63, [b"x", {"deep": None}], 0.1, True],
    "text": "é\n\u2028",
}


def stored() -> dict[str, object]:
    with Client(ClientOptions()) as node:
        return dict(node)


def test_what_is_exported_is_imported_equal(run: Run, directory: Path) -> None:
    with Client(ClientOptions()) as node:
        node.update(VALUES)
    (directory / "out.jsonl").write_bytes(run("store", "export").stdout_bytes)
    imported = run("store", "import", "out.jsonl", "--wal", "other.wal")

    assert imported.stdout == "Imported 6 rows.\n"
    with Client(ClientOptions.persistent("node-1", "other.wal")) as node:
        assert dict(node) == VALUES


def test_export_prints_json_lines_of_a_prefix_or_one_document(run: Run) -> None:
    for key in ("a/1", "a/2", "b/1"):
        run("store", "put", key, key)

    assert [json.loads(line) for line in run("store", "export", "a/").stdout.splitlines()] == [
        {"key": "a/1", "value": "a/1"},
        {"key": "a/2", "value": "a/2"},
    ]
    assert document(run("store", "export", "b/", "--json")) == {
        "entries": [{"key": "b/1", "value": "b/1"}]
    }


def test_standard_input_is_imported(run: Run) -> None:
    imported = run("store", "import", "-", "--json", input=b'{"key": "a", "value": 1}\n["b", 2]')

    assert document(imported) == {"imported": 2}
    assert stored() == {"a": 1, "b": 2}


def test_csv_is_known_by_its_name_or_said(run: Run, directory: Path) -> None:
    (directory / "stock.CSV").write_text("id,name,count\n7,nut,12\n")
    by_name = run("store", "import", "stock.CSV", "--key-column", "id")
    said = run("store", "import", "-", "--format", "csv", input=b"key,value\na,1\n")

    assert (by_name.exit_code, said.exit_code) == (0, 0)
    assert stored() == {"7": {"name": "nut", "count": "12"}, "a": "1"}


def test_a_chosen_value_column_is_the_value(run: Run) -> None:
    run(
        *("store", "import", "-", "--format", "csv", "--key-column", "id"),
        *("--value-column", "name"),
        input=b"id,name,count\n7,nut,12\n",
    )

    assert stored() == {"7": "nut"}


def test_one_row_is_a_row(run: Run) -> None:
    assert run("store", "import", "-", input=b'["a", 1]\n').stdout == "Imported 1 row.\n"


@pytest.fixture
def groups_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "GROUP_ROWS_MAX", 2)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("not json", "not JSON"),
        ('{"key": "", "value": 1}', "key"),
        ('{"key": "f", "value": {"$bytes": "!"}}', "not base64"),
        (json.dumps(["f", "x" * 1_100_000]), "bytes"),
        (json.dumps(["k" * 1025, 1]), "1024"),
        ('["f", [[[[[[[[[[1]]]]]]]]]]]', "nest"),
    ],
)
def test_a_bad_row_keeps_nothing_of_its_group_and_all_before(
    run: Run, groups_of_two: None, bad: str, reason: str
) -> None:
    rows = [*(json.dumps([key, 1]) for key in "abcde"), bad, '["never", 1]']
    refused = run("store", "import", "-", input="\n".join(rows).encode())
    first, second = refused.stderr.splitlines()

    assert refused.exit_code == 1
    assert first.startswith("error: line 6: ")
    assert reason in first
    assert second == "Imported 4 rows; nothing after them was kept."
    assert stored() == dict.fromkeys("abcd", 1)


def test_a_bad_row_is_an_error_for_programs_too(run: Run, groups_of_two: None) -> None:
    refused = run("store", "import", "-", "--json", input=b'["a", 1]\n["b", 1]\n["c"]\n')
    error = document(refused)["error"]

    assert error["code"] == "invalid_argument"
    assert error["context"] == {"line": 3, "imported": 2}


def test_large_rows_make_small_groups(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "GROUP_BYTES_MAX", 20)
    content = b'["a", "0123456789"]\n["b", 1]\n["c", 1]\n["d"]\n'
    refused = run("store", "import", "-", input=content)

    assert refused.exit_code == 1
    assert stored() == {"a": "0123456789"}


def test_an_import_that_is_repeated_changes_nothing(run: Run) -> None:
    for _ in range(2):
        run("store", "import", "-", input=b'["a", 1]\n["b", 2]\n')

    assert document(run("sync", "status", "--json"))["sync"]["last_submitted_version"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing file argument."),
        (("missing.jsonl",), "Cannot read 'missing.jsonl': No such file or directory."),
        (
            ("-", "--key-column", "id"),
            "--key-column and --value-column are for CSV: add --format csv.",
        ),
    ],
)
def test_a_wrong_import_exits_with_2_and_makes_nothing(
    run: Run, directory: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("store", "import", *arguments)

    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[0] == message
    assert list(directory.iterdir()) == []

"""JSON Lines and CSV are read row by row, and a bad row is named by its line."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import pytest

from softadastra.cli import rows
from softadastra.cli.rows import BadRowError, Row, read_csv, read_json_lines
from softadastra.types import Value


def pairs(found: Iterable[Row]) -> list[tuple[str, Value]]:
    return [(row.key, row.value) for row in found]


def test_json_lines_take_objects_and_pairs_and_skip_blank_lines() -> None:
    stream = BytesIO(b'{"key": "a", "value": 1}\n\n["b", {"$bytes": "AA=="}]\n')

    assert pairs(read_json_lines(stream)) == [("a", 1), ("b", b"\0")]


def test_a_byte_order_mark_is_no_part_of_the_first_row() -> None:
    assert pairs(read_json_lines(BytesIO(b'\xef\xbb\xbf["a", 1]'))) == [("a", 1)]
    assert pairs(read_csv(BytesIO(b"\xef\xbb\xbfkey,value\na,1\n"))) == [("a", "1")]


def test_rows_know_their_line_and_the_bytes_that_they_take() -> None:
    content = b'\n["a", 1]\n["b", "\xc3\xa9"]\n'
    found = list(read_json_lines(BytesIO(content)))

    assert [row.line for row in found] == [2, 3]
    assert sum(row.size_bytes for row in found) == len(content)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"not json", r"line 2: not JSON at character 1: .*, or CSV with --format csv"),
        (b'{"key": "a"}', "expected"),
        (b'{"key": "a", "vlaue": 1}', "expected"),
        (b'{"key": "a", "value": 1, "color": "red"}', "nothing else"),
        (b'{"key": 1, "value": 1}', "expected"),
        (b'["a"]', "expected"),
        (b'["a", 1, 2]', "expected"),
        (b'"a"', "expected"),
        (b'["a", NaN]', "NaN is no number that JSON"),
        (b'["a", "\xff"]', "not UTF-8 at its byte 8"),
    ],
)
def test_a_bad_json_line_is_named_with_what_was_expected(line: bytes, problem: str) -> None:
    found = read_json_lines(BytesIO(b'["good", 1]\n' + line + b'\n["never read", 2]\n'))

    assert next(found).key == "good"
    with pytest.raises(BadRowError, match=problem) as caught:
        next(found)
    assert caught.value.context["line"] == 2
    assert caught.value.message.startswith("line 2: ")


def test_an_endless_line_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "LINE_BYTES_MAX", 100)

    class Endless(BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            assert size == 101
            return b"x" * size

    with pytest.raises(BadRowError, match="line 1: longer than 100 bytes"):
        list(read_json_lines(Endless()))


def test_csv_takes_key_and_value_columns_in_any_order() -> None:
    assert pairs(read_csv(BytesIO(b"value,key\n1,a\n2,b\n"))) == [("a", "1"), ("b", "2")]


def test_csv_with_further_columns_makes_dicts() -> None:
    found = read_csv(BytesIO(b"id,name,price\n7,nut,0.10\n"), key_column="id")

    assert pairs(found) == [("7", {"name": "nut", "price": "0.10"})]


def test_csv_with_a_chosen_value_column_leaves_the_others_out() -> None:
    found = read_csv(BytesIO(b"id,name,price\n7,nut,0.10\n"), key_column="id", value_column="name")

    assert pairs(found) == [("7", "nut")]


def test_one_csv_column_can_be_key_and_value_of_nothing_else() -> None:
    with pytest.raises(BadRowError, match="only one column"):
        list(read_csv(BytesIO(b"key\na\n")))


def test_a_quoted_csv_field_spans_lines() -> None:
    found = list(read_csv(BytesIO(b'key,value\r\na,"one\r\ntwo, ""three"""\r\nb,2\r\n')))

    assert pairs(found) == [("a", 'one\r\ntwo, "three"'), ("b", "2")]
    assert [row.line for row in found] == [3, 4]


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"", 1, "no column 'key' in the header: found nothing"),
        (b"id,name\n1,a\n", 1, "no column 'key' in the header: found id, name"),
        (b"key,value,value\na,1,2\n", 1, "two columns are named 'value'"),
        (b"key,value\na,1\nb\n", 3, "1 field: expected 2"),
        (b"key,value\na,1\nb,2,3\n", 3, "3 fields: expected 2"),
        (b'key,value\na,"1\n', 2, "not CSV"),
        (b"key,value\na,\xff\n", 2, "not UTF-8"),
    ],
)
def test_bad_csv_is_named_by_line_with_what_was_expected(
    content: bytes, line: int, problem: str
) -> None:
    with pytest.raises(BadRowError, match=problem) as caught:
        list(read_csv(BytesIO(content)))
    assert caught.value.context["line"] == line


def test_one_column_can_be_the_key_and_the_value() -> None:
    found = read_csv(BytesIO(b"id,name\n7,nut\n"), key_column="id", value_column="id")

    assert pairs(found) == [("7", "7")]


def test_the_missing_value_column_is_named() -> None:
    with pytest.raises(BadRowError, match="no column 'price'"):
        list(read_csv(BytesIO(b"key,value\na,1\n"), value_column="price"))

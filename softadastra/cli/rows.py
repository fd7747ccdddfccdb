"""Read keys and values from JSON Lines and CSV, one row at a time, with bounded memory.

A row that cannot be read ends the reading with its line number and what was expected. Text is
UTF-8, with or without a byte order mark.

JSON Lines: `{"key": ..., "value": ...}` or `[key, value]` on each line; blank lines are
skipped; bytes and datetimes are written as `tagged_json` says.

CSV: a header, then rows of as many fields. The key column is named "key" unless another is
chosen. The value is the chosen value column as text; without a choice it is the column
"value" when that is the only other one, else a dict of all the other columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from softadastra.cli.output import as_count
from softadastra.errors import InvalidArgumentError
from softadastra.tagged_json import JsonSyntaxError, parse_json
from softadastra.types import Value

__all__ = ["LINE_BYTES_MAX", "BadRowError", "Row", "read_csv", "read_json_lines"]

LINE_BYTES_MAX = 16 * 1024 * 1024
"""A value of 1 MiB takes up to 6 MiB as JSON, when each byte is escaped as \\u0000; the rest is
room for larger `max_value_bytes`. A file without line ends must not fill the memory."""


ROW_EXPECTED = 'expected {"key": "...", "value": ...} or ["key", value]'
"""What a JSON line holds, in words."""


class BadRowError(InvalidArgumentError):
    """A row of an imported file cannot be stored; `.context` has its `line`, from 1."""

    def __init__(self, line: int, problem: str, **context: object) -> None:
        super().__init__(f"line {line}: {problem}", line=line, **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A key and a value to store, and where in the file they stand."""

    line: int
    """The row's last line, from 1."""
    size_bytes: int
    """What the row takes in the file."""
    key: str
    value: Value


def read_json_lines(stream: BinaryIO) -> Iterator[Row]:
    """Read `{"key": ..., "value": ...}` or `[key, value]` from each line.

    Raises:
        BadRowError: a line is neither; raised when the iteration reaches it.
    """
    lines = _Lines(stream)
    for line in lines:
        if not line.strip():
            continue
        try:
            key, value = _key_and_value(parse_json(line))
        except JsonSyntaxError as error:
            raise BadRowError(
                lines.number, f"{error.message}; {ROW_EXPECTED}, or CSV with --format csv"
            ) from error
        except InvalidArgumentError as error:
            raise BadRowError(lines.number, error.message) from error
        yield Row(line=lines.number, size_bytes=lines.take_size_bytes(), key=key, value=value)


def read_csv(
    stream: BinaryIO, *, key_column: str = "key", value_column: str | None = None
) -> Iterator[Row]:
    """Read the rows below a header; a quoted field may span lines.

    Args:
        stream: the file, open for reading bytes; the caller closes it.
        key_column: the header of the column that holds the keys.
        value_column: the header of the column that holds the values; None: see the module.

    Raises:
        BadRowError: the header lacks a chosen column or names one twice, a row has more or fewer
            fields than the header, or is no CSV; raised when the iteration reaches it.
    """
    lines = _Lines(stream)
    csv.field_size_limit(LINE_BYTES_MAX)
    records = csv.reader(lines, strict=True)
    try:
        header = next(records, [])
        _check_header(header, key_column, value_column)
        for record in records:
            if not record:
                continue
            if len(record) != len(header):
                raise BadRowError(
                    lines.number,
                    f"{as_count(len(record), 'field')}: expected {len(header)}, as in the header",
                )
            fields = dict(zip(header, record, strict=True))
            yield Row(
                line=lines.number,
                size_bytes=lines.take_size_bytes(),
                key=fields[key_column],
                value=_csv_value(fields, key_column, value_column),
            )
    except csv.Error as error:
        raise BadRowError(max(lines.number, 1), f"not CSV: {error}") from error


class _Lines:
    """The lines of a stream as text; counts them, so that a bad one can be named."""

    __slots__ = ("_size_bytes", "_stream", "number")

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size_bytes = 0
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(LINE_BYTES_MAX + 1):
            self.number += 1
            self._size_bytes += len(line)
            if len(line) > LINE_BYTES_MAX:
                raise BadRowError(
                    self.number, f"longer than {LINE_BYTES_MAX:,} bytes: expected shorter lines"
                )
            try:
                yield line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise BadRowError(
                    self.number, f"not UTF-8 at its byte {error.start + 1}: expected UTF-8 text"
                ) from error

    def take_size_bytes(self) -> int:
        """Return the size of the lines read since the last call."""
        size_bytes, self._size_bytes = self._size_bytes, 0
        return size_bytes


def _key_and_value(row: Value) -> tuple[str, Value]:
    match row:
        case {"key": str(key), "value": value, **others} if not others:
            return key, value
        case [str(key), value]:
            return key, value
        case _:
            raise InvalidArgumentError(f"{ROW_EXPECTED} and nothing else")


def _check_header(header: list[str], key_column: str, value_column: str | None) -> None:
    for column in (key_column, value_column):
        if column is not None and column not in header:
            raise BadRowError(
                1,
                f"no column {column!r} in the header: found {', '.join(header) or 'nothing'};"
                " choose columns with --key-column and --value-column",
            )
    for column in header:
        if header.count(column) > 1:
            raise BadRowError(1, f"two columns are named {column!r}: expected different names")
    if len(header) < 2 and value_column is None:
        raise BadRowError(1, "only one column in the header: expected a key and a value")


def _csv_value(fields: Mapping[str, str], key_column: str, value_column: str | None) -> Value:
    if value_column is not None:
        return fields[value_column]
    others: dict[str, Value] = {name: text for name, text in fields.items() if name != key_column}
    return others["value"] if others.keys() == {"value"} else others

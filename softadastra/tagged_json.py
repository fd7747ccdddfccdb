"""Write the values of a store as JSON and read them back equal.

JSON has no bytes, no datetimes and no infinite numbers. They are objects of one field:

    {"$bytes": "aGVsbG8="}                          base64, RFC 4648 section 4
    {"$datetime": "2026-11-23T07:40:00+00:00"}      ISO 8601 with an offset
    {"$float": "nan"}                               "nan", "inf" or "-inf"
    {"$dict": {"$bytes": "a dict of the user"}}     a dict that would read as one of these four

An object with any other field, or with more than one, is the user's own dict.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from softadastra.errors import InvalidArgumentError
from softadastra.types import Value

__all__ = ["Json", "JsonSyntaxError", "from_json", "parse_json", "to_json"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""What the standard library's json module reads and writes."""


class JsonSyntaxError(InvalidArgumentError):
    """The text is not JSON."""


_TAGS = frozenset({"$bytes", "$datetime", "$float", "$dict"})
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value: Value) -> Json:
    """Replace what JSON lacks by its tagged form."""
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case datetime():
            return {"$datetime": value.isoformat()}
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case list():
            return [to_json(item) for item in value]
        case dict():
            fields = {name: to_json(item) for name, item in value.items()}
            return {"$dict": fields} if _is_tagged(fields) else fields
        case _:
            return value


def from_json(document: Json) -> Value:
    """Undo `to_json`.

    Raises:
        InvalidArgumentError: a tagged form does not hold what its tag says.
    """
    match document:
        case list():
            return [from_json(item) for item in document]
        case dict() if _is_tagged(document):
            ((tag, content),) = document.items()
            return _from_tagged(tag, content)
        case dict():
            return {name: from_json(item) for name, item in document.items()}
        case _:
            return document


def parse_json(text: str) -> Value:
    """Read a value from JSON text.

    Raises:
        JsonSyntaxError: the text is not JSON.
        InvalidArgumentError: a number or a tagged form in it is wrong.
    """
    try:
        return from_json(_loads(text))
    except RecursionError:
        raise InvalidArgumentError("the JSON is nested too deeply") from None


def _loads(text: str) -> Json:
    try:
        document: Json = json.loads(text, parse_constant=_refuse_number, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise JsonSyntaxError(f"not JSON at {line}character {error.colno}: {error.msg}") from error
    except InvalidArgumentError:
        raise
    except ValueError as error:
        # Python limits the digits of an int, since reading many takes long.
        raise InvalidArgumentError(
            "an int of the JSON has thousands of digits: an int is from -2**63 to 2**64 - 1"
        ) from error
    return document


def _is_tagged(fields: Mapping[str, object]) -> bool:
    return len(fields) == 1 and not _TAGS.isdisjoint(fields)


def _from_tagged(tag: str, content: Json) -> Value:
    match tag, content:
        case "$dict", dict():
            return {name: from_json(item) for name, item in content.items()}
        case "$float", str() if content in _FLOATS:
            return _FLOATS[content]
        case "$bytes", str():
            try:
                return base64.b64decode(content, validate=True)
            except ValueError as error:
                raise InvalidArgumentError(f"$bytes is not base64: {error}") from error
        case "$datetime", str():
            return _parse_datetime(content)
        case _:
            raise InvalidArgumentError(
                f"cannot read {json.dumps({tag: content})[:80]}: expected base64 text in $bytes,"
                ' ISO 8601 text in $datetime, "nan", "inf" or "-inf" in $float, an object in $dict'
            )


def _parse_datetime(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgumentError(f"$datetime is not ISO 8601: {error}") from error
    if instant.tzinfo is None:
        raise InvalidArgumentError(
            f"$datetime {text!r} has no offset: expected one, as 2026-11-23T07:40:00+00:00"
        )
    return instant


def _parse_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> float:
    raise InvalidArgumentError(
        f'{text[:40]} is no number that JSON and a float can hold; write {{"$float": "nan"}}, "inf"'
        ' or "-inf"'
    )

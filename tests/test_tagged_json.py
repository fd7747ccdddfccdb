"""Values survive the way through JSON, and wrong tagged forms are refused."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError
from softadastra.tagged_json import parse_json, to_json
from softadastra.types import Value

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=OFFSETS)
)
NAMES = st.text() | st.sampled_from(["$bytes", "$datetime", "$float", "$dict"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_is_read_back_equal_and_of_its_type(value: Value) -> None:
    text = json.dumps(to_json(value), allow_nan=False)

    assert repr(parse_json(text)) == repr(json_stable(value))


def json_stable(value: Value) -> Value:
    """Replace datetime offsets by the ones that ISO 8601 keeps, for a comparison by repr."""
    match value:
        case datetime():
            return datetime.fromisoformat(value.isoformat())
        case list():
            return [json_stable(item) for item in value]
        case dict():
            return {name: json_stable(item) for name, item in value.items()}
        case _:
            return value


def test_not_a_number_survives() -> None:
    assert str(parse_json(json.dumps(to_json(math.nan)))) == "nan"


def test_the_documented_forms_are_what_is_written() -> None:
    assert to_json(b"hello") == {"$bytes": "aGVsbG8="}
    assert to_json(datetime(2026, 11, 23, 7, 40, tzinfo=UTC)) == {
        "$datetime": "2026-11-23T07:40:00+00:00"
    }
    assert to_json(-math.inf) == {"$float": "-inf"}
    assert to_json({"$bytes": "a dict of the user"}) == {"$dict": {"$bytes": "a dict of the user"}}


def test_an_object_with_more_than_the_tag_is_the_users_own() -> None:
    assert parse_json('{"$bytes": "aGVsbG8=", "size": 5}') == {"$bytes": "aGVsbG8=", "size": 5}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"$bytes": "a"}', "not base64"),
        ('{"$bytes": "a b c d"}', "not base64"),
        ('{"$bytes": 5}', "expected base64 text"),
        ('{"$datetime": "yesterday"}', "not ISO 8601"),
        ('{"$datetime": "2026-11-23T07:40:00"}', "no offset"),
        ('{"$float": "1.5"}', "expected"),
        ('{"$dict": []}', "expected"),
        ("NaN", "NaN is no number that JSON and a float can hold"),
        ("[1e999]", "1e999 is no number that JSON and a float can hold"),
        ("9" * 5_000, "an int is from"),
        ('{"a": }', "not JSON at character 7: Expecting value"),
        ('{"a":\n1,}', "not JSON at line 2, character "),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_wrong_form_is_refused_with_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        parse_json(text)

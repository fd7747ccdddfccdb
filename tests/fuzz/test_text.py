"""Text of people and files: addresses, settings, JSON, rows; each is read, or refused by name."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from softadastra import ClientOptions
from softadastra.cli.rows import BadRowError, Row, read_csv, read_json_lines
from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.packing import pack_value
from softadastra.tagged_json import Json, parse_json, to_json
from softadastra.types import Peer
from tests.fuzz.shapes import mangled

FIELDS = sorted(ClientOptions().to_dict())
VALUE_BYTES_MAX = 1 << 20

texts = st.text(max_size=12)
words = texts | st.sampled_from(
    ["true", "0", "-1", "1e999", "nan", "9" * 5_000, "a@b:1", "a=manual", "=", "@:", "\0", "\ud800"]
)


@given(texts | st.from_regex(r"[^@]{0,3}@?.{0,5}:?[0-9]{0,6}", fullmatch=True))
@example("a@b:٤٢")
@example("a@[::1]:4041")
@example("a@b@c:1")
def test_a_peer_is_read_and_printed_back_or_refused(text):
    try:
        peer = Peer.parse(text)
    except InvalidArgumentError:
        return
    assert Peer.parse(str(peer)) == peer


def loaded(path: Path | None, environ: dict[str, str]) -> None:
    """Settings are read and checked as a whole, or refused; what is accepted is read back equal."""
    try:
        options = ClientOptions.load(path, environ=environ)
        options.validate()
    except (InvalidArgumentError, StorageError):
        return
    assert ClientOptions(**options.to_dict()) == options


@given(
    st.dictionaries(
        st.sampled_from(FIELDS).map(str.upper) | texts,
        words,
        max_size=3,
    )
)
def test_variables_of_any_content_are_settings_or_refused(fields):
    loaded(None, {f"SOFTADASTRA_{name}": value for name, value in fields.items()})


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


def as_toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(as_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(k)} = {as_toml(v)}' for k, v in value.items())}}}"
        case _:
            return str(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), toml_values, max_size=3))
def test_a_file_of_any_settings_is_read_or_refused(tmp_path, fields):
    path = tmp_path / "softadastra.toml"
    lines = [f"{json.dumps(name)} = {as_toml(value)}" for name, value in fields.items()]
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")

    loaded(path, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=60) | mangled(st.just(b'node_id = "a"\npeers = ["b@c:1"]\n')))
@example(b"a = " + b"[" * 3_000)
@example(b"sync_window = " + b"9" * 5_000)
def test_a_file_of_any_bytes_is_read_or_refused(tmp_path, content):
    path = tmp_path / "softadastra.toml"
    path.write_bytes(content)

    loaded(path, {})


documents: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$bytes", "$datetime", "$float", "$dict", "key", "value", "a"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)
json_texts = documents.map(json.dumps)


def stored_or_refused(value: Any) -> bool:
    """Whether a value that was read can be stored; if not, it is refused as any other is."""
    try:
        pack_value(value, max_bytes=VALUE_BYTES_MAX)
    except InvalidArgumentError:
        return False
    return True


@given(texts | json_texts | mangled(json_texts.map(str.encode)).map(lambda b: b.decode("latin-1")))
@example('"\\ud800"')
@example("9" * 5_000)
@example("-1e999")
@example('{"$datetime": "0001-01-01T00:00:00+23:59"}')
@example('{"$datetime": "2026-11-23T07:40:00.123456789Z"}')
@example('{"$bytes": "é"}')
@example('{"$dict": ' * 3_000)
@example("[" * 600 + "]" * 600)
@example('{"a":' * 600 + "1" + "}" * 600)
@example('{"$dict":{"$bytes":' * 400 + "1" + "}}" * 400)
def test_json_of_any_form_is_a_value_or_refused(text):
    try:
        value = parse_json(text)
    except InvalidArgumentError:
        return
    if stored_or_refused(value):
        again = parse_json(json.dumps(to_json(value), allow_nan=False))
        assert repr(again) == repr(value)


def rows_or_refused(rows: Any) -> None:
    """Rows are read up to one that is refused with its line."""
    try:
        for row in rows:
            assert isinstance(row, Row)
            stored_or_refused(row.value)
    except BadRowError as error:
        line, words = error.context["line"], error.message
        assert isinstance(line, int)
        assert line >= 1
        assert words.startswith(f"line {line}: ")


lines = st.lists(json_texts | texts, max_size=4).map(
    lambda parts: "\n".join(parts).encode(errors="surrogatepass")
)


@given(st.binary(max_size=60) | lines | mangled(lines))
@example(b"9" * 5_000)
@example(b'["a", ' + b"[" * 3_000)
@example(b"\xef\xbb\xbf")
def test_lines_of_any_bytes_are_rows_or_refused(content):
    rows_or_refused(read_json_lines(BytesIO(content)))


table = st.lists(st.lists(texts, max_size=3).map(",".join), max_size=4).map(
    lambda parts: "\n".join(["key,value", *parts]).encode(errors="surrogatepass")
)


@given(st.binary(max_size=60) | table | mangled(table), st.sampled_from([None, "value", ""]))
@example(b"key,value\na,\0\n", None)
@example(b'key,"value\n', None)
@example(b"key,value\ra,1\r", None)
def test_tables_of_any_bytes_are_rows_or_refused(content, value_column):
    rows_or_refused(read_csv(BytesIO(content), value_column=value_column))

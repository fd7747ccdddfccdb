"""Lines of logs: events, what others wrote, and what is cut off."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError
from softadastra.tracing.lines import Event, Line, parse_line
from softadastra.tracing.logs import LogFile, Logs
from softadastra.tracing.sync_ids import SyncId, covers, parse_span, parse_sync_id

EVENT = {"event": "peer.lost", "level": "info", "node_id": "a", "ts": 5, "peer": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node-a-17", SyncId("node-a", 17)),
        ("a-b-c-1", SyncId("a-b-c", 1)),
        ("é 1..2-3", SyncId("é 1..2", 3)),
    ],
)
def test_a_sync_id_is_a_node_and_a_number(text: str, expected: SyncId) -> None:
    assert parse_sync_id(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("text", ["", "17", "node-a", "-1", "node-a-", "node-a-1..3", "a-1x"])
def test_what_is_no_sync_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="expected the node's id, a hyphen and a number"):
        parse_sync_id(text)


@pytest.mark.parametrize(
    ("named", "is_covered"),
    [
        ("a-7", True),
        (["a-1", "a-5..9"], True),
        (["a-1..6", "a-8..9", "b-7"], False),
        ("aa-7", False),
        (["a-77"], False),
        (7, False),
        ([None, {"a-7": 1}], False),
    ],
)
def test_a_field_covers_a_write_by_its_number_or_a_range(named: object, is_covered: bool) -> None:
    assert covers(named, SyncId("a", 7)) is is_covered


@given(st.text())
def test_any_text_is_a_span_or_none(text: str) -> None:
    span = parse_span(text)

    assert span is None or text.startswith(span.node_id)


def test_an_event_is_read_with_its_fields() -> None:
    event = parse_line(json.dumps(EVENT) + "\n")

    assert isinstance(event, Event)
    assert (event.name, event.level, event.node_id, event.ts) == ("peer.lost", "info", "a", 5)
    assert event.fields == {"peer": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "Traceback (most recent call last):\n",
        '{"msg": "of another program"}\n',
        json.dumps(EVENT | {"ts": "noon"}) + "\n",
        json.dumps(EVENT | {"ts": 1 << 60}) + "\n",
        json.dumps(EVENT | {"node_id": 7}) + "\n",
        json.dumps(EVENT | {"level": "loud"}) + "\n",
        "[" * 100_000 + "\n",
        "{" * 100_000 + "\n",
        '{"a":' * 100_000 + "\n",
        "null\n",
        "\n",
    ],
    ids=lambda text: text[:24],
)
def test_whatever_else_stands_in_a_log_is_no_event(text: str) -> None:
    assert parse_line(text) == Line(is_cut=False)


@given(st.integers(1, 60))
def test_a_line_that_is_cut_off_at_the_end_of_a_file_is_told_as_such(length: int) -> None:
    assert parse_line(json.dumps(EVENT)[:length]) == Line(is_cut=True)


def test_a_file_says_what_was_found_in_it() -> None:
    logs = Logs(SyncId("a", 1))
    accepted = {"event": "write.accepted", "level": "debug", "node_id": "a", "ts": 5}
    lines = [json.dumps(accepted | {"sync_id": f"a-{n}", "key": "k"}) + "\n" for n in (3, 9)]
    logs.read("a.log", [*lines, "noise\n", "\n", '{"event":"wri'])

    assert logs.files == [LogFile(name="a.log", events=2, foreign=1, is_cut=True)]
    assert logs.writes["a"][1:] == (3, 9)
    assert logs.debugs == {"a"}


def test_what_two_files_have_counts_once_and_what_one_has_twice_counts_twice() -> None:
    line = json.dumps(EVENT | {"event": "batch.retried", "batch": 1, "connection": "c"}) + "\n"
    logs = Logs(SyncId("a", 1))
    logs.read("all.log", [line, line])
    logs.read("a.log", [line, line])

    assert len(logs.points()["a"]) == 2


def test_the_lines_of_several_nodes_in_one_file_are_told_apart() -> None:
    lines = [json.dumps(EVENT | {"node_id": name}) + "\n" for name in "abab"]
    random.Random(1).shuffle(lines)
    logs = Logs(SyncId("a", 1))
    logs.read("all.log", lines)

    assert {name: len(points) for name, points in logs.points().items()} == {"a": 2, "b": 2}

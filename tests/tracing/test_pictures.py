"""A journey is drawn for narrow and wide terminals, as Mermaid, and as a page that stands alone."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.tracing.document import document
from softadastra.tracing.journey import Journey, Stage
from softadastra.tracing.logs import LogFile
from softadastra.tracing.mermaid import escaped, mermaid
from softadastra.tracing.page import page
from softadastra.tracing.text import ASCII, UNICODE, cells, diagram, wrapped
from softadastra.tracing.words import summary
from tests.engines import Network
from tests.tracing.logged import Recorder, journey

NASTY = 'k<script>alert("x")</script>;#\n\x1b[2J-->>end'


@cache
def relayed(nodes: int = 3, key: str = "greeting") -> Journey:
    names = [f"node-{chr(ord('a') + i)}" for i in range(nodes)]
    network = Network(*names)
    for first, second in pairwise(names):
        network.join(first, second)
    recorder = Recorder(network)
    recorder.run()
    sync_id = recorder.write("node-a", key, "a secret value")
    recorder.run()
    return journey(recorder.lines, sync_id)


WIDE = """\
node-a
│   node-b
│   │   node-c
●   │   │      +0 ms  accepted, durable
├──▶│   │      +0 ms  batch 1 to node-b
│   ●   │      +0 ms  merged batch 1 from node-a
│◀╌╌┤   │      +0 ms  node-b acknowledged batch 1
│   ├──▶│      +0 ms  batch 1 to node-c
│   │   ●      +0 ms  merged batch 1 from node-b
│   │◀╌╌┤      +0 ms  node-c acknowledged batch 1
"""
NARROW = """\
node-a
|   node-b
|   |   node-c
*   |   |  accepted, durable
+-->|   |  batch 1 to node-b
|   *   |  merged batch 1 from node-a
|<..+   |  node-b acknowledged batch 1
|   +-->|  batch 1 to node-c
|   |   *  merged batch 1 from node-b
|   |<..+  node-c acknowledged batch 1
"""


def test_a_terminal_of_80_columns_gets_lifelines_times_and_words() -> None:
    rows = diagram(relayed(), width=80)

    assert "".join(f"{row.text}\n" for row in rows) == WIDE


def test_one_of_40_columns_gets_the_same_without_times_in_ascii_where_it_must_be() -> None:
    rows = diagram(relayed(), width=40, signs=ASCII)

    assert "".join(f"{row.text}\n" for row in rows) == NARROW


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("nodes", [2, 5, 9, 16])
def test_no_line_is_wider_than_its_terminal_and_nothing_is_cut(width: int, nodes: int) -> None:
    rows = diagram(relayed(nodes), width=width)

    assert max(cells(row.text) for row in rows) <= width
    words = " ".join(row.words.strip() for row in rows)
    assert f"merged batch 1 from node-{chr(ord('a') + nodes - 2)}" in words


def test_too_many_nodes_for_lifelines_are_named_in_each_row() -> None:
    rows = diagram(relayed(16), width=40)

    assert rows[0].text == "node-a: accepted, durable"
    assert not any(sign in row.text for row in rows for sign in UNICODE if sign != "-")


def test_an_arrow_crosses_the_lifelines_between_its_ends() -> None:
    network = Network("a", "b", "c")
    recorder = Recorder(network)
    network.join("a", "b")
    network.join("a", "c")
    recorder.run()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()

    texts = [row.text for row in diagram(journey(recorder.lines, sync_id), width=80)]

    assert sum(text.startswith("├───┼──▶│") for text in texts) == 1
    assert sum(text.startswith("│◀╌╌┼╌╌╌┤") for text in texts) == 1


def test_a_batch_that_did_not_arrive_ends_in_a_cross() -> None:
    network = Network("a", "b")
    recorder = Recorder(network)
    sync_id = recorder.write("a", "k", "v")
    network.join("a", "b")
    recorder.run()
    lines = {
        name: [line for line in log if "batch." not in line or '"node_id": "a"' in line]
        for name, log in recorder.lines.items()
    }
    lines["a"] = [line for line in lines["a"] if "acknowledged" not in line]

    found = journey(lines, sync_id)

    assert "├──✗│" in "".join(row.text for row in diagram(found, width=80))
    assert "n1-xn2: batch 1 to b, not seen to arrive" in mermaid(found).replace("#44;", ",")
    assert 'class="lost"' in page(found)


@given(st.text(), st.integers(10, 60))
def test_wrapped_words_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)

    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


PARTICIPANT = re.compile(r"    participant n\d+ as [^#;\n:]+(?:#\d+;[^#;\n:]*)*")
NOTE = re.compile(r"    Note over n\d+: (?:[^#;\n:]|#\d+;)+")
ARROW = re.compile(r"    n\d+(?:->>|-->>|-x)n\d+: (?:[^#;\n:]|#\d+;)+")


@pytest.mark.parametrize("key", ["greeting", NASTY])
def test_mermaid_has_the_syntax_of_a_sequence_diagram(key: str) -> None:
    first, *lines = mermaid(relayed(3, key)).splitlines()

    assert first == "sequenceDiagram"
    assert all(any(p.fullmatch(line) for p in (PARTICIPANT, NOTE, ARROW)) for line in lines)
    declared = {line.split()[1] for line in lines if PARTICIPANT.fullmatch(line)}
    assert declared == {"n1", "n2", "n3"}
    assert set(re.findall(r"n\d+(?=[-:])|(?<=[>x])n\d+", "\n".join(lines))) <= declared


@given(st.text())
def test_what_mermaid_would_obey_is_written_as_a_code_and_can_be_read_back(text: str) -> None:
    code = escaped(text)

    assert not set(re.sub(r"#\d+;", "", code)) & set('#;:\n"<>{}[]`%&\\|')
    back = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), code)
    assert text.isprintable() is (back == text) or "\\" in back


class Tags(HTMLParser):
    """Reads a page, and checks that it is well-formed and loads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
        for name, value in attributes:
            assert name not in {"src", "href"}
            assert not name.startswith("on")
            assert "url(" not in (value or "")
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("key", ["greeting", NASTY])
def test_the_page_is_well_formed_stands_alone_and_obeys_no_key(key: str) -> None:
    text = page(relayed(3, key))
    tags = Tags()
    tags.feed(text)
    tags.close()

    assert tags.open == []
    assert not re.search(r"url\(|@import|https?:", text)
    for part in ("default-src 'none'", "prefers-color-scheme: dark", 'name="viewport"'):
        assert part in text
    assert "merged batch 1 from node-b" in tags.text
    assert ("\\x1b[2J" in tags.text) is (key == NASTY)


def test_a_telephone_has_room_for_the_words_beside_many_lifelines() -> None:
    widths = [int(w) for w in re.findall(r"--lanes:(\d+)px", page(relayed(16)) + page(relayed(3)))]

    assert widths[0] <= 360 * 0.75
    assert widths[1] == 70


def test_no_picture_has_a_value_because_no_log_has() -> None:
    found = relayed()
    pictures = [mermaid(found), page(found), json.dumps(document(found, [])), *summary(found)]

    assert not any("secret" in picture for picture in pictures)


def test_the_summary_says_what_came_of_it() -> None:
    assert summary(relayed()) == [
        "accepted by node-a",
        "merged by node-b, node-c",
        "acknowledged by node-b, node-c",
    ]


def test_the_document_has_what_the_documents_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "debugging.md").read_text()
    _, of_all, of_step = re.split(r"\n\| (?:member|of a step) \|.*\n", text)
    found = document(relayed(), [LogFile(name="a.log", events=1, foreign=0, is_cut=False)])

    def named(table: str) -> set[str]:
        first = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)
        return {name for names in first for name in re.findall(r"\w+", names)}

    assert found.keys() == named(of_all)
    steps, nodes, logs = (
        cast(list[dict[str, object]], found[n]) for n in ("steps", "nodes", "logs")
    )
    assert steps[0].keys() == named(of_step)
    for part in (nodes[0], logs[0]):
        assert all(f"`{name}`" in of_all for name in part)
    assert all(f"`{stage}`" in of_step for stage in Stage)

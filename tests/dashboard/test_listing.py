"""Keys, values and conflicts are listed a page at a time, as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from softadastra import Client, Value
from softadastra.dashboard import listing
from softadastra.dashboard.documents import VALUE_CHARACTERS, kind_of, value_document
from softadastra.store.replica import Replica

from .browsing import Asker


def keys_of(asker: Asker, prefix: str = "") -> list[list[str]]:
    pages, after = [], ""
    while after is not None:
        path = f"/api/keys?prefix={quote(prefix, safe='')}"
        page = asker.get(path + (f"&after={quote(after, safe='')}" if after else "")).document
        pages.append([each["key"] for each in page["keys"]])
        after = page["next"]
    return pages


def test_keys_come_in_pages_and_each_comes_once(asker: Asker, node: Client) -> None:
    node.update({f"sale/{number:03}": number for number in range(120)} | {"other": 1})

    pages = keys_of(asker, "sale/")

    assert [len(page) for page in pages] == [50, 50, 20]
    assert [key for page in pages for key in page] == list(node.keys("sale/"))


@pytest.mark.parametrize("key", ["a&b=c", "<img onerror=x>", "ключ/1", "a b+c%20", "a\nb", "#"])
def test_a_key_of_any_letters_is_found_by_itself(asker: Asker, node: Client, key: str) -> None:
    node.put(key, "v")

    assert keys_of(asker, key) == [[key]]
    assert asker.get(f"/api/key?key={quote(key, safe='')}").document["entry"]["key"] == key


def test_removed_keys_are_left_out_and_end_a_page_early(
    asker: Asker, node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCANNED_PAGES_MAX", 1)
    node.update({f"k/{number:04}": number for number in range(1_100)})
    for number in range(1_099):
        node.remove(f"k/{number:04}")

    pages = keys_of(asker, "k/")

    assert [key for page in pages for key in page] == ["k/1099"]
    assert len(pages) >= 3


def test_removed_keys_take_no_room_on_a_page(asker: Asker, node: Client) -> None:
    node.update({f"k/{number:04}": number for number in range(300)})
    for number in range(200):
        node.remove(f"k/{number:04}")

    assert [len(page) for page in keys_of(asker, "k/")] == [50, 50]


def test_a_page_holds_the_lock_for_one_page_of_the_store(
    asker: Asker, node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan asks for 512 keys at a time, whatever there is."""
    node.update({f"k/{number:05}": number for number in range(5_000)})
    asked = []
    original = Replica.page

    def page(self: Replica, *, prefix: str, after: str | None, limit: int) -> list[str]:
        asked.append(limit)
        return original(self, prefix=prefix, after=after, limit=limit)

    monkeypatch.setattr(Replica, "page", page)

    assert len(asker.get("/api/keys").document["keys"]) == 50
    assert asked == [512]


def test_one_key_is_shown_with_where_it_came_from_and_where_it_is(
    asker: Asker, node: Client
) -> None:
    node.put("k", [1, 2])

    found = asker.get("/api/key?key=k").document

    assert found["entry"]["value"] == {"kind": "list", "text": "[1, 2]", "characters": 6}
    assert (found["entry"]["sync_id"], found["entry"]["version"]) == ("node-a-1", 1)
    assert found["sentences"][0].startswith("The key is here")


def test_an_absent_key_is_shown_as_such(asker: Asker) -> None:
    found = asker.get("/api/key?key=k").document

    assert found["entry"] is None
    assert "not here" in found["sentences"][0]


def test_what_is_no_key_or_peer_is_refused(asker: Asker) -> None:
    assert asker.get("/api/key?key=").reason == "invalid"
    assert asker.get(f"/api/key?key={'k' * 2_000}").reason == "invalid"
    assert asker.get("/api/peer?id=nobody").reason == "not_found"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("<b>", "text", "<b>"),
        (b"\x00\xff", "bytes", '{"$bytes": "AP8="}'),
        (2**63, "number", "9223372036854775808"),
        (float("inf"), "number", '{"$float": "inf"}'),
        (True, "boolean", "true"),
        (None, "null", "null"),
        ({"a": [1]}, "object", '{"a": [1]}'),
        (datetime(2026, 11, 26, tzinfo=UTC), "time", '{"$datetime": "2026-11-26T00:00:00+00:00"}'),
    ],
)
def test_every_value_is_shown_as_text(value: Value, kind: str, text: str) -> None:
    assert kind_of(value) == kind
    assert value_document(value, 100)["text"] == text


def test_a_long_value_is_cut_and_says_so(asker: Asker, node: Client) -> None:
    node.put("k", "x" * 100_000)

    (listed,) = asker.get("/api/keys").document["keys"]
    shown = asker.get("/api/key?key=k").document["entry"]

    assert (len(listed["value"]["text"]), listed["value"]["characters"]) == (240, 100_000)
    assert len(shown["value"]["text"]) == VALUE_CHARACTERS


def test_conflicts_are_listed_those_that_wait_and_those_that_are_settled(
    conflicting: Client,
) -> None:
    waiting: Any = listing.conflict_page(conflicting, is_open=True, after="")
    settled: Any = listing.conflict_page(conflicting, is_open=False, after="")

    assert [each["key"] for each in waiting["conflicts"]] == ["cart/1", "cart/2"]
    (price,) = settled["conflicts"]
    assert [each["value"]["text"] for each in price["values"]] == ["2", "1"]
    assert waiting["next"] is settled["next"] is None


def test_conflicts_come_in_pages(conflicting: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CONFLICTS_MAX", 1)

    first: Any = listing.conflict_page(conflicting, is_open=True, after="")
    second: Any = listing.conflict_page(conflicting, is_open=True, after="cart/1")

    assert (first["next"], second["next"]) == ("cart/1", None)
    assert [each["key"] for each in second["conflicts"]] == ["cart/2"]

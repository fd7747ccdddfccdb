"""A conflict is settled by what somebody has looked at, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from softadastra import Client, Conflict
from softadastra.dashboard import Dashboard
from softadastra.dashboard.listing import find_conflict

from .browsing import Answer, Asker

SETTLE = "/api/resolve"


@pytest.fixture
def asker(conflicting: Client) -> Iterator[Asker]:
    with Dashboard(conflicting, port=0) as dashboard:
        yield Asker(dashboard)


def settled(asker: Asker, key: str, **chosen: Any) -> Answer:
    conflicts = asker.get("/api/conflicts").document["conflicts"]
    (conflict,) = [each for each in conflicts if each["key"] == key]
    if "keep" in chosen:
        (chosen["keep"],) = [
            each["sync_id"] for each in conflict["values"] if each["origin"] == chosen["keep"]
        ]
    return asker.post(SETTLE, {"key": key, "seen": conflict["seen"], **chosen})


@pytest.mark.parametrize(("keep", "value"), [("node-a", "tea"), ("node-b", {"scones": 2})])
def test_either_value_is_kept(asker: Asker, conflicting: Client, keep: str, value: object) -> None:
    assert settled(asker, "cart/1", keep=keep).document["sync_id"].startswith("node-a-")

    assert conflicting["cart/1"] == value
    assert [each.key for each in conflicting.conflicts()] == ["cart/2", "price"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("text", "[1]", "[1]"), ("json", "[1]", [1]), ("json", '{"$bytes": "AP8="}', b"\x00\xff")],
)
def test_another_value_is_typed(
    asker: Asker, conflicting: Client, kind: str, text: str, value: object
) -> None:
    assert settled(asker, "cart/1", kind=kind, text=text).status == 200

    assert conflicting["cart/1"] == value


def test_a_remove_is_kept(asker: Asker, conflicting: Client) -> None:
    assert settled(asker, "cart/2", keep="node-a").document["sync_id"] is None

    assert "cart/2" not in conflicting
    assert [each.key for each in conflicting.conflicts()] == ["cart/1", "price"]


def test_a_write_that_lost_is_brought_back(asker: Asker, conflicting: Client) -> None:
    (price,) = asker.get("/api/conflicts?state=settled").document["conflicts"]
    lost = price["values"][1]["sync_id"]

    answer = asker.post(SETTLE, {"key": "price", "seen": price["seen"], "keep": lost})

    assert answer.status == 200
    assert conflicting["price"] == 1


@pytest.mark.parametrize("seen", [[], ["node-a-2"], ["node-a-2", "node-b-9", "node-c-1"]])
def test_what_was_not_looked_at_is_not_replaced(
    asker: Asker, conflicting: Client, seen: list[str]
) -> None:
    before = conflicting.conflicts()

    answer = asker.post(SETTLE, {"key": "cart/1", "seen": seen, "text": "x", "kind": "text"})

    assert (answer.status, answer.reason) == (409, "changed")
    assert conflicting.conflicts() == before


def test_a_remove_is_not_kept_when_there_is_a_value_that_was_not_looked_at(
    asker: Asker, conflicting: Client
) -> None:
    conflicts = asker.get("/api/conflicts").document["conflicts"]
    (removed,) = [each for each in conflicts[1]["values"] if each["value"] is None]
    choice = {"key": "cart/2", "seen": [removed["sync_id"]], "keep": removed["sync_id"]}

    assert asker.post(SETTLE, choice).reason == "changed"
    assert conflicting["cart/2"] == "new"


@pytest.mark.parametrize("keep", ["node-a", "node-b"])
def test_a_value_that_comes_between_the_look_and_the_write_is_not_replaced(
    asker: Asker, conflicting: Client, keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """node-a has removed cart/2, node-b has given it a value."""
    before = conflicting.conflicts()

    def earlier(client: Client, key: str) -> Conflict:
        found = find_conflict(client, key)
        return replace(found, values=tuple(v for v in found.values if v.origin == keep))

    monkeypatch.setattr("softadastra.dashboard.settling.find_conflict", earlier)
    (seen,) = earlier(conflicting, "cart/2").values
    choice = {"key": "cart/2", "seen": [seen.sync_id], "keep": seen.sync_id}

    assert asker.post(SETTLE, choice).reason == "changed"
    assert conflicting.conflicts() == before


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"kind": "json", "text": "{"}, "invalid"),
        ({"kind": "html", "text": "x"}, "invalid"),
        ({"text": "x"}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_what_is_no_choice_changes_nothing(
    asker: Asker, conflicting: Client, chosen: dict[str, str], reason: str
) -> None:
    before = conflicting.conflicts()

    assert settled(asker, "cart/1", **chosen).reason == reason
    assert conflicting.conflicts() == before


def test_a_key_without_a_conflict_is_told(asker: Asker) -> None:
    choice = {"key": "nothing", "seen": [], "text": "x", "kind": "text"}

    assert asker.post(SETTLE, choice).reason == "not_found"

"""Scans give what there is when its turn comes, cost what is taken, and hold up nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import pytest

from softadastra import Client, ClientOptions, Value, scans
from softadastra.scans import PAGE_KEYS
from softadastra.store.changes import OWN
from softadastra.store.keys import Parts, Unordered, in_order
from softadastra.store.siblings import KeyState
from softadastra.store.values import unpack_value


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (Client.keys, ["a", "b", "d"]),
        (Client.items, [("a", 1), ("b", 22), ("d", 4)]),
        (Client.values, [1, 22, 4]),
        (iter, ["a", "b", "d"]),
    ],
)
def test_a_scan_gives_each_key_as_it_is_when_its_turn_comes(
    view: Callable[[Client], Iterable[object]], expected: list[object]
) -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({"a": 1, "b": 2, "c": 3, "d": 4})
        scan = iter(view(node))
        found = [next(scan)]

        node["b"] = 22
        del node["c"]

        assert [*found, *scan] == expected


def test_what_is_not_taken_of_a_scan_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = []

    def noted(packed: bytes) -> Value:
        unpacked.append(packed)
        return unpack_value(packed)

    monkeypatch.setattr(scans, "unpack_value", noted)
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({f"k{number:03}": number for number in range(200)})

        assert list(islice(node.items("k"), 3)) == [("k000", 0), ("k001", 1), ("k002", 2)]
        assert len(list(node.keys())) == 200
        assert len(unpacked) == 3


def test_a_scan_gives_what_stands_of_a_key_with_a_context() -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({"k": 1, "other": 2})
        replica = node._opened().replica
        sibling = replica.sibling("k")
        assert sibling is not None
        replica.replace([("k", KeyState((sibling,), {OWN: 0}))])

        assert list(node.items()) == [("k", 1), ("other", 2)]
        assert list(node.keys()) == ["k", "other"]


def test_a_scan_ends_where_its_prefix_does() -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update(dict.fromkeys(("a", "b", "b/", "b/1", "b/2\U0010ffff", "b0", "c"), 0))

        assert list(node.keys("b/")) == ["b/", "b/1", "b/2\U0010ffff"]
        assert list(node.keys("b")) == ["b", "b/", "b/1", "b/2\U0010ffff", "b0"]
        assert list(node.keys("bb")) == []


def test_values_are_those_of_all_keys_in_the_order_of_the_keys() -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({"b": 1, "a": [2], "c": None})
        values = node.values()

        assert (list(values), len(values)) == ([[2], 1, None], 3)
        assert [2] in values
        assert None in values
        assert 3 not in values


def test_nobody_waits_for_the_order_of_a_first_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({"b": 1, "a": 2, "gone": 3})
        lock = node._opened().lock

        def meanwhile(unordered: Unordered) -> Parts:
            assert not lock.locked()
            node["c"] = 4
            del node["gone"]
            return in_order(unordered)

        monkeypatch.setattr(scans, "in_order", meanwhile)

        assert list(node.keys()) == ["a", "b", "c"]


def test_a_scan_catches_up_with_many_keys_a_page_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({f"{number:05}": 0 for number in range(0, 20_000, 2)})
        assert next(iter(node)) == "00000"
        node.update({f"{number:05}": 0 for number in range(1, 4 * PAGE_KEYS, 2)})
        ordered = node._opened().replica.ordered
        assert ordered.behind == 2 * PAGE_KEYS
        caught_up = []
        catch_up = type(ordered).catch_up

        def noted(self: object, keys: object, limit: int | None = None) -> None:
            caught_up.append(ordered.behind)
            catch_up(ordered, keys, limit)  # type: ignore[arg-type]  # as it was given

        monkeypatch.setattr(type(ordered), "catch_up", noted)

        assert len(list(node)) == 10_000 + 2 * PAGE_KEYS
        assert caught_up[:3] == [2 * PAGE_KEYS, PAGE_KEYS, 0]


def test_nobody_waits_for_the_order_of_a_watch_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Client(ClientOptions.memory_only("a")) as node:
        node.update({"b": 1, "a": 2})
        lock = node._opened().lock
        held = []

        def noted(unordered: Unordered) -> Parts:
            held.append(lock.locked())
            return in_order(unordered)

        monkeypatch.setattr(scans, "in_order", noted)
        monkeypatch.setattr("softadastra.store.keys.in_order", noted)

        with node.watch(since="beginning") as changes:
            assert [next(changes).key, next(changes).key] == ["a", "b"]
        assert held == [False]

"""The first scan makes the order of all keys: without the lock, that others wait for."""

from __future__ import annotations

import pytest

from softadastra import Client, ClientOptions, scans
from softadastra.scans import PAGE_KEYS
from softadastra.store.keys import Parts, Unordered, in_order


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

"""Conflicts through real nodes: the public calls, and functions that merge."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from softadastra import Client, ConflictingValue, NotFoundError
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.network.test_loopback import address, stack, started

__all__ = ["stack"]


def met(stack, *, policy: object, **settings) -> tuple[Client, Client]:
    """Two nodes that wrote the same key apart, and have met."""
    a = started(stack, "node-a", conflict_policy=policy, **settings)
    b = started(stack, "node-b", conflict_policy=policy, **settings)
    a.put("k", ["of a"])
    b.put("k", ["of b"])
    a.connect(address(b))
    return a, b


def together(_key: str, values: Sequence[ConflictingValue]) -> list[object]:
    found = {item for v in values if isinstance(v.value, list) for item in v.value}
    return sorted(found, key=str)


def test_conflicts_are_listed_and_resolved(stack):
    a, b = met(stack, policy="manual")
    eventually(lambda: bool(a.conflicts()) and bool(b.conflicts()))

    (conflict,) = a.conflicts()
    assert (conflict.key, conflict.policy, conflict.is_open) == ("k", "manual", True)
    assert {v.origin for v in conflict.values} == {"node-a", "node-b"}
    assert conflict.values[0].value == a.get("k") == b.get("k")
    assert [v.sync_id for v in conflict.values] == [v.sync_id for v in b.conflicts()[0].values]

    result = b.resolve("k", ["both"])

    assert result.sync_id == "node-b-2"
    eventually(lambda: a.get("k") == ["both"])
    assert a.conflicts() == b.conflicts() == []
    with pytest.raises(NotFoundError):
        b.resolve("k", 1)


def test_a_function_merges_on_both_nodes_to_one_value(stack):
    a, b = met(stack, policy=together)

    eventually(lambda: a.get("k") == b.get("k") == ["of a", "of b"])
    eventually(lambda: a.digest() == b.digest())
    assert a.conflicts() == b.conflicts() == []


def test_a_function_that_raises_leaves_a_conflict_for_people(stack):
    def broken(_key: str, _values: Sequence[ConflictingValue]) -> object:
        raise ZeroDivisionError

    a, b = met(stack, policy=broken)
    eventually(lambda: bool(a.conflicts()) and bool(b.conflicts()))

    a.put("other", 1)

    assert a.wait_synced(DEADLINE_SECONDS)
    assert len(a.conflicts()) == 1
    a.resolve("k", "by hand")
    eventually(lambda: b.get("k") == "by hand")


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_whatever_a_function_raises_is_told_and_the_next_conflict_is_settled(stack, error):
    def broken(key: str, values: Sequence[ConflictingValue]) -> object:
        if key == "k":
            raise error
        return together(key, values)

    a, b = met(stack, policy=broken)
    a.disconnect(b.options.node_id)
    eventually(lambda: not any(p.state == "connected" for p in (*a.peers(), *b.peers())))
    told: list[object] = []
    a.on("conflict.unmerged", lambda event: told.append(event.fields["error"]))
    for node in (a, b):
        node.put("k", [node.options.node_id])
        node.put("next", [node.options.node_id])
    a.connect(address(b))

    eventually(lambda: told == [repr(error())])
    eventually(lambda: a.get("next") == b.get("next") == ["node-a", "node-b"])
    assert [conflict.key for conflict in a.conflicts()] == ["k"]


def test_a_function_that_does_not_return_is_told_of_while_it_runs(stack):
    told, release = threading.Event(), threading.Event()

    def hanging(key: str, values: Sequence[ConflictingValue]) -> object:
        release.wait(DEADLINE_SECONDS)
        return together(key, values)

    a = started(stack, "node-a", conflict_policy=hanging)
    b = started(stack, "node-b", conflict_policy=hanging)
    a.on("merge.delayed", lambda event: told.set())
    a.put("k", ["of a"])
    b.put("k", ["of b"])
    a.connect(address(b))

    assert told.wait(DEADLINE_SECONDS / 2)
    assert [conflict.is_open for conflict in a.conflicts()] == [True]
    release.set()


def test_a_slow_function_holds_up_nobody(stack):
    release = threading.Event()

    def slow(key: str, values: Sequence[ConflictingValue]) -> object:
        release.wait(DEADLINE_SECONDS)
        return together(key, values)

    a, b = met(stack, policy=slow)
    eventually(lambda: bool(a.conflicts()))

    a.put("other", 1)
    assert a.wait_synced(DEADLINE_SECONDS)
    assert b.get("other") == 1

    release.set()
    eventually(lambda: a.get("k") == b.get("k") == ["of a", "of b"])


def test_a_write_that_comes_while_a_function_runs_is_not_merged_away(stack):
    inside, release = threading.Event(), threading.Event()

    def slow(key: str, values: Sequence[ConflictingValue]) -> object:
        inside.set()
        release.wait(DEADLINE_SECONDS)
        return together(key, values)

    a, b = met(stack, policy=slow)
    assert inside.wait(DEADLINE_SECONDS)
    eventually(lambda: bool(a.conflicts()))
    a.put("k", ["newer"])
    release.set()

    eventually(lambda: a.digest() == b.digest() and not a.conflicts() and not b.conflicts())
    assert "newer" in str(a.get("k"))


@pytest.mark.parametrize("policy", ["keep_local", "keep_remote", "last_write_wins"])
def test_every_policy_converges_by_itself(stack: object, policy: str) -> None:
    a, b = met(stack, policy=policy)

    eventually(lambda: a.get("k") == b.get("k") and a.digest() == b.digest())
    assert a.get("k") in (["of a"], ["of b"])

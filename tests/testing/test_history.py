"""The checker bites: each kind of fault in a history is reported, and only those."""

from __future__ import annotations

import pytest

from softadastra.packing import pack_value
from softadastra.testing.history import (
    Outcome,
    Verdict,
    ViolationKind,
    Write,
    WriteHistory,
    judge,
)
from softadastra.types import Value

States = dict[str, dict[str, Value]]


def packed(value: Value) -> bytes:
    return pack_value(value, max_bytes=1000)


def accepted(
    node_id: str, key: str, value: Value, sync_id: str = "", *, replaced: str = ""
) -> Write:
    return Write(node_id, key, packed(value), Outcome.ACCEPTED, sync_id, replaced)


def removed(node_id: str, key: str, *, replaced: str = "") -> Write:
    return Write(node_id, key, None, Outcome.ACCEPTED, replaced=replaced)


def unknown(node_id: str, key: str, value: Value) -> Write:
    return Write(node_id, key, packed(value), Outcome.UNKNOWN)


def judged(writes: list[Write], states: States) -> Verdict:
    history = WriteHistory()
    history.record(writes)
    packed_states = {
        node_id: {key: packed(value) for key, value in state.items()}
        for node_id, state in states.items()
    }
    return judge(history, packed_states)


def kinds(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(v.kind.value, v.node_id, v.key) for v in verdict.violations]


WRITES = [
    accepted("a", "one", 1, "a-1"),
    accepted("a", "two", 2, "a-2"),
    accepted("b", "three", 3, "b-1"),
]
STATE: dict[str, Value] = {"one": 1, "three": 3, "two": 2}


def without(key: str) -> dict[str, Value]:
    return {name: value for name, value in STATE.items() if name != key}


def test_nodes_that_hold_what_was_written_are_clean() -> None:
    verdict = judged(WRITES, {"a": STATE, "b": STATE, "c": STATE})

    assert verdict.is_clean
    assert verdict.lost_count == 0


def test_a_write_that_is_missing_on_one_node_is_reported_and_counts_as_lost() -> None:
    verdict = judged(WRITES, {"a": STATE, "b": STATE, "c": without("two")})

    assert kinds(verdict) == [("missing", "c", "two")]
    assert verdict.lost_count == 1
    assert str(verdict.violations[0]) == "missing: c has nothing for 'two', expected 2"


def test_a_write_that_is_missing_on_every_node_is_reported_though_all_are_equal() -> None:
    verdict = judged(WRITES, {"a": without("two"), "b": without("two")})

    assert kinds(verdict) == [("missing", "a", "two"), ("missing", "b", "two")]
    assert verdict.lost_count == 1


def test_a_wrong_value_is_reported_and_counts_as_lost() -> None:
    verdict = judged(WRITES, {"a": STATE, "b": {**STATE, "one": 7}})

    assert kinds(verdict) == [("wrong value", "b", "one")]
    assert verdict.lost_count == 1


def test_a_value_of_another_type_is_wrong_even_if_python_calls_it_equal() -> None:
    verdict = judged(WRITES, {"a": STATE, "b": {**STATE, "one": True}})

    assert kinds(verdict) == [("wrong value", "b", "one")]


def test_an_invented_key_is_reported_and_loses_nothing() -> None:
    verdict = judged(WRITES, {"a": {**STATE, "ghost": 0}, "b": STATE})

    assert kinds(verdict) == [("invented", "a", "ghost")]
    assert verdict.lost_count == 0
    assert "expected no such key" in str(verdict.violations[0])


def test_an_older_value_of_the_same_node_is_stale() -> None:
    writes = [accepted("a", "k", 1, "a-1"), accepted("a", "k", 2, "a-2")]

    verdict = judged(writes, {"a": {"k": 1}, "b": {"k": 1}})

    assert kinds(verdict) == [("stale", "a", "k"), ("stale", "b", "k")]
    assert verdict.lost_count == 1


def test_a_value_that_another_node_saw_and_replaced_is_stale() -> None:
    """Also when the answers were recorded the other way round, as two threads may."""
    over = accepted("b", "k", 2, "b-1", replaced="a-1")
    first = accepted("a", "k", 1, "a-1")

    for writes in ([first, over], [over, first]):
        assert kinds(judged(writes, {"a": {"k": 1}})) == [("stale", "a", "k")]
        assert judged(writes, {"a": {"k": 2}}).is_clean


@pytest.mark.parametrize("winner", [1, 2])
def test_of_two_concurrent_writes_either_may_stand(winner: int) -> None:
    writes = [accepted("a", "k", 1, "a-1"), accepted("b", "k", 2, "b-1")]

    assert judged(writes, {"a": {"k": winner}, "b": {"k": winner}}).is_clean


def test_nodes_that_settled_differently_are_unequal() -> None:
    writes = [accepted("a", "k", 1, "a-1"), accepted("b", "k", 2, "b-1")]

    verdict = judged(writes, {"a": {"k": 1}, "b": {"k": 2}})

    assert kinds(verdict) == [("unequal", "b", "k")]
    assert verdict.lost_count == 0


@pytest.mark.parametrize("state", [{}, {"k": 1}])
def test_a_write_of_unknown_outcome_may_be_there_or_not(state: dict[str, Value]) -> None:
    assert judged([unknown("a", "k", 1)], {"a": state, "b": state}).is_clean


def test_a_write_of_unknown_outcome_must_not_lose_the_accepted_one_before_it() -> None:
    writes = [accepted("a", "k", 1, "a-1"), unknown("a", "k", 2)]

    assert judged(writes, {"a": {"k": 1}}).is_clean
    assert judged(writes, {"a": {"k": 2}}).is_clean
    assert kinds(judged(writes, {"a": {}})) == [("missing", "a", "k")]


def test_a_write_of_unknown_outcome_is_superseded_by_the_next_of_its_node() -> None:
    writes = [unknown("a", "k", 1), accepted("a", "k", 2, "a-2")]

    assert kinds(judged(writes, {"a": {"k": 1}})) == [("stale", "a", "k")]


def test_a_removed_key_that_is_back_is_stale() -> None:
    writes = [accepted("a", "k", 1, "a-1"), removed("b", "k", replaced="a-1")]

    assert judged(writes, {"a": {}, "b": {}}).is_clean
    assert kinds(judged(writes, {"a": {}, "b": {"k": 1}})) == [("stale", "b", "k")]


def test_a_put_of_the_value_that_is_there_confirms_the_write_that_made_it() -> None:
    """As after a kill: the write of unknown outcome turns out to have happened."""
    writes = [unknown("a", "k", 1), accepted("a", "k", 1, "a-1")]

    assert judged(writes, {"a": {"k": 1}}).is_clean
    assert judged(writes, {"a": {}}).violations[0].kind is ViolationKind.MISSING

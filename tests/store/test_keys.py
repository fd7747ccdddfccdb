"""The keys as they came, and in order: read and made by whoever likes, while keys come and go."""

from __future__ import annotations

import random
from bisect import bisect_right

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from softadastra.store.keys import (
    GONE_PART,
    PART_KEYS,
    RUN_KEYS,
    Listed,
    OrderedKeys,
    Unordered,
    in_order,
)

COUNTS = (0, 1, PART_KEYS, PART_KEYS + 1, 2 * PART_KEYS, RUN_KEYS - 1, RUN_KEYS + 1, 3 * RUN_KEYS)
KEYS = st.sampled_from([*"abcdefgh", *("a" * length for length in range(2, 6)), "é", "a/1"])


def unordered(keys: list[str]) -> Unordered:
    """Give keys as they came, of which none has left."""
    return Unordered(Listed(keys, len(keys)), frozenset(), 1)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("spread", [1, 1_000_003])
def test_parts_are_in_order_and_none_is_empty_or_large(count: int, spread: int) -> None:
    keys = [f"{number * spread % 999_983:06}" for number in range(count)]

    parts = in_order(unordered(keys))

    assert [key for part in parts for key in part] == sorted(keys)
    assert all(0 < len(part) <= 2 * PART_KEYS for part in parts)


def test_what_no_sample_of_any_run_is_among_is_cut_too() -> None:
    low = PART_KEYS - 1
    runs = [["a"] * low + ["z"] * (RUN_KEYS - low)] * 8
    keys = [f"{letter}{n:06}" for n, letter in enumerate(letter for run in runs for letter in run)]

    parts = in_order(unordered(keys))

    assert [key for part in parts for key in part] == sorted(keys)
    assert max(map(len, parts)) <= 2 * PART_KEYS


def test_many_that_come_one_by_one_make_no_large_part() -> None:
    numbers = random.Random(1).sample(range(10**6), 5 * PART_KEYS)
    keys: dict[str, None] = {}
    ordered = OrderedKeys()
    assert ordered.page(keys, prefix="", after=None, limit=1) == []
    for number in numbers:
        keys[f"{number:06}"] = None
        ordered.came(f"{number:06}")
        ordered.catch_up(keys)

    assert ordered.between(keys, after=None, last="~") == sorted(keys)
    assert all(0 < len(part) <= 2 * PART_KEYS for part in ordered._parts)


def test_who_is_far_behind_makes_the_order_anew() -> None:
    """One by one takes twice as long as that, for many."""
    keys = dict.fromkeys("abcdefgh")
    ordered = OrderedKeys()
    ordered.came_all(keys)
    ordered.page(keys, prefix="", after=None, limit=1)
    for key in "xyz":
        keys[key] = None
        ordered.came(key)

    assert ordered.begin(keys) is not None
    assert ordered.page(keys, prefix="", after="e", limit=9) == [*"fghxyz"]


def test_an_order_of_before_another_one_was_begun_is_not_taken() -> None:
    """What came between them is in neither list of what changed since."""
    keys = dict.fromkeys("abcd")
    ordered = OrderedKeys()
    ordered.came_all(keys)
    slow = ordered.begin(keys)
    assert slow is not None
    ordered.page(keys, prefix="", after=None, limit=1)
    for key in "wxyz":
        keys[key] = None
        ordered.came(key)
    again = ordered.begin(keys)
    assert again is not None

    ordered.adopt(in_order(slow), slow.number)

    assert ordered.behind is None
    ordered.adopt(in_order(again), again.number)
    assert ordered.page(keys, prefix="", after=None, limit=9) == [*"abcdwxyz"]


@settings(max_examples=60, stateful_step_count=40, deadline=None)
class Ordering(RuleBasedStateMachine):
    """Keys come and go, and several make the order at once, as far as they get."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, None] = {}
        self.ordered = OrderedKeys()
        self.begun: list[Unordered] = []
        self.listed: list[tuple[Listed, set[str]]] = []

    @rule(key=KEYS)
    def come_or_go(self, key: str) -> None:
        if key in self.keys:
            del self.keys[key]
            self.ordered.left(key)
        else:
            self.keys[key] = None
            self.ordered.came(key)

    @rule()
    def begin(self) -> None:
        unordered = self.ordered.begin(self.keys)
        if unordered is not None:
            self.begun.append(unordered)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        unordered = self.begun.pop(data.draw(st.integers(0, len(self.begun) - 1)))
        self.ordered.adopt(in_order(unordered), unordered.number)

    @precondition(lambda self: self.ordered.behind is not None)
    @rule(limit=st.none() | st.integers(1, 3))
    def catch_up(self, limit: int | None) -> None:
        self.ordered.catch_up(self.keys, limit)

    @rule(prefix=st.sampled_from(["", "a", "aa", "b", "z"]), after=st.none() | KEYS)
    def page(self, prefix: str, after: str | None) -> None:
        found = self.ordered.page(self.keys, prefix=prefix, after=after, limit=3)

        assert (
            found
            == [key for key in sorted(self.keys) if key.startswith(prefix) and key > (after or "")][
                :3
            ]
        )

    @rule(after=st.none() | KEYS, last=KEYS)
    def between(self, after: str | None, last: str) -> None:
        expected = sorted(self.keys)[: bisect_right(sorted(self.keys), last)]

        found = self.ordered.between(self.keys, after=after, last=last)

        assert found == [key for key in expected if key > (after or "")]

    @rule(keys=st.sets(KEYS))
    def come_together(self, keys: set[str]) -> None:
        new = sorted(keys - self.keys.keys())
        self.keys |= dict.fromkeys(new)
        self.ordered.came_all(new)

    @rule()
    def list_them(self) -> None:
        self.listed.append((self.ordered.listed, set(self.keys)))

    @invariant()
    def what_was_listed_has_all_keys_of_its_moment_each_once(self) -> None:
        for (keys, size), expected in self.listed:
            assert expected <= set(keys[:size])
            assert len(set(keys[:size])) == size

    @invariant()
    def most_of_what_is_listed_is_there(self) -> None:
        assert len(self.ordered.listed.keys) * (GONE_PART - 1) <= len(self.keys) * GONE_PART

    @invariant()
    def nobody_holds_what_nobody_asked_for(self) -> None:
        if not self.ordered._number:
            assert not self.ordered._changed


TestOrdering = Ordering.TestCase

"""Sets of write numbers, against Python's own sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from softadastra.store.dots import DotSet, subtract

ranges = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda r: (r[0], r[0] + r[1]))
)


def built(of: list[tuple[int, int]]) -> tuple[DotSet, set[int]]:
    dots, plain = DotSet(), set()
    for first, last in of:
        dots.add(first, last)
        plain |= set(range(first, last + 1))
    return dots, plain


@given(ranges)
def test_a_dot_set_holds_what_was_added(of):
    dots, plain = built(of)

    assert {n for n in range(1, 60) if n in dots} == plain
    assert {n for a, b in dots.ranges() for n in range(a, b + 1)} == plain
    assert dots.top == max(plain, default=0)


@given(ranges)
def test_ranges_are_sorted_and_never_touch(of):
    dots, _ = built(of)

    edge = dots.base
    for first, last in dots.above:
        assert edge + 1 < first <= last
        edge = last


@given(ranges, ranges)
def test_equal_sets_have_equal_form(left, right):
    (a, plain_a), (b, plain_b) = built(left), built(right)

    assert (a == b) == (plain_a == plain_b)


@given(ranges, ranges)
def test_subtract_gives_what_the_other_lacks(mine, theirs):
    (a, plain_a), (b, plain_b) = built(mine), built(theirs)

    rest = list(subtract(a.ranges(), b))

    assert {n for first, last in rest for n in range(first, last + 1)} == plain_a - plain_b
    assert rest == sorted(rest)


@given(ranges, ranges)
def test_update_joins(left, right):
    (a, plain_a), (b, plain_b) = built(left), built(right)

    a.update(b)

    assert {n for first, last in a.ranges() for n in range(first, last + 1)} == plain_a | plain_b

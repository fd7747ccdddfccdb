"""The index of one origin, against plain sets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from softadastra.store.index import OriginLog

steps = st.lists(
    st.tuples(st.just("add"), st.integers(1, 15), st.integers(0, 0))
    | st.tuples(st.just("extend"), st.integers(1, 15), st.integers(1, 5))
    | st.tuples(st.just("collect"), st.integers(1, 15), st.integers(1, 5)),
    max_size=12,
)


@settings(max_examples=500)
@given(steps)
def test_a_log_is_a_set_of_writes_with_and_without_rows(steps):
    log = OriginLog()
    have: dict[int, str | None] = {}
    for kind, first, count in steps:
        numbers = range(first, first + max(count, 1))
        if kind == "add":
            log.add(first, f"k{first}")
        elif kind == "extend":
            log.extend(first, [f"k{n}" for n in numbers])
        else:
            log.collect(first, numbers[-1])
        for n in numbers:
            if kind == "collect":
                have[n] = None
            else:
                have.setdefault(n, f"k{n}")

        assert {n for n in range(1, 30) if n in log} == have.keys()
        assert {n: log.key(n) for n in have} == have
        assert dict(log.rows()) == {n: key for n, key in have.items() if key is not None}
        assert dict(log.rows(above=5)) == {n: k for n, k in have.items() if k is not None and n > 5}
        assert {n for n in have if n in log.collected} == {n for n in have if have[n] is None}
        assert {n for a, b in log.ranges() for n in range(a, b + 1)} == have.keys()
        assert log.top == max(have, default=0)

"""The arithmetic of the outbox."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from softadastra.sync.outbox import Confirmed, count

numbers = st.integers(0, 30)


@given(
    top=numbers,
    floor=numbers,
    released=numbers,
    members=st.lists(st.builds(Confirmed, numbers, st.booleans()), max_size=4),
    flights=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)), max_size=4),
)
def test_the_counts_are_those_of_each_write(top, floor, released, members, flights):
    floor, released = min(floor, top), min(released, top)
    flights = [(first, min(first + more, top)) for first, more in flights if first <= top]

    counts = count(top=top, floor=floor, released=released, members=members, flights=flights)

    plain = {"held": 0, "acknowledged": 0, "failed": 0, "in_flight": 0, "queued": 0}
    for n in range(floor + 1, top + 1):
        lacking = [m for m in members if m.n < n]
        if n > released:
            plain["held"] += 1
        elif members and not lacking:
            plain["acknowledged"] += 1
        elif lacking and all(m.faulted for m in lacking):
            plain["failed"] += 1
        elif any(first <= n <= last for first, last in flights):
            plain["in_flight"] += 1
        else:
            plain["queued"] += 1
    assert plain == {name: getattr(counts, name) for name in plain}
    assert counts.outbox == sum(plain.values())


def test_without_members_nothing_is_acknowledged():
    assert count(top=3, floor=0, released=3, members=[], flights=[]).queued == 3

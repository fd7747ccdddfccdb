"""When own writes were made, also of those that are overwritten."""

from __future__ import annotations

import random

import pytest

from softadastra.store.changes import OWN, Write, Writes
from softadastra.store.siblings import Sibling, State
from softadastra.sync.timeline import MARKS_MAX, SHARE, Timeline

SECOND = 1_000
DAY = 86_400 * SECOND


def write(n: int, wall_ms: int) -> Write:
    sibling: Sibling = (OWN, n, wall_ms << 16, n, b"\x01", 0)
    return Write(wall_ms << 16, "key", sibling)


def make(timeline: Timeline, times: list[int]) -> None:
    """Make writes 1, 2, ... at these wall clocks, as the engine does."""
    for n, wall_ms in enumerate(times, 1):
        record = write(n, wall_ms)
        if record.clock >= timeline.due:
            timeline.mark(record)


def ms(stamp: int | None) -> int:
    assert stamp is not None
    return stamp >> 16


def test_writes_that_are_a_second_apart_have_their_own_time():
    timeline = Timeline()
    make(timeline, [5_000, 6_000, 9_000])

    assert [ms(timeline.stamp_of(n)) for n in (1, 2, 3)] == [5_000, 6_000, 9_000]


def test_a_write_is_never_taken_for_later_than_it_is_nor_for_more_than_a_second_earlier():
    timeline = Timeline()
    times = list(range(5_000, 9_000, 7))
    make(timeline, times)

    for n, made in enumerate(times, 1):
        assert made - SECOND <= ms(timeline.stamp_of(n)) <= made


def test_of_writes_before_the_first_mark_nothing_is_known():
    timeline = Timeline()
    timeline.mark(write(5, 1_000))

    assert timeline.stamp_of(4) is None
    assert ms(timeline.stamp_of(5)) == 1_000


@pytest.mark.parametrize("days", [1, 30, 400])
def test_a_long_time_takes_bounded_memory_and_is_known_to_a_sixteenth_of_its_age(days):
    timeline = Timeline()
    draw = random.Random(days)
    times = sorted(draw.randrange(days * DAY) for _ in range(20_000))
    make(timeline, times)

    assert len(timeline._marks) <= MARKS_MAX + 1
    for n, made in enumerate(times, 1):
        age = times[-1] - made
        found = ms(timeline.stamp_of(n))
        before = times[n - 2] if n > 1 else made

        assert found <= made
        # A gap in which nothing was written is nobody's inexactness.
        assert found >= min(before, made - max(SECOND, (times[-1] - found) // SHARE)), (n, age)


def test_a_record_of_many_writes_is_marked_within_itself():
    timeline = Timeline()
    count = 640
    states: list[State] = [
        (OWN, n, (n * 10 * SECOND) << 16, n, b"\x01", 0) for n in range(1, count + 1)
    ]
    clock = (count * 10 * SECOND) << 16
    timeline.mark(Writes(1, clock, [f"key {n}" for n in range(count)], states))

    for n in range(1, count + 1):
        made = n * 10 * SECOND
        assert made - 100 * SECOND <= ms(timeline.stamp_of(n)) <= made


def test_writes_that_are_renumbered_keep_their_times():
    timeline = Timeline()
    make(timeline, [5_000, 6_000, 9_000])
    timeline.renumber(1)

    assert [ms(timeline.stamp_of(n)) for n in (1, 2)] == [6_000, 9_000]

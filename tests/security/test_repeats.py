"""What is told of failures that happen again and again."""

from __future__ import annotations

from softadastra.security.repeats import KINDS_MAX, TELL_INTERVAL_MS, TELLINGS_MAX, Repeats

NOW = 1_000_000


def test_the_first_is_told_and_those_like_it_after_a_minute_with_their_number() -> None:
    repeats = Repeats()

    assert repeats.note("a", NOW) == 1
    assert [repeats.note("a", NOW + each) for each in range(5)] == [0] * 5
    assert repeats.note("a", NOW + TELL_INTERVAL_MS - 1) == 0
    assert repeats.note("a", NOW + TELL_INTERVAL_MS) == 7


def test_another_kind_is_told_at_once() -> None:
    repeats = Repeats()
    repeats.note("a", NOW)

    assert repeats.note("b", NOW) == 1


def test_a_flood_of_kinds_is_told_so_many_times_a_minute() -> None:
    repeats = Repeats()
    told = [repeats.note(kind, NOW) for kind in range(10_000)]

    assert sum(map(bool, told)) == TELLINGS_MAX
    assert repeats.note("next", NOW + TELL_INTERVAL_MS) == 1


def test_a_flood_of_kinds_takes_no_memory() -> None:
    repeats = Repeats()
    for kind in range(KINDS_MAX * 4):
        repeats.note(kind, NOW)

    assert len(repeats._kinds) == KINDS_MAX

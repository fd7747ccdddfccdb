"""How long a peer is left to others, by what was seen of how long it takes to tell."""

from __future__ import annotations

import pytest

from softadastra.sync.patience import WAIT_MAX_MS, Patience

LEAST_MS = 1_000
ORIGIN = 3


def waits_at(place: int, patience: Patience) -> int:
    """Give how long a wait lasts at a place in the order."""
    patience.begin(ORIGIN, 0)
    patience.extend(ORIGIN, place)
    due_ms = patience.due_ms(ORIGIN)
    assert due_ms is not None
    return due_ms


def test_who_has_seen_nothing_waits_the_least():
    assert Patience(LEAST_MS).length_ms == LEAST_MS


def test_a_patience_is_the_mean_and_four_times_the_spread_of_what_was_seen():
    """RFC 6298, section 2: after a first sample R it is R + 4 R / 2."""
    patience = Patience(LEAST_MS)

    patience.measured(2_000)
    first = patience.length_ms
    patience.measured(2_800)

    assert first == 6_000
    assert patience.length_ms == 2_100 + 4 * 950


def test_a_patience_is_bounded_both_ways():
    patience = Patience(LEAST_MS)

    patience.measured(1)
    least = patience.length_ms
    patience.measured(10**7)

    assert (least, patience.length_ms) == (LEAST_MS, WAIT_MAX_MS)
    assert waits_at(7, patience) == WAIT_MAX_MS


def test_each_patience_twice_as_many_go_on():
    waits = [waits_at(place, Patience(LEAST_MS)) for place in range(1, 9)]

    assert [wait // LEAST_MS for wait in waits] == [1, 2, 2, 3, 3, 3, 3, 4]


def test_what_others_bring_is_measured_and_the_rest_waits_anew():
    patience = Patience(LEAST_MS)
    patience.begin(ORIGIN, 500)

    patience.gained(ORIGIN, 2_500)

    assert patience.due_ms(ORIGIN) is None
    assert patience.length_ms == 6_000

    patience.begin(ORIGIN, 3_000)
    assert patience.due_ms(ORIGIN) == 9_000


@pytest.mark.parametrize(("owed_ms", "is_over"), [(None, True), (101, True), (100, False)])
def test_a_peer_that_owes_an_answer_from_before_cannot_have_told(owed_ms, is_over):
    patience = Patience(LEAST_MS)
    patience.begin(ORIGIN, 100)

    assert not patience.is_over(ORIGIN, 1_099, None)
    assert patience.is_over(ORIGIN, 1_100, owed_ms) == is_over
    assert patience.is_over(ORIGIN, 100 + WAIT_MAX_MS, owed_ms)

"""Three bad messages in a minute shut their sender out, and nobody else."""

from __future__ import annotations

import pytest

from softadastra.sync.exclusions import (
    CULPRITS_MAX,
    EXCLUSION_MAX_MS,
    EXCLUSION_MIN_MS,
    FORGIVEN_AFTER_MS,
    GOOD_AFTER_MS,
    WINDOW_MS,
    Culprit,
    Exclusions,
    Known,
)

EVIL = Culprit(Known.CLAIMED, "evil", "192.0.2.1")


def offended(exclusions: Exclusions, *times_ms: int, by: Culprit = EVIL) -> list[int | None]:
    return [exclusions.offend(by, "nonsense", at_ms, None) for at_ms in times_ms]


def left_ms(exclusions: Exclusions, now_ms: int, by: Culprit = EVIL) -> int:
    found = exclusions.of(by, now_ms)
    return found.left_ms if found else 0


def test_the_third_bad_message_within_a_minute_shuts_out_for_a_minute():
    exclusions = Exclusions()

    assert offended(exclusions, 0, 1, WINDOW_MS - 1) == [None, None, EXCLUSION_MIN_MS]
    assert left_ms(exclusions, WINDOW_MS - 1) == EXCLUSION_MIN_MS
    assert left_ms(exclusions, WINDOW_MS - 1 + EXCLUSION_MIN_MS - 1) == 1
    assert left_ms(exclusions, WINDOW_MS - 1 + EXCLUSION_MIN_MS) == 0


def test_three_that_take_a_minute_shut_out_nobody():
    exclusions = Exclusions()

    assert offended(exclusions, 0, 1, WINDOW_MS) == [None, None, None]
    assert left_ms(exclusions, WINDOW_MS) == 0


def test_each_exclusion_lasts_twice_as_long_as_the_last_one_up_to_an_hour():
    exclusions = Exclusions()
    now_ms, lengths = 0, []
    for _ in range(8):
        *_, length_ms = offended(exclusions, now_ms, now_ms, now_ms)
        assert length_ms is not None
        lengths.append(length_ms // 60_000)
        now_ms += length_ms

    assert lengths == [1, 2, 4, 8, 16, 32, 60, 60]
    assert lengths[-1] * 60_000 == EXCLUSION_MAX_MS


def test_what_comes_while_somebody_is_shut_out_makes_it_no_longer():
    exclusions = Exclusions()
    offended(exclusions, 0, 0, 0)

    assert offended(exclusions, 1, 2, 3) == [None, None, None]
    assert left_ms(exclusions, EXCLUSION_MIN_MS) == 0


@pytest.mark.parametrize(
    ("quiet_ms", "length_ms"),
    [(FORGIVEN_AFTER_MS, EXCLUSION_MIN_MS), (FORGIVEN_AFTER_MS - 1, 2 * EXCLUSION_MIN_MS)],
)
def test_an_hour_in_good_order_after_an_exclusion_is_forgiving(quiet_ms: int, length_ms: int):
    exclusions = Exclusions()
    offended(exclusions, 0, 0, 0)
    later_ms = EXCLUSION_MIN_MS + quiet_ms

    assert offended(exclusions, later_ms, later_ms, later_ms)[-1] == length_ms


def test_the_reason_and_how_long_are_said_in_words():
    exclusions = Exclusions()
    offended(exclusions, 0, 0, 0)
    found = exclusions.of(EVIL, 1_500)

    assert found is not None
    assert found.words == (
        "shut out for 59 s, after 3 bad messages in a minute; the last one: nonsense"
    )


def test_one_pays_for_itself_alone():
    exclusions = Exclusions()
    offended(exclusions, 0, 0, 0)

    for other in (
        EVIL._replace(node_id="good"),
        EVIL._replace(place="192.0.2.2"),
        EVIL._replace(by=Known.PROVED, place=""),
        EVIL._replace(by=Known.DIALLED),
    ):
        assert left_ms(exclusions, 0, other) == 0


def test_who_had_been_connected_in_good_order_does_not_pay_for_a_stranger_of_its_name():
    """Without security a name costs nothing: three lies under it must not silence its owner."""
    exclusions = Exclusions()
    exclusions.vouch("evil", 7, GOOD_AFTER_MS)
    exclusions.vouch("evil", 8, GOOD_AFTER_MS - 1)
    for _ in range(3):
        exclusions.offend(EVIL, "nonsense", 0, 666)

    assert exclusions.of(EVIL, 0, nonce=7) is None
    assert exclusions.of(EVIL, 0, nonce=666) is not None
    assert exclusions.of(EVIL, 0, nonce=8) is not None


def test_a_process_that_lied_itself_is_vouched_for_no_more():
    exclusions = Exclusions()
    exclusions.vouch("evil", 7, GOOD_AFTER_MS)
    for _ in range(3):
        exclusions.offend(EVIL, "nonsense", 0, 7)
    assert exclusions.of(EVIL, 0, nonce=7) is not None
    exclusions.vouch("evil", 7, GOOD_AFTER_MS)

    assert exclusions.of(EVIL, 0, nonce=7) is not None


@pytest.mark.parametrize(("others", "is_let_in"), [(3, True), (4, False)])
def test_the_last_four_good_processes_of_a_name_are_remembered(others: int, is_let_in: bool):
    exclusions = Exclusions()
    exclusions.vouch("evil", 7, GOOD_AFTER_MS)
    for nonce in range(100, 100 + others):
        exclusions.vouch("evil", nonce, GOOD_AFTER_MS)
    for _ in range(3):
        exclusions.offend(EVIL, "nonsense", 0, 666)

    assert (exclusions.of(EVIL, 0, nonce=7) is None) is is_let_in


def test_a_proved_key_pays_whichever_process_uses_it():
    exclusions, proved = Exclusions(), Culprit(Known.PROVED, "b", "")
    exclusions.vouch("b", 7, GOOD_AFTER_MS)
    for _ in range(3):
        exclusions.offend(proved, "nonsense", 0, 666)

    assert exclusions.of(proved, 0, nonce=7) is not None


def test_a_pardon_lets_all_be_heard_that_pass_for_the_name():
    exclusions = Exclusions()
    dialled = Culprit(Known.DIALLED, "evil", "192.0.2.1:4041")
    offended(exclusions, 0, 0, 0)
    offended(exclusions, 0, 0, 0, by=dialled)
    exclusions.pardon("evil")

    assert list(exclusions.all(0)) == []


def test_of_too_many_culprits_those_who_are_free_are_forgotten_first():
    exclusions = Exclusions()
    offended(exclusions, 0, 0, 0)
    for n in range(CULPRITS_MAX - 1):
        offended(exclusions, 0, by=EVIL._replace(node_id=f"n{n}"))
    offended(exclusions, 0, 0, by=EVIL._replace(node_id="one more"))

    assert len(exclusions._records) == CULPRITS_MAX
    assert left_ms(exclusions, 0) == EXCLUSION_MIN_MS
    assert offended(exclusions, 0, 0, by=EVIL._replace(node_id="n1")) == [None, EXCLUSION_MIN_MS]
    assert offended(exclusions, 0, 0, by=EVIL._replace(node_id="n0")) == [None, None]


def test_of_too_many_who_are_shut_out_the_one_goes_whose_time_is_up_first():
    exclusions = Exclusions()
    for n in range(CULPRITS_MAX + 1):
        offended(exclusions, n, n, n, by=EVIL._replace(node_id=f"n{n}"))

    names = {culprit.node_id for culprit, _ in exclusions.all(CULPRITS_MAX)}
    assert names == {f"n{n}" for n in range(1, CULPRITS_MAX + 1)}

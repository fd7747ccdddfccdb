"""How far clocks are apart follows from messages both ways, and says how far off it may be."""

from __future__ import annotations

from softadastra.tracing.causality import Delivery
from softadastra.tracing.logs import Point
from softadastra.tracing.skew import STAMP_MS, Skew, skews

BEGIN_MS = 1_700_000_000_000


def messages(*told: tuple[str, int, str, int]) -> dict[str, Skew]:
    """Give the skews by messages: who sent when by his clock, and who took it when by hers."""
    points: dict[str, list[Point]] = {}
    deliveries = []
    for source, sent_ms, target, taken_ms in told:
        ends = []
        for node_id, ms in ((source, sent_ms), (target, taken_ms)):
            line = points.setdefault(node_id, [])
            ends.append((node_id, len(line)))
            line.append(Point(node_id, BEGIN_MS + ms, None, (), None, 0))
        deliveries.append(Delivery(("batch", 0), ends[0], ends[1]))
    return skews(points, deliveries, "a")


def test_the_middle_between_what_messages_both_ways_allow_is_taken() -> None:
    found = messages(("a", 0, "b", 5_010), ("b", 5_100, "a", 120))

    assert found["b"] == Skew(4_995, STAMP_MS + 15)
    assert found["a"] == Skew(0, STAMP_MS)


def test_the_fastest_message_of_each_way_counts() -> None:
    found = messages(("a", 0, "b", 9_000), ("a", 0, "b", 5_010), ("b", 5_100, "a", 120))

    assert found["b"] == Skew(4_995, STAMP_MS + 15)


def test_what_may_be_the_stamps_alone_is_no_skew() -> None:
    assert messages(("a", 0, "b", 40), ("b", 41, "a", 42))["b"].ms == 0
    assert messages(("a", 0, "b", STAMP_MS))["b"] == Skew(0, None)


def test_messages_of_one_way_tell_no_bound() -> None:
    assert messages(("a", 0, "b", 5_000))["b"] == Skew(5_000, None)
    assert messages(("b", 5_000, "a", 0))["b"] == Skew(5_000, None)


def test_a_clock_is_compared_through_others_by_the_surest_way() -> None:
    found = messages(
        ("a", 0, "b", 1_000),
        ("b", 1_000, "a", 0),
        ("b", 0, "c", 1_000),
        ("c", 1_000, "b", 0),
        ("a", 0, "c", 60_000),
    )

    assert found["c"] == Skew(2_000, STAMP_MS)


def test_who_exchanged_nothing_is_not_compared() -> None:
    assert messages(("a", 0, "b", 0), ("c", 0, "d", 0)).keys() == {"a", "b"}

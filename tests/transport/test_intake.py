"""Who stuffs libzmq with a message that does not end is found by the bytes that came."""

from __future__ import annotations

from typing import cast

import pytest

from softadastra.transport.intake import (
    ALL_BYTES_MAX,
    MESSAGE_OVERHEAD_BYTES,
    ONE_BYTES_MAX,
    QUEUED_BYTES_MAX,
    Intake,
    stuffed,
)
from softadastra.transport.links import FRAME_BYTES_MAX
from softadastra.transport.severing import Connection


class Counts:
    """A connection of which the test says how much has come."""

    def __init__(self) -> None:
        self.received: int | None = 0
        self.unread = 0

    def received_bytes(self) -> int | None:
        return self.received

    def unread_bytes(self) -> int:
        return self.unread


def counted() -> tuple[Counts, Intake]:
    counts = Counts()
    return counts, Intake(cast(Connection, counts))


def look_twice(*intakes: Intake) -> list[Intake]:
    assert stuffed(intakes, is_drained=True) == []
    return stuffed(intakes, is_drained=True)


def test_the_largest_frame_is_no_fault_and_more_than_that_without_a_message_is():
    counts, intake = counted()
    assert ONE_BYTES_MAX > FRAME_BYTES_MAX
    counts.received = ONE_BYTES_MAX
    assert look_twice(intake) == []
    counts.received = ONE_BYTES_MAX + 1

    assert look_twice(intake) == [intake]


def test_what_libzmq_has_not_read_is_not_in_its_memory():
    counts, intake = counted()
    counts.received, counts.unread = ONE_BYTES_MAX + 1_000, 1_000

    assert look_twice(intake) == []


def test_a_message_between_two_looks_clears_of_suspicion():
    """It was there already, or came while it was looked."""
    counts, intake = counted()
    for n in range(1, 100):
        counts.received = n * 2 * ONE_BYTES_MAX
        assert stuffed([intake], is_drained=True) == []
        intake.heard(2 * ONE_BYTES_MAX)


def test_a_message_excuses_as_much_as_it_is_and_not_what_comes_beside_it():
    counts, intake = counted()
    counts.received = 1_000 + MESSAGE_OVERHEAD_BYTES + QUEUED_BYTES_MAX
    intake.heard(1_000)
    assert stuffed([intake], is_drained=True) == []
    assert intake.pending_bytes == QUEUED_BYTES_MAX
    counts.received += 1_001 + MESSAGE_OVERHEAD_BYTES
    intake.heard(1_000)

    assert stuffed([intake], is_drained=True) == [intake]


def test_a_message_that_is_taken_late_does_not_excuse_what_came_behind_it():
    """A full queue of one small message, and the beginning of one that does not end."""
    counts, intake = counted()
    counts.received = QUEUED_BYTES_MAX
    assert stuffed([intake], is_drained=False) == []
    intake.heard(1)

    assert look_twice(intake) == [intake]


def test_what_is_more_than_what_came_excuses_nothing_later():
    counts, intake = counted()
    for _ in range(1_000):
        counts.received = (counts.received or 0) + 3
        intake.heard(1)
    assert look_twice(intake) == []
    counts.received = 3_000 + ONE_BYTES_MAX + 1

    assert look_twice(intake) == [intake]


def test_while_messages_wait_to_be_taken_a_full_queue_is_no_fault():
    counts, intake = counted()
    counts.received = QUEUED_BYTES_MAX
    for _ in range(5):
        assert stuffed([intake], is_drained=False) == []
    counts.received = QUEUED_BYTES_MAX + 1

    assert stuffed([intake], is_drained=False) == [intake]


def test_of_many_beginnings_that_are_too_much_together_the_largest_go():
    many = [counted() for _ in range(64)]
    for counts, _ in many:
        counts.received = ALL_BYTES_MAX // 64
    intakes = [intake for _, intake in many]
    assert look_twice(*intakes) == []
    for n in (7, 8):
        many[n][0].received = ALL_BYTES_MAX // 64 + n
    assert look_twice(*intakes) == [intakes[8]]
    many[9][0].received = 2 * ALL_BYTES_MAX // 64
    many[10][0].received = 2 * ALL_BYTES_MAX // 64

    assert look_twice(*intakes) == [intakes[9], intakes[10]]


def test_a_connection_that_has_ended_is_suspected_of_nothing():
    counts, intake = counted()
    counts.received = 2 * ONE_BYTES_MAX
    assert stuffed([intake], is_drained=True) == []
    counts.received = None

    assert stuffed([intake], is_drained=True) == []
    assert not intake.is_suspected


@pytest.mark.parametrize("is_drained", [True, False])
def test_nobody_is_nobodys_fault(is_drained: bool):
    assert stuffed([], is_drained=is_drained) == []

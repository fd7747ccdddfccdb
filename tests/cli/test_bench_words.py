"""What the bench says limits each measurement follows from the numbers."""

from __future__ import annotations

import pytest

from softadastra import ClientOptions
from softadastra.cli.bench_words import (
    as_duration,
    busy_words,
    confirmation_words,
    network_words,
    put_words,
    replication_words,
    sync_words,
    threads_words,
)

OPTIONS = ClientOptions()


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (12_345, "12 s"),
        (39, "39 ms"),
        (3.94, "3.9 ms"),
        (0.1234, "123 µs"),
        (0.0044, "4.4 µs"),
    ],
)
def test_times_have_two_digits_that_count_or_are_whole(milliseconds: float, shown: str) -> None:
    assert as_duration(milliseconds) == shown


def test_a_durable_put_waits_for_the_disk_where_that_is_most_of_its_time() -> None:
    assert "waits for one fdatasync: 3.9 ms of its 4.0 ms" in put_words(4.0, 3.9)
    assert put_words(0.05, 0.01).startswith("The processor")


def test_a_sync_that_no_disk_can_make_is_not_called_durable() -> None:
    assert "does not survive a power cut" in sync_words(0.002, 0.005)
    assert "one in a hundred more than 12 ms" in sync_words(3.9, 12)


def test_threads_are_told_how_many_puts_a_sync_served() -> None:
    assert "made 4.0 puts durable" in threads_words(400, 100, 8)


@pytest.mark.parametrize(
    ("processor_s", "processors", "words"),
    [
        (0.9, 2, "the sender's processor, which was busy"),
        (0.2, 2, "the sender used 20% of a processor"),
        (0.4, 1, "the one processor, which both nodes share"),
    ],
)
def test_replication_waits_for_who_is_busy(processor_s: float, processors: int, words: str) -> None:
    assert words in replication_words(100, 100, 1.0, processor_s, processors, OPTIONS)


def test_a_backlog_that_was_not_over_in_time_is_told_so() -> None:
    assert "90 of 100 writes in time" in replication_words(90, 100, 1.0, 0.2, 2, OPTIONS)


def test_a_confirmation_waits_for_two_disks_and_never_for_more_than_it_took() -> None:
    assert "of 8.5 ms the disks take about 7.8 ms" in confirmation_words(8.5, 3.9)
    assert "of 5.0 ms the disks take about 5.0 ms" in confirmation_words(5.0, 3.9)


def test_a_network_is_told_what_its_latency_allows() -> None:
    words = network_words(50.0, OPTIONS)

    assert "no sooner than 25 ms after" in words
    assert "2.1 MB are on the way (sync_window * sync_batch_bytes): 42 MB a second" in words


def test_only_a_busy_machine_is_told_to_be_busy() -> None:
    assert busy_words(2.0, 2) == ""
    assert "3.5 programs for 2 processors" in busy_words(3.5, 2)

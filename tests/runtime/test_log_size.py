"""Who writes too fast for the log to be rewritten is held up."""

from __future__ import annotations

import sys

import pytest

from softadastra.runtime.log_size import HELD_UP_MAX_SECONDS, HELD_UP_SECONDS, STEPS, LogSize


class Watched(LogSize):
    """A log of which nothing really sleeps."""

    __slots__ = ("slept", "told")

    def __init__(self) -> None:
        super().__init__()
        self.told = 0
        self.slept: list[float] = []
        self.sleep = self.slept.append
        self.outgrown = self._tell

    def _tell(self) -> None:
        self.told += 1

    def grow(self, first: int, last: int) -> None:
        """Append and write, a byte at a time."""
        for size in range(first, last + 1):
            if size > self.due:
                self.outgrow()
            self.written(size)


@pytest.fixture
def size() -> Watched:
    watched = Watched()
    watched.expect(1_000)
    return watched


def press(size: Watched) -> None:
    """Let it outgrow, and be rewritten."""
    size.grow(990, 1_050)
    size.press(1_100, 1_260)
    size.slept.clear()


def test_who_rewrites_a_log_is_told_once_that_it_has_outgrown_and_gets_a_turn_to_look(
    size: Watched,
) -> None:
    """A log of new keys outgrows what was expected again and again, and nothing is to be done."""
    size.grow(990, 100_000)

    assert size.told == 1
    assert size.slept == [pytest.approx(HELD_UP_SECONDS)]


def test_who_writes_on_is_held_up_the_longer_the_larger_the_log(size: Watched) -> None:
    press(size)
    size.grow(1_050, 1_261)

    assert size.slept[0] == pytest.approx(HELD_UP_SECONDS, rel=0.2)
    assert size.slept == sorted(size.slept)
    assert size.slept[-1] == HELD_UP_MAX_SECONDS
    assert len(size.slept) == STEPS + 1


def test_beyond_all_measure_nobody_is_held_up_for_longer(size: Watched) -> None:
    press(size)
    size.grow(1_050, 2_000)

    assert max(size.slept) == HELD_UP_MAX_SECONDS


def test_a_log_that_was_rewritten_holds_up_nobody(size: Watched) -> None:
    press(size)
    size.expect(1_000)
    size.grow(300, 1_000)

    assert size.slept == []


def test_a_log_that_cannot_be_rewritten_holds_up_nobody(size: Watched) -> None:
    """As on a full disk: waiting would make no room."""
    press(size)
    size.expect(sys.maxsize)
    size.grow(1_200, 3_000)

    assert size.slept == []

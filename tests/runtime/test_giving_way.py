"""A thread with much to do lets those who write have the interpreter in between."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from softadastra.runtime.commit import Committer
from softadastra.runtime.giving_way import PIECE_SECONDS, RECENT_SECONDS, SLEEP_SECONDS, GivingWay
from softadastra.runtime.tickets import Ticket
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from tests.engines import OPTIONS


class Thread:
    """One that works and pauses, at a time that the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        self.slept = 0
        engine = Engine(Replica("a", 1), OPTIONS, nonce=1, jitter=lambda: 0.5)
        self.committer = Committer(engine, None, flush=True, wall_ms=lambda: 1)
        clock = SimpleNamespace(perf_counter=lambda: self.seconds, sleep=self._sleep)
        monkeypatch.setattr("softadastra.runtime.giving_way.time", clock)
        self.way = GivingWay(self.committer)

    def _sleep(self, seconds: float) -> None:
        assert not self.committer.lock.locked()
        self.slept += 1
        self.seconds += seconds

    def works(self, seconds: float) -> int:
        """Work for a while, and pause; give how often it slept."""
        before = self.slept
        self.seconds += seconds
        self.way.pause()
        return self.slept - before

    def write(self) -> None:
        self.committer.write([("k", bytes([self.committer.engine.replica.top + 1]), 0)])


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Thread:
    return Thread(monkeypatch)


def test_while_nobody_writes_it_does_not_sleep(thread):
    assert [thread.works(1.0) for _ in range(3)] == [0, 0, 0]


def test_after_a_write_it_sleeps_after_each_piece_for_a_while(thread):
    thread.write()

    assert thread.works(PIECE_SECONDS) == 1
    assert thread.works(PIECE_SECONDS / 2) == 0
    assert thread.works(PIECE_SECONDS) == 1
    assert thread.works(RECENT_SECONDS) == 0
    thread.write()
    assert thread.works(PIECE_SECONDS) == 1


def test_while_a_commit_is_under_way_it_sleeps_however_long_that_takes(thread):
    """A sync may take longer than many pieces, and who comes back from it wants to go on."""
    writer = Ticket((), ())
    assert thread.committer._join(writer) is None

    assert [thread.works(2 * RECENT_SECONDS) for _ in range(3)] == [1, 1, 1]

    thread.committer._lead(writer)
    assert thread.works(2 * RECENT_SECONDS) == 0


@pytest.mark.parametrize(("waited", "sleeps"), [(SLEEP_SECONDS, 0), (SLEEP_SECONDS / 2, 1)])
def test_who_has_waited_owes_nobody_a_sleep(thread, waited, sleeps):
    """A put wakes the reactor, which would else sleep before it sends."""
    thread.write()

    def wait() -> str:
        thread.seconds += waited
        return "what came"

    thread.seconds += PIECE_SECONDS
    assert thread.way.wait(wait) == "what came"
    assert thread.works(PIECE_SECONDS / 2) == sleeps

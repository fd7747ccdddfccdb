"""A thread that looks when it is told, or when it is time, and never leaves a caller waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue

import pytest

from softadastra import Client, ClientOptions, InvalidStateError
from softadastra.runtime.compaction import Compaction
from softadastra.runtime.lookout import Lookout
from softadastra.testing import wait_until

DEADLINE_SECONDS = 10.0


class Watching(Lookout):
    """Does what a test says at each look."""

    def __init__(self, *looks: Callable[[], float | None]) -> None:
        super().__init__("watching", stop_max_seconds=DEADLINE_SECONDS)
        self.seen: Queue[int] = Queue()
        self._looks = list(looks)
        self._count = 0

    def _look(self) -> float | None:
        self._count += 1
        seconds = self._looks.pop(0)() if self._looks else None
        self.seen.put(self._count)
        return seconds

    def expect(self, count: int) -> None:
        assert self.seen.get(timeout=DEADLINE_SECONDS) == count


def test_it_looks_when_it_is_told_and_again_when_it_is_time() -> None:
    watching = Watching(lambda: 0.01, lambda: 0.0, lambda: None)
    watching.start()
    try:
        watching.tell()
        for count in (1, 2, 3):
            watching.expect(count)
        watching.tell()
        watching.expect(4)
    finally:
        watching.stop()
    assert watching.seen.empty()


def test_what_is_told_while_it_looks_is_looked_at_next() -> None:
    def be_told() -> None:
        for _ in range(3):
            watching.tell()

    watching = Watching(be_told)
    watching.start()
    try:
        watching.tell()
        watching.expect(1)
        watching.expect(2)
    finally:
        watching.stop()
    assert watching.seen.empty()


def test_stopping_ends_the_wait_for_a_time_that_is_far_away() -> None:
    watching = Watching(lambda: 3_600.0)
    watching.start()
    watching.tell()
    watching.expect(1)

    watching.stop()
    watching.stop()
    assert "watching" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_compactor_that_has_failed(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who called it before nor who does so later."""
    client = Client(ClientOptions.persistent("a", tmp_path / "a.wal"))

    looking = threading.Event()

    def fail(self: Compaction) -> bool:
        looking.set()
        assert wait_until(has_call, DEADLINE_SECONDS)
        raise RuntimeError("a mistake in the code")

    def has_call() -> bool:
        node = client._node
        return node is not None and node._compactor is not None and bool(node._compactor._calls)

    monkeypatch.setattr(Compaction, "is_due", fail)
    with client:
        assert looking.wait(DEADLINE_SECONDS)
        for _ in range(2):
            with pytest.raises(InvalidStateError, match="compactor has failed"):
                client.compact()
        client.put("k", 1)

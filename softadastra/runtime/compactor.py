"""The thread that rewrites a node's log: when most of it is obsolete, or when it is asked to.

What failed is tried again after a while, when the log has grown, or when it is asked to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from softadastra.errors import InvalidStateError, SoftadastraError
from softadastra.runtime.calls import Call
from softadastra.runtime.compaction import Compaction
from softadastra.runtime.lookout import Lookout
from softadastra.runtime.waiting import open_gate

__all__ = ["Compactor"]

STOP_MAX_SECONDS: Final = 1.0
"""How long `stop` waits: one step, of which a sync is the longest."""


class Compactor(Lookout):
    """Rewrites one node's log in a thread of its own.

    Args:
        compaction: what it does.
        give_way: called after each step: others may have their turn.
        noted: called when there may be something to tell.
    """

    def __init__(
        self, compaction: Compaction, *, give_way: Callable[[], None], noted: Callable[[], None]
    ) -> None:
        super().__init__("softadastra-compactor", stop_max_seconds=STOP_MAX_SECONDS)
        self.compaction = compaction
        self._give_way = give_way
        self._noted = noted
        self._calls: deque[Call[None]] = deque()

    def compact(self) -> None:
        """Rewrite the log, and return when that is done.

        Raises:
            StorageError: the disk refused something; the log is as it was, or is poisoned.
            InvalidStateError: the node is being closed, or the thread has failed.
        """
        call = Call(self._rewrite)
        self._calls.append(call)
        self.tell()
        if self._is_stopping:
            self._ended()
        call.done.acquire()
        if call.error is not None:
            raise call.error

    def _look(self) -> float | None:
        if calls := list(self._take_calls()):
            # All of them were made before it begins.
            first, *others = calls
            first.run()
            for call in others:
                call.error = first.error
                open_gate(call.done)
        elif self.compaction.is_due():
            try:
                self._rewrite()
            except InvalidStateError:
                pass  # It is being closed; or it writes no more, and has told why.
            except SoftadastraError as error:
                self.compaction.put_off(error)
        self._noted()
        wait_ms = self.compaction.wait_ms()
        return None if wait_ms is None else wait_ms / 1000

    def _rewrite(self) -> None:
        before = self.compaction.count
        steps = self.compaction.rewrite()
        try:
            for _ in steps:
                if self._is_stopping:
                    break
                if not self.compaction.is_pressing:
                    self._give_way()
        finally:
            steps.close()
        if self.compaction.count == before:
            raise ended()
        # It may have grown meanwhile, and says when to look again.
        self.tell()

    def _take_calls(self) -> Iterator[Call[None]]:
        with suppress(IndexError):  # there are none; or another thread has taken them
            while True:
                yield self._calls.popleft()

    def _ended(self) -> None:
        """Let go who waits for a call that nobody will run, or for the log to be rewritten."""
        self.compaction.end()
        for call in self._take_calls():
            call.error = ended()
            open_gate(call.done)


def ended() -> InvalidStateError:
    """Give the error of a compaction that a close has ended."""
    return InvalidStateError(
        "the log was not compacted: the client is being closed, or its compactor has failed"
    )

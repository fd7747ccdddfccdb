"""The thread that rewrites a node's log: when most of it is obsolete, or when it is asked to.

What failed is tried again after a while, when the log has grown, or when it is asked to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Lock, Thread

from softadastra.errors import InvalidStateError, SoftadastraError
from softadastra.runtime.calls import Call
from softadastra.runtime.compaction import Compaction
from softadastra.runtime.waiting import open_gate

__all__ = ["Compactor"]

STOP_MAX_SECONDS = 1.0
"""How long `stop` waits: one step, of which a sync is the longest."""


class Compactor:
    """Rewrites one node's log in a thread of its own.

    Args:
        compaction: what it does.
        told: called when there is something to tell.
    """

    def __init__(self, compaction: Compaction, told: Callable[[], None]) -> None:
        self._compaction = compaction
        self._told = told
        # Entered by itself: a Condition that Ctrl-C interrupts while it is entered keeps its lock.
        self._lock = Lock()
        self._wanted = Condition(self._lock)
        self._is_wanted = False
        self._is_stopping = False
        self._calls: deque[Call[None]] = deque()
        self._thread = Thread(target=self._run, name="softadastra-compactor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def look(self) -> None:
        """Most of the log may be obsolete. From any thread."""
        with self._lock:
            self._is_wanted = True
            self._wanted.notify()

    def compact(self) -> None:
        """Rewrite the log, and return when that is done.

        Raises:
            StorageError: the disk refused something; the log is as it was, or is poisoned.
            InvalidStateError: the node is being closed.
        """
        call = Call(self._rewrite)
        with self._lock:
            if self._is_stopping:
                raise closing()
            self._calls.append(call)
            self._wanted.notify()
        call.done.acquire()
        if call.error is not None:
            raise call.error

    def stop(self) -> None:
        """End the thread; what it was rewriting is given up. Again is no error."""
        with self._lock:
            self._is_stopping = True
            self._wanted.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_MAX_SECONDS)

    def _run(self) -> None:
        while True:
            with self._wanted:
                wait_ms = self._compaction.wait_ms()
                self._wanted.wait_for(
                    lambda: self._is_wanted or self._calls or self._is_stopping,
                    None if wait_ms is None else wait_ms / 1000,
                )
                self._is_wanted = False
                calls, self._calls = self._calls, deque()
                if self._is_stopping:
                    break
            if calls:
                # All of them were made before it begins.
                first, *others = calls
                first.run()
                for call in others:
                    call.error = first.error
                    open_gate(call.done)
            elif self._compaction.is_due():
                try:
                    self._rewrite()
                except InvalidStateError:
                    pass  # It is being closed; or it writes no more, and has told why.
                except SoftadastraError as error:
                    self._compaction.put_off(error)
            self._told()
        for call in calls:
            call.error = closing()
            open_gate(call.done)

    def _rewrite(self) -> None:
        steps = self._compaction.rewrite()
        try:
            for _ in steps:
                if self._is_stopping:
                    raise closing()
        finally:
            steps.close()
        # It may have grown meanwhile, and says when to look again.
        self.look()


def closing() -> InvalidStateError:
    """Give the error of a compaction that a close has ended."""
    return InvalidStateError("the log was not compacted: the client is being closed")

"""A thread that looks whether there is something to do: when it is told so, or when it is time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Condition, Lock, Thread, current_thread

__all__ = ["Lookout"]


class Lookout(ABC):
    """Looks after something of one node in a thread of its own, from `start` to `stop`.

    Args:
        name: of the thread.
        stop_max_seconds: how long `stop` waits for a look that is under way.
    """

    def __init__(self, name: str, *, stop_max_seconds: float) -> None:
        # Entered by itself: a Condition that Ctrl-C interrupts while it is entered keeps its lock.
        self._lock = Lock()
        self._told = Condition(self._lock)
        self._is_told = False
        self._is_stopping = False
        """Whether to leave the rest as it is."""
        self._stop_max_seconds = stop_max_seconds
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _look(self) -> float | None:
        """Do what there is to do.

        Returns:
            After how many seconds to look again, if it is not told to before; None: not before.
        """

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def tell(self) -> None:
        """There may be something to do. From any thread; many times before a look cost one."""
        with self._lock:
            self._is_told = True
            self._told.notify()

    def stop(self) -> None:
        """End the thread; one that does not end in time is left behind. Again is no error."""
        with self._lock:
            self._is_stopping = True
            self._told.notify()
        # What it calls of the application may be who stops it.
        if self._thread.is_alive() and self._thread is not current_thread():
            self._thread.join(self._stop_max_seconds)

    def _ended(self) -> None:  # noqa: B027  most need not know
        """Nobody looks any more: the thread was stopped, or has failed."""

    def _run(self) -> None:
        try:
            self._keep_looking()
        finally:
            self._is_stopping = True
            self._ended()

    def _keep_looking(self) -> None:
        seconds: float | None = None
        while True:
            with self._told:
                self._told.wait_for(lambda: self._is_told or self._is_stopping, seconds)
                if self._is_stopping:
                    return
                self._is_told = False
            seconds = self._look()

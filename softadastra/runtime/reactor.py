"""The one thread that owns the transport: it waits, and lets the driver do what is due.

One poller, one deadline: it sleeps until a message, a wake-up or the driver's next deadline,
whichever is first.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread, get_ident
from typing import TypeVar

from softadastra.runtime.calls import Call
from softadastra.runtime.clock import read_clocks
from softadastra.runtime.commit import Committer
from softadastra.runtime.driver import Driver
from softadastra.runtime.events import Events
from softadastra.runtime.giving_way import GivingWay
from softadastra.runtime.waiting import closed_gate, open_gate
from softadastra.sync.notices import Level, Notice
from softadastra.transport.links import Transport

__all__ = ["Reactor"]

T = TypeVar("T")

STOP_MAX_SECONDS = 1.0
"""How long `close` waits for the thread: it may be inside one sync of a slow disk."""


class Reactor:
    """Runs a node's side of the replication in a thread of its own.

    Args:
        committer: the node's state, and how it changes.
        transport: the connections; used by this thread only, but for `wake`.
        events: where notices go.
        driver: what this thread drives.
        giving_way: the same as the driver's.
    """

    def __init__(
        self,
        committer: Committer,
        transport: Transport,
        *,
        driver: Driver,
        events: Events,
        giving_way: GivingWay,
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._transport = transport
        self._driver = driver
        self._events = events
        self._giving_way = giving_way
        self._calls: deque[Call[object]] = deque()
        self._is_stopping = False
        self.has_failed = False
        """Whether a bug ended the thread."""
        self._is_over = False
        """Whether the thread runs no more calls."""
        self._end = closed_gate()
        """Open when it is over. A join that is interrupted takes a running thread for ended."""
        self._thread = Thread(target=self._run, name="softadastra-reactor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.ident is not None and not self._is_stopping

    @property
    def is_current(self) -> bool:
        """Whether its thread is the one that asks."""
        return get_ident() == self._thread.ident

    def wake(self) -> None:
        """Make the reactor look at the state now. From any thread; many cost one."""
        self._transport.wake()

    def call(self, function: Callable[[], T]) -> T | None:
        """Run a function in the reactor's thread and give its result. From other threads.

        Returns:
            What it returned; None when the reactor ended and never ran it.
        """
        call = Call(function)
        self._calls.append(call)  # type: ignore[arg-type]  # Call is covariant in what it returns
        self._transport.wake()
        if self._is_over:
            self._decline_calls()
        call.done.acquire()
        if call.error is not None:
            raise call.error
        return call.result

    def _decline_calls(self) -> None:
        """Let go who waits for a call that nobody will run."""
        while self._calls:
            with suppress(IndexError):  # another thread was faster
                open_gate(self._calls.popleft().done)

    def stop(self) -> None:
        """Take leave of the peers, close the transport, and end the thread. Again is no error."""
        self._is_stopping = True
        self._transport.wake()
        is_started = self._thread.ident is not None
        if is_started and not self._is_over and self._end.acquire(timeout=STOP_MAX_SECONDS):
            open_gate(self._end)
        if self._is_over:
            self._thread.join(STOP_MAX_SECONDS)

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._turn()
            self._driver.close()
        except Exception as error:  # nobody is above: it is told, and the node is offline
            self.has_failed = True
            fields: dict[str, object] = {"error": repr(error)}
            fields["traceback"] = "".join(traceback.format_exception(error))
            self._events.emit(Notice(Level.ERROR, "reactor.failed", fields))
        finally:
            try:
                self._transport.close()
                self._end_connections()
                # Only now: who sees that it does not run sees nobody connected either.
                self._is_stopping = True
                self._report()
            finally:
                self._is_stopping = self._is_over = True
                self._decline_calls()
                open_gate(self._end)

    def _turn(self) -> None:
        """Wait once, and do all that is due."""
        timeout_ms = self._driver.timeout_ms()
        events = self._giving_way.wait(lambda: self._transport.poll(timeout_ms))
        self._driver.turn(events)
        while self._calls:
            self._calls.popleft().run()
        self._report()

    def _end_connections(self) -> None:
        """Let nobody be taken for connected when this thread is gone."""
        with self._committer.lock:
            for link in list(self._engine.connections.sessions):
                self._engine.connections.down(link, "transport closed", read_clocks())

    def _report(self) -> None:
        """Emit what there is to tell, and wake who waits for a change."""
        with self._committer.lock:
            notices = self._engine.notices.take_together()
            self._engine.notices.is_traced = self._events.is_enabled(Level.DEBUG)
            self._committer.changed.notify_all()
        self._events.emit(*notices)

"""The one thread that owns the transport: it waits, takes in, commits, and sends.

One poller, one deadline: it sleeps until a message, a wake-up or the engine's next deadline,
whichever is first. What has arrived is made durable with one sync, then acknowledged.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Generic, TypeVar

from softadastra.errors import InternalError, ProtocolError, StorageError
from softadastra.runtime.commit import Committer
from softadastra.runtime.events import Events
from softadastra.store.dots import DotSet
from softadastra.sync.engine import Push
from softadastra.sync.messages import Batch
from softadastra.sync.notices import Level, Notice
from softadastra.sync.records import Arrived
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.transport.links import (
    Link,
    LinkDown,
    LinkUp,
    Received,
    Refused,
    SendResult,
    Transport,
    TransportEvent,
)

__all__ = ["Pushed", "Reactor"]

T = TypeVar("T")

STOP_MAX_SECONDS = 1.0
"""How long `close` waits for the thread: it may be inside one sync of a slow disk."""


class Pushed:
    """What one push sent."""

    __slots__ = ("batches", "dots", "retried")

    def __init__(self) -> None:
        self.dots: dict[int, DotSet] = {}
        self.batches = 0
        self.retried = 0

    @property
    def writes(self) -> int:
        """How many distinct writes went into batches."""
        return sum(last - first + 1 for dots in self.dots.values() for first, last in dots.ranges())


class Call(Generic[T]):
    """A function to be run by the reactor, and its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.done = Event()
        self.result: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run it, and keep what it returns or raises for the caller."""
        try:
            self.result = self.function()
        except BaseException as error:  # belongs to the caller, who raises it
            self.error = error
        self.done.set()


class Reactor:
    """Runs a node's side of the replication in a thread of its own.

    Args:
        committer: the node's state, and how it changes.
        transport: the connections; used by this thread only, but for `wake`.
        events: where notices go.
        now: reads both clocks.
        auto_tick: whether data leaves without `push` being called.
        flush_interval_ms: how long `auto_flush=False` may leave a write unsynced.
    """

    def __init__(
        self,
        committer: Committer,
        transport: Transport,
        *,
        events: Events,
        now: Callable[[], Now],
        auto_tick: bool,
        flush_interval_ms: int,
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._transport = transport
        self._events = events
        self._now = now
        self._push = Push.ALL if auto_tick else Push.NOTHING
        self._flush_interval_ms = flush_interval_ms
        self._flush_ms: int | None = None
        self._calls: deque[Call[object]] = deque()
        self._is_stopping = False
        self._thread = Thread(target=self._run, name="softadastra-reactor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive() and not self._is_stopping

    def wake(self) -> None:
        """Make the reactor look at the state now. From any thread; many cost one."""
        self._transport.wake()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the reactor's thread and give its result. From other threads."""
        call = Call(function)
        self._calls.append(call)  # type: ignore[arg-type]  # Call is covariant in what it returns
        self._transport.wake()
        while not call.done.wait(STOP_MAX_SECONDS):
            if not self._thread.is_alive():
                raise InternalError("the reactor has ended, see the event reactor.failed")
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]  # set when there is no error

    def stop(self) -> None:
        """Take leave of the peers, close the transport, and end the thread."""
        self._is_stopping = True
        self._transport.wake()
        self._thread.join(STOP_MAX_SECONDS)

    def push(self, push: Push) -> Pushed:
        """Send what is due. In the reactor's thread."""
        pushed = Pushed()
        while True:
            with self._committer.lock:
                output = self._engine.poll(self._now(), push)
            if not (output.sends or output.drops):
                return pushed
            # No peer may hold a write that a power cut takes back here.
            self._committer.sync()
            pushed.retried += output.retried
            for number, (first, last) in output.launched:
                pushed.dots.setdefault(number, DotSet()).add(first, last)
            for link, message in output.sends:
                match self._transport.send(Link(link), encode(message)):
                    case SendResult.SENT:
                        pushed.batches += isinstance(message, Batch)
                    case SendResult.FULL:
                        with self._committer.lock:
                            self._engine.unsent(link, message, self._now())
                    case SendResult.GONE:
                        with self._committer.lock:
                            self._engine.connections.down(link, "connection lost", self._now())
            for link in output.drops:
                self._transport.drop(Link(link))

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._turn()
            with self._committer.lock:
                self._engine.close(self._now())
            self.push(Push.NOTHING)
        except Exception as error:  # nobody is above: it is told, and the node is offline
            fields: dict[str, object] = {"error": repr(error)}
            fields["traceback"] = "".join(traceback.format_exception(error))
            self._events.emit(Notice(Level.ERROR, "reactor.failed", fields))
        finally:
            self._is_stopping = True
            with self._committer.lock:
                self._engine.close(self._now())
            self._transport.close()
            self._report()

    def _turn(self) -> None:
        """Wait once, and do all that is due."""
        events = self._transport.poll(self._timeout_ms())
        records = self._take(events)
        try:
            if records:
                self._committer.commit(records)
            while self._calls:
                self._calls.popleft().run()
            self.push(self._push)
            self._flush()
            self._remember()
        except StorageError:
            # The commit has noted it. Unsynced records were not evolved, so nothing speaks of
            # them: peers get no acknowledgement, and send again.
            pass
        self._dial()
        self._report()

    def _timeout_ms(self) -> int | None:
        with self._committer.lock:
            times = [
                self._engine.deadline(self._push),
                self._engine.dialer.deadline(self._engine.connections.active),
                self._flush_ms,
            ]
        due = min((time for time in times if time is not None), default=None)
        return None if due is None else max(0, due - self._now().mono_ms)

    def _take(self, events: list[TransportEvent]) -> list[Arrived]:
        """Take in what has happened; give what is to be made durable."""
        records: list[Arrived] = []
        for event in events:
            now = self._now()
            match event:
                case Received(link, payload):
                    try:
                        message = decode(payload)
                    except ProtocolError as error:
                        with self._committer.lock:
                            self._engine.refuse(link, error.message, now)
                        continue
                    with self._committer.lock:
                        record = self._engine.receive(link, message, payload, now)
                    if record is not None:
                        records.append(record)
                case LinkUp(link, dialled, _):
                    with self._committer.lock:
                        self._engine.connections.up(link, dialled=dialled, now=now)
                case LinkDown(link, reason):
                    with self._committer.lock:
                        self._engine.connections.down(link, reason, now)
                case Refused(link, reason):
                    with self._committer.lock:
                        self._engine.refuse(link, reason, now)
        return records

    def _flush(self) -> None:
        """Keep the promise of `auto_flush=False`: no write stays unsynced for longer."""
        now_ms = self._now().mono_ms
        if not self._committer.is_dirty:
            self._flush_ms = None
        elif self._flush_ms is None:
            self._flush_ms = now_ms + self._flush_interval_ms
        elif now_ms >= self._flush_ms:
            self._flush_ms = None
            self._committer.sync()

    def _remember(self) -> None:
        """Note in the log how far members have come; losing that costs a batch sent twice."""
        engine = self._engine
        with self._committer.lock:
            changed = engine.members.changed
            if changed and self._committer.remember(changed):
                engine.members.told()

    def _dial(self) -> None:
        with self._committer.lock:
            engine = self._engine
            for attempt in engine.dialer.due(self._now().mono_ms, engine.connections.active):
                attempt.link = self._transport.dial(attempt.peer.host, attempt.peer.port)

    def _report(self) -> None:
        """Emit what there is to tell, and wake who waits for a change."""
        with self._committer.lock:
            notices = self._engine.notices.take()
            self._engine.notices.is_traced = self._events.is_enabled(Level.DEBUG)
            self._committer.changed.notify_all()
        for notice in notices:
            self._events.emit(notice)

"""A node answers other processes: one thread that accepts, and one for each command at a time.

Rules:

- No request runs in the reactor's thread, nor waits for another command's.
- Commands are bounded in number, and requests in size. When all places are taken, who has neither
  asked nor read anything for a while makes way.
- Only processes of this user, and of root, are answered.
- While a request is worked on, the node says so each second: so a command can tell a long answer
  from a node that hangs.
- A node that is closed takes no more commands, and gives those that it has a moment to end.
- Whatever comes over the socket, the node goes on.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from threading import Lock, Thread
from typing import Any, Final

from softadastra.control.calls import CALLS, About, Call, Lengthy, Live, Served, Stream
from softadastra.control.channel import Channel
from softadastra.control.credentials import process_of
from softadastra.control.failures import plain_failure
from softadastra.control.frames import Reply, Request, decode_request, encode_reply
from softadastra.control.listening import Listening
from softadastra.control.shapes import to_plain
from softadastra.errors import (
    InternalError,
    InvalidArgumentError,
    InvalidStateError,
    ProtocolError,
    SoftadastraError,
)
from softadastra.sync.notices import Level

__all__ = ["ControlServer"]

COMMANDS_MAX: Final = 64
"""Commands at a time. Each has a thread, mostly for as long as its process lives: a tenth of a
second. More than a script starts side by side, and few enough for a node to carry."""

WATCHES_MAX: Final = 32
"""Of these, commands that watch, which may be there for days: others find their places."""

ALIVE_SECONDS: Final = 1.0
"""How often a node that works on an answer says so; a command waits for five seconds."""

STALLED_SECONDS: Final = 10.0
"""Who is waited for so long, as a pager that nobody scrolls, makes way when its place is needed."""

PARTS_BYTES: Final = 64 * 1024
"""Parts of an answer are sent together: a call of the system for each would cost more than they."""

END_SECONDS: Final = 0.5
"""How long a node that is closed waits for the commands that it answers, whatever they asked."""

ANSWER_SECONDS: Final = 5.0
"""How long it waits for those that would be answered but for its disk and its processor: so long a
command waits for a word. Half a second was too little where many wanted the processor: with a
seventh of one, a `store put` beside three stops failed in two runs of six (measured)."""

ASK_SECONDS: Final = 2.0
"""How long after it came a command has to ask something, before it is told that the node ends: what
it would have asked it cannot take back. One that has been greeted asks within 20 ms, and within
half a second where many want the processor."""

LOOK_SECONDS: Final = 0.02
"""How soon it is seen then that a command has asked, was answered, or waits for somebody."""


class ControlServer:
    """Answers for one node, from `start` to `close`.

    Args:
        served: the node.
        listening: where it is asked.
        tell: emits an event, as `Node.emit` does.
    """

    def __init__(self, served: Served, listening: Listening, tell: Callable[..., None]) -> None:
        self._served = served
        self._listening = listening
        self._tell = tell
        self._hello = encode_reply(Reply.HELLO, to_plain(About, served.about))
        self._lock = Lock()
        self._connections: list[_Connection] = []
        self._waker: socket.socket | None = None
        self._woken: socket.socket | None = None
        self._attendant: Thread | None = None
        self._is_withdrawn = False

    def start(self) -> None:
        """Listen. A node that cannot goes on without, and says so."""
        try:
            self._waker, self._woken = socket.socketpair()
            listener = self._listening.begin()
            self._attendant = _started("softadastra-control", self._attend, listener)
        except (OSError, SoftadastraError) as error:
            self._listening.end()
            if self._listening.socket is not None:
                self._listening.socket.close()
            self._tell(Level.WARNING, "control.failed", error=str(error))
            return
        try:
            self._listening.register()
        except (OSError, SoftadastraError) as error:
            self._tell(Level.WARNING, "control.unlisted", error=str(error))

    def withdraw(self) -> None:
        """Take no more requests, and remove the socket; idempotent. While the log is locked."""
        self._is_withdrawn = True
        self._listening.end()
        if self._waker is not None:
            try:
                self._waker.send(b"\0")
            except OSError:
                return  # the attendant has ended already

    def drain(self) -> None:
        """Wait for the commands that are answered; idempotent. After `withdraw`.

        For a moment, and for longer for those for whom only the node itself is slow.
        """
        began = time.monotonic()
        if self._attendant is not None:
            self._attendant.join(ANSWER_SECONDS)
        connections = [each for each in self._connected() if not each.is_stopping]
        for connection in sorted(connections, key=lambda each: each.has_asked, reverse=True):
            connection.await_request()
            connection.channel.shut_reading()
        for connection in connections:
            connection.await_end(began + END_SECONDS, began + ANSWER_SECONDS)

    def close(self) -> None:
        """End the connections; idempotent. When the log is unlocked, which that tells them."""
        for connection in self._connected():
            connection.channel.shut()
        for each in (self._waker, self._woken):
            if each is not None:
                each.close()

    def abandon(self) -> None:
        """Close what a forked child has of its parent's, whose connections stay."""
        listener = self._listening.socket
        for each in (listener, self._waker, self._woken):
            if each is not None:
                each.close()
        for connection in self._connections:
            connection.channel.close()
        self._attendant = None
        self._connections = []

    # The attendant.

    def _attend(self, listener: socket.socket) -> None:
        """Accept who comes, and tell those who wait that the node is alive."""
        assert self._woken is not None
        with listener:
            listener.setblocking(False)
            poller = select.poll()
            poller.register(listener, select.POLLIN)
            poller.register(self._woken, select.POLLIN)
            told = time.monotonic()
            while not self._is_withdrawn:
                ready = poller.poll(ALIVE_SECONDS * 1000 if self._connections else None)
                if any(descriptor == listener.fileno() for descriptor, _ in ready):
                    self._accept(listener)
                if time.monotonic() - told >= ALIVE_SECONDS:
                    told = time.monotonic()
                    self._tell_alive()

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except BlockingIOError:
            return  # who came has left again
        except OSError as error:
            # As a rule no descriptor is left: it is tried again, but not at once.
            self._tell(Level.WARNING, "control.failed", error=str(error))
            self._pause()
            return
        channel = Channel(accepted)
        try:
            process = process_of(accepted)
            is_known = process.uid in (os.geteuid(), 0)
        except OSError:
            is_known = True  # it is gone already, and gets nothing
        if not is_known:
            self._tell(Level.WARNING, "control.refused", uid=process.uid, pid=process.pid)
            channel.close()
            return
        if not self._has_room():
            channel.offer(self._hello)
            busy = InvalidStateError(
                f"node {self._served.about.node_id!r} answers {COMMANDS_MAX} commands already: try"
                " again when one of them has ended"
            )
            channel.offer(encode_reply(Reply.ERROR, plain_failure(busy)))
            channel.close()
            return
        connection = _Connection(channel)
        with self._lock:
            self._connections.append(connection)
        try:
            connection.thread = _started("softadastra-control-command", self._serve, connection)
        except OSError as error:
            self._tell(Level.WARNING, "control.failed", error=str(error))
            with self._lock:
                self._connections.remove(connection)
            channel.close()

    def _has_room(self) -> bool:
        """Whether one more can be answered, with who reads nothing making way."""
        with self._lock:
            if len(self._connections) < COMMANDS_MAX:
                return True
            now = time.monotonic()
            for connection in self._connections:
                since = connection.waiting_since
                if since is not None and now - since >= STALLED_SECONDS:
                    connection.channel.shut()
                    self._connections.remove(connection)
                    return True
        return False

    def _pause(self) -> None:
        """Wait a second, or until the end."""
        assert self._woken is not None
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        poller.poll(ALIVE_SECONDS * 1000)

    def _connected(self) -> list[_Connection]:
        with self._lock:
            return list(self._connections)

    def _tell_alive(self) -> None:
        frame = encode_reply(Reply.ALIVE)
        for connection in self._connected():
            connection.tell_alive(frame)

    # A command.

    def _serve(self, connection: _Connection) -> None:
        """Answer what a command asks, one after the other, until it leaves."""
        try:
            connection.send(self._hello)
            while (payload := connection.receive()) is not None:
                self._answer(connection, payload)
        except (OSError, ProtocolError) as error:
            # Who has left, or sends what is no frame, gets no answer.
            self._tell(Level.DEBUG, "control.dropped", error=str(error))
        finally:
            with self._lock:
                if connection in self._connections:
                    self._connections.remove(connection)
            with connection.lock:
                connection.channel.close()

    def _answer(self, connection: _Connection, payload: bytes) -> None:
        connection.is_running = connection.has_asked = True
        try:
            request = decode_request(payload)
            self._run(connection, request)
            connection.is_stopping = request.call == "stop"
        except SoftadastraError as error:
            connection.send(encode_reply(Reply.ERROR, plain_failure(error)))
        except OSError:
            raise
        except Exception as error:  # a bug: it ends the request, and not the node
            self._tell(Level.ERROR, "control.faulted", error=f"{error!r:.200}")
            bug = InternalError(f"the node failed to answer: {error!r:.200}; please report it")
            connection.send(encode_reply(Reply.ERROR, plain_failure(bug)))
        finally:
            connection.is_running = connection.is_lengthy = connection.is_watching = False
        if connection.is_stopping:
            # The command waits for the end of the connection, which is the end of the node.
            assert self._served.stop is not None, "refused by the call"
            self._served.stop()

    def _run(self, connection: _Connection, request: Request) -> None:
        call: Call[Any] | None = CALLS.get(request.call)
        if call is None:
            raise InvalidArgumentError(
                f"the node does not know the call {request.call!r}: use the softadastra that the"
                " node runs"
            )
        if isinstance(call, Live):
            self._take_place(connection)
        connection.is_lengthy = isinstance(call, Lengthy)
        found = call.answer(self._served, request.arguments)
        if isinstance(call, Live):
            with closing(found):
                self._tell_elements(connection, call, found)
        elif isinstance(call, Stream):
            self._tell_elements(connection, call, found)
        else:
            connection.send(encode_reply(Reply.RESULT, to_plain(call.result, found)))

    def _tell_elements(
        self, connection: _Connection, call: Stream[Any], found: Iterable[object]
    ) -> None:
        """Send the elements of an answer, and its end; None among them: no more is there yet."""
        parts = bytearray()
        for element in found:
            if element is not None:
                parts += encode_reply(Reply.PART, to_plain(call.result, element))
            elif self._is_withdrawn or connection.channel.has_left:
                break
            if len(parts) >= PARTS_BYTES or (element is None and parts):
                connection.send(parts)
                parts = bytearray()
        connection.send(parts + encode_reply(Reply.RESULT))

    def _take_place(self, connection: _Connection) -> None:
        with self._lock:
            if sum(each.is_watching for each in self._connections) >= WATCHES_MAX:
                raise InvalidStateError(
                    f"node {self._served.about.node_id!r} has {WATCHES_MAX} commands that watch"
                    " already: end one of them, or watch in the program that runs the node"
                )
            connection.is_watching = True


def _started(name: str, run: Callable[[Any], None], argument: object) -> Thread:
    """Start a thread.

    Raises:
        OSError: the system gives no more.
    """
    thread = Thread(target=run, args=(argument,), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return thread


class _Connection:
    """A connection that was accepted."""

    __slots__ = (
        "came",
        "channel",
        "has_asked",
        "is_lengthy",
        "is_running",
        "is_stopping",
        "is_watching",
        "lock",
        "thread",
        "waiting_since",
    )

    thread: Thread | None

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.came = time.monotonic()
        """When it was accepted."""
        self.has_asked = False
        """Whether a request of it was taken."""
        self.thread = None
        """None: it is just being started."""
        self.lock = Lock()
        """Held by who sends."""
        self.is_running = False
        """Whether a request of it is worked on."""
        self.is_lengthy = False
        """Whether that may take long though the node is well."""
        self.is_stopping = False
        """Whether it has asked for the end of the node, and waits for that."""
        self.is_watching = False
        """Whether a request of it goes on for ever."""
        self.waiting_since: float | None = None
        """Since when the other end is waited for, to ask or to read."""

    def await_request(self) -> None:
        """Give it until it has asked something, if it has only just come."""
        until = self.came + ASK_SECONDS
        while self.thread is not None and self.thread.is_alive():
            left = until - time.monotonic()
            if self.has_asked or left <= 0:
                return
            self.thread.join(min(left, LOOK_SECONDS))

    def await_end(self, until: float, until_answered: float) -> None:
        """Wait for the end of its thread; after a time only while the node itself is slow."""
        if self.thread is None:
            return
        self.thread.join(max(0.0, until - time.monotonic()))
        while self.thread.is_alive() and self._is_at_work and time.monotonic() < until_answered:
            self.thread.join(LOOK_SECONDS)

    @property
    def _is_at_work(self) -> bool:
        """Whether it waits for nobody, given that the other end can ask no more."""
        is_unread = self.is_running and self.waiting_since is not None
        return not (self.is_lengthy or is_unread)

    def receive(self) -> bytes | None:
        """Wait for a request; None when the other end has left."""
        self.waiting_since = time.monotonic()
        try:
            return self.channel.receive()
        finally:
            self.waiting_since = None

    def send(self, frames: bytes | bytearray) -> None:
        """Send, for as long as the other end takes."""
        with self.lock:
            self.waiting_since = time.monotonic()
            try:
                self.channel.send(frames)
            finally:
                self.waiting_since = None

    def tell_alive(self, frame: bytes) -> None:
        """Say that the node works on it, unless something else is being said."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if self.is_running and not self.channel.offer(frame):
                self.channel.shut()
        finally:
            self.lock.release()

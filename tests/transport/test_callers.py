"""The connections that others make are counted, and cut when they are too many or say nothing."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from typing import cast

import pytest
import zmq

from softadastra.transport import callers, sockets
from softadastra.transport.callers import CALLERS_MAX, Callers
from softadastra.transport.dealer import Happening
from softadastra.transport.links import FRAME_BYTES_MAX, CallerCut, SendResult

from .conftest import Open, OpenRaw
from .ends import LOOPBACK, End, greeting, join, raw_connection, silent_node, until


def callers_of(end: End) -> int:
    listener = end.transport._listener
    assert listener is not None
    return len(listener.callers)


def is_open(connection: socket.socket) -> bool:
    """Whether the other end has not hung up; what it said is thrown away."""
    connection.setblocking(False)
    try:
        while True:
            if not connection.recv(4096):
                return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_connections_are_counted_while_they_last(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    join(dialler, listener, port)
    with raw_connection(port):
        until(lambda: callers_of(listener) == 2, listener)

    until(lambda: callers_of(listener) == 1, listener)
    dialler.transport.close()
    until(lambda: callers_of(listener) == 0, listener)


def test_128_stay_and_for_the_129th_the_oldest_that_was_silent_goes(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    link, here = join(dialler, listener, port)
    with ExitStack() as stack:
        silent = [stack.enter_context(raw_connection(port)) for _ in range(CALLERS_MAX - 1)]
        until(lambda: callers_of(listener) == CALLERS_MAX, listener)
        assert listener.poll(200) == []
        assert all(is_open(connection) for connection in silent)

        stack.enter_context(raw_connection(port))
        until(lambda: not is_open(silent[0]), listener)

        assert all(is_open(connection) for connection in silent[1:])
        assert callers_of(listener) == CALLERS_MAX
    assert dialler.transport.send(link, b"still there") is SendResult.SENT
    until(lambda: b"still there" in listener.payloads(here), listener)


def test_when_all_have_spoken_the_one_that_comes_is_one_too_many(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "CALLERS_MAX", 2)
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    first, second = join(dialler, listener, port), join(dialler, listener, port)
    with raw_connection(port) as third:
        until(lambda: not is_open(third), listener)

    for link, here in (first, second):
        dialler.transport.send(link, b"still there")
        until(lambda here=here: b"still there" in listener.payloads(here), listener)  # type: ignore[misc]
    until(lambda: listener.told, listener)
    assert listener.told == [CallerCut(LOOPBACK, "too many connections", 1)]


def test_of_several_hosts_the_one_with_the_most_silent_connections_pays(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of 127.0.0.0/8 is this machine: each address is a host of its own here."""
    monkeypatch.setattr(callers, "CALLERS_MAX", 3)
    listener = open_end()
    port = listener.listen()
    with ExitStack() as stack:
        made = []
        for host in ("127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.4"):
            source = (host, 0)
            connection = socket.create_connection((LOOPBACK, port), 5, source_address=source)
            made.append(stack.enter_context(connection))
            until(lambda: callers_of(listener) == min(len(made), 3), listener)
        until(lambda: not is_open(made[1]), listener)

        assert [is_open(connection) for connection in made] == [True, False, True, True]


@pytest.mark.parametrize("has_shaken_hands", [False, True])
def test_who_says_nothing_is_cut_in_time_and_who_speaks_is_not(
    open_end: Open, monkeypatch: pytest.MonkeyPatch, open_raw: OpenRaw, has_shaken_hands: bool
) -> None:
    """libzmq keeps for ever who has shaken hands and says nothing."""
    monkeypatch.setattr(callers, "FIRST_WORD_MS", 300)
    listener = open_end()
    port = listener.listen()
    with ExitStack() as stack:
        if has_shaken_hands:
            silent = open_raw(zmq.DEALER)
            silent.setsockopt(zmq.RECONNECT_IVL, -1)
            silent.connect(f"tcp://{LOOPBACK}:{port}")
        else:
            stack.enter_context(raw_connection(port))
        spoken = stack.enter_context(silent_node(port))
        until(lambda: callers_of(listener) == 2, listener)
        until(lambda: callers_of(listener) == 1, listener)

        assert is_open(spoken)
    until(lambda: listener.told, listener)
    assert listener.told == [CallerCut(LOOPBACK, "silent", 1)]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (greeting("PLAIN"), "security on one side alone"),
        (greeting("NULL") + b"\x04\x05\x04OOPS", "no handshake"),
    ],
    ids=["another mechanism", "another command"],
)
def test_who_shakes_no_hands_is_told_with_the_reason(
    open_end: Open, said: bytes, reason: str
) -> None:
    listener = open_end()
    with raw_connection(listener.listen(), said):
        until(lambda: listener.told, listener)

    (told,) = listener.told
    assert told in (CallerCut(LOOPBACK, reason, 1), CallerCut("", reason, 1))  # gone at once


def test_who_is_slow_to_shake_hands_is_told_and_who_only_looks_at_the_port_is_not(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT_MS", 300)
    listener = open_end()
    port = listener.listen()
    with raw_connection(port):
        until(lambda: callers_of(listener) == 1, listener)
    until(lambda: callers_of(listener) == 0, listener)
    assert listener.told == []

    with raw_connection(port):
        until(lambda: listener.told, listener)
    assert listener.told == [CallerCut(LOOPBACK, "no handshake", 1)]


def test_a_dropped_link_has_a_second_to_go_by_itself(open_end: Open) -> None:
    listener = open_end()
    with silent_node(listener.listen()) as connection:
        until(listener.came_up, listener)
        dropped = time.monotonic()
        link = listener.came_up()[0].link
        listener.transport.send(link, b"why")
        listener.transport.drop(link)
        until(lambda: not is_open(connection), listener)

    # The transport's clock has whole milliseconds.
    assert time.monotonic() - dropped >= 0.999
    assert listener.told == []  # as of one that was cut for anything else


def test_a_link_that_was_dropped_before_it_was_known_whose_it_is_has_that_second_too(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody has come and gone on the same descriptor just before it."""
    listener = open_end()
    with monkeypatch.context() as unsure, silent_node(listener.listen()) as connection:
        unsure.setattr(Callers, "of", lambda *_: None)
        until(listener.came_up, listener)
        listener.transport.drop(listener.came_up()[0].link)
        unsure.undo()
        connection.sendall(b"\x00\x05again")
        until(lambda: not is_open(connection), listener)

    assert listener.told == []


def test_what_a_dropped_link_still_says_is_not_taken_for_a_message_without_an_end(
    open_end: Open, open_raw: OpenRaw
) -> None:
    """Of two connections with one node, one is dropped while batches are on their way."""
    listener, dialler = open_end(), open_raw(zmq.DEALER)
    dialler.setsockopt(zmq.RECONNECT_IVL, -1)
    dialler.connect(f"tcp://{LOOPBACK}:{listener.listen()}")
    dialler.send(b"first")
    until(listener.came_up, listener)
    listener.transport.drop(listener.came_up()[0].link)
    for _ in range(8):
        dialler.send(bytes(FRAME_BYTES_MAX))
    until(lambda: callers_of(listener) == 0, listener)

    assert listener.poll(200) == []
    assert listener.told == []


def test_what_is_cut_is_told_at_once_and_then_once_a_minute(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "CALLERS_MAX", 1)
    listener = open_end()
    port = listener.listen()
    with ExitStack() as stack:
        for n in range(5):
            stack.enter_context(raw_connection(port))
            until(lambda: callers_of(listener) == 1, listener)
            until(lambda n=n: n == 0 or listener.told, listener)  # type: ignore[misc]
        listener.poll(300)
    assert listener.told == [CallerCut(LOOPBACK, "too many connections", 1)]

    inside = listener.transport._listener
    assert inside is not None
    cut = inside.callers.told(inside.callers._tell_ms)
    assert cut == [CallerCut(LOOPBACK, "too many connections", 3)]


class FrameOn:
    """An empty frame, and on which descriptor it came."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __len__(self) -> int:
        return 0

    def get(self, _option: int) -> int:
        return self._descriptor


class Number:
    """A descriptor on which one connection follows another one, of which no message was taken."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        context = stack.enter_context(zmq.Context())
        router = stack.enter_context(context.socket(zmq.ROUTER))
        self.callers = Callers(context, router, is_guarded=False)
        stack.callback(self.callers.close)
        self._server = stack.enter_context(socket.create_server((LOOPBACK, 0)))
        self.port = self._server.getsockname()[1]
        gone, _ = self._come()
        descriptor = gone.fileno()
        self.frame = cast(zmq.Frame, FrameOn(descriptor))
        self._happened(zmq.Event.ACCEPTED, descriptor, 1)
        self._happened(zmq.Event.DISCONNECTED, descriptor, 2)
        self.next_one, self.far_end = self._come()
        gone.close()
        os.dup2(self.next_one.fileno(), descriptor)
        stack.callback(os.close, descriptor)
        self._happened(zmq.Event.ACCEPTED, descriptor, 2)

    def _come(self) -> tuple[socket.socket, socket.socket]:
        far_end = self._stack.enter_context(socket.create_connection((LOOPBACK, self.port)))
        return self._stack.enter_context(self._server.accept()[0]), far_end

    def _happened(self, event: zmq.Event, descriptor: int, now_ms: int) -> None:
        self.callers._happened(Happening(event, descriptor), self.port, now_ms)


def test_what_somebody_said_who_has_gone_is_not_taken_for_the_next_one_of_its_number() -> None:
    """Else he would only have to say something bad, and go, to have that one cut."""
    with ExitStack() as stack:
        number = Number(stack)
        made, port = number.callers, number.port
        assert made.of(number.frame, port, 2) is None
        made.drained(2)
        assert made.of(number.frame, port, 2) is None
        made.drained(3)
        found = made.of(number.frame, port, 3)

        assert found is not None
        assert found.connection.peer == number.next_one.getpeername()


def test_what_may_have_been_said_by_somebody_else_does_not_make_room_for_who_says_nothing() -> None:
    """Nobody could cut it by its messages, and it would have its place for good."""
    with ExitStack() as stack:
        number = Number(stack)
        made = number.callers
        assert made.of(number.frame, number.port, 2) is None
        made.tidy(2 + callers.FIRST_WORD_MS)

        assert not is_open(number.far_end)
        assert len(made) == 0

"""Dialling: every way in which it fails has its own reason, and none blocks the others."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from softadastra.transport import addresses, dialled
from softadastra.transport.addresses import Address
from softadastra.transport.links import DownReason, LinkDown, LinkUp
from softadastra.transport.probe import reason_of

from .conftest import Open
from .ends import LOOPBACK, PATIENCE_SECONDS, End, await_monitor, join, raw_connection, until


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))
        yield reserved.getsockname()[1]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A TCP server that is no node."""
    with socket.create_server((LOOPBACK, 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        yield server


def failure(dialler: End, host: str, port: int) -> LinkDown:
    """Dial, and give the one event that tells of the failure."""
    link = dialler.transport.dial(host, port)
    until(lambda: dialler.events, dialler)
    (event,) = dialler.events
    assert isinstance(event, LinkDown)
    assert event.link == link
    return event


def test_a_closed_port_refuses_the_connection(open_end: Open, closed_port: int) -> None:
    down = failure(open_end(), LOOPBACK, closed_port)

    assert down.reason == "connection refused"
    assert type(down.reason) is str


@pytest.mark.parametrize("host", ["no-such-host.invalid", "not a host", "x" * 80, "\0", ""])
def test_an_unknown_name_is_not_resolved(open_end: Open, host: str) -> None:
    assert failure(open_end(), host, 4041).reason == DownReason.NAME_NOT_RESOLVED


def test_an_address_that_does_not_answer_times_out(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialled, "CONNECT_TIMEOUT_MS", 200)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        port = server.getsockname()[1]
        # The system answers no further connection once the queue of the server is full.
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            assert filler.connect_ex((LOOPBACK, port)) in (0, errno.EINPROGRESS)

        assert failure(open_end(), LOOPBACK, port).reason == DownReason.TIMED_OUT


@pytest.mark.parametrize(
    ("error_number", "reason"),
    [
        (errno.ECONNREFUSED, "connection refused"),
        (errno.EHOSTUNREACH, "host unreachable"),
        (errno.ENETUNREACH, "host unreachable"),
        (errno.ETIMEDOUT, "timed out"),
        (0, "connection closed"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_each_failure_of_a_connection_has_words(error_number: int, reason: str) -> None:
    assert reason_of(error_number) == reason


def test_a_server_that_is_no_node_fails_the_handshake(
    open_end: Open, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes for ZMTP 1.0, for which libzmq reports neither success nor failure."""
    monkeypatch.setattr(dialled, "HANDSHAKE_TIMEOUT_MS", 200)
    dialler = open_end()

    link = dialler.transport.dial(*server.getsockname())
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        until(lambda: dialler.events, dialler)

    assert dialler.events == [LinkDown(link, DownReason.HANDSHAKE_FAILED)]


def test_a_server_that_hangs_up_fails_the_handshake(open_end: Open, server: socket.socket) -> None:
    dialler = open_end()

    link = dialler.transport.dial(*server.getsockname())
    server.accept()[0].close()
    until(lambda: dialler.events, dialler)

    assert dialler.events == [LinkDown(link, DownReason.HANDSHAKE_FAILED)]


def test_a_port_that_opens_after_the_attempt_is_a_closed_connection(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))
        port = reserved.getsockname()[1]
        link = dialler.transport.dial(LOOPBACK, port)
        await_monitor(dialler, link)
    listener.listen(port=port)
    until(lambda: dialler.events, dialler)

    assert dialler.events == [LinkDown(link, DownReason.CONNECTION_CLOSED)]


def test_the_second_address_of_a_name_is_tried(
    open_end: Open, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "localhost" has ::1 first, on which a node bound to 127.0.0.1 does not listen."""
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    found = tuple(Address(socket.AF_INET, LOOPBACK, number) for number in (closed_port, port))
    monkeypatch.setattr(addresses, "resolve", lambda host, port, flags=0: () if flags else found)

    link = dialler.transport.dial("two.example", port)
    until(lambda: dialler.events, dialler)

    assert dialler.events == [LinkUp(link, True, f"{LOOPBACK}:{port}")]


class SlowNames:
    """Names whose look-up lasts until it is released."""

    def __init__(self, address: Address) -> None:
        self._found = (address,)
        self.asked: list[str] = []
        self.release = threading.Event()

    def resolve(self, host: str, port: int, flags: int = 0) -> tuple[Address, ...]:
        if host == LOOPBACK:
            return (Address(socket.AF_INET, host, port),)
        if flags:
            return ()
        self.asked.append(host)
        self.release.wait(PATIENCE_SECONDS)
        return self._found


def test_a_slow_name_holds_up_nobody_and_is_looked_up_once(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    names = SlowNames(Address(socket.AF_INET, LOOPBACK, port))
    monkeypatch.setattr(addresses, "resolve", names.resolve)
    monkeypatch.setattr("softadastra.transport.zeromq.numeric_address", addresses.numeric_address)

    slow = [dialler.transport.dial("slow.example", port) for _ in range(2)]
    join(dialler, listener, port)
    assert [event.link for event in dialler.came_up()] == [slow[-1] + 1]
    names.release.set()
    until(lambda: len(dialler.came_up()) == 3, dialler)

    assert {event.link for event in dialler.came_up()} >= set(slow)
    assert names.asked == ["slow.example"]


def test_a_name_that_is_never_answered_is_given_up(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = SlowNames(Address(socket.AF_INET, LOOPBACK, 1))
    monkeypatch.setattr(addresses, "resolve", names.resolve)
    monkeypatch.setattr(dialled, "CONNECT_TIMEOUT_MS", 50)

    dialler = open_end()
    link = dialler.transport.dial("slow.example", 4041)
    told = dialler.poll(int(PATIENCE_SECONDS * 1000))
    names.release.set()

    assert told == [LinkDown(link, DownReason.NAME_NOT_RESOLVED)]
    assert dialler.poll(50) == []


def test_closing_does_not_wait_for_a_look_up_whose_answer_then_concerns_nobody(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends `getaddrinfo`, which may hang for half a minute."""
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    names = SlowNames(Address(socket.AF_INET, LOOPBACK, 1))
    monkeypatch.setattr(addresses, "resolve", names.resolve)
    dialler = open_end()
    dialler.transport.dial("slow.example", 4041)
    (look_up,) = [each for each in threading.enumerate() if each.name.endswith("slow.example")]
    dialler.transport.close()
    assert look_up.is_alive()
    names.release.set()
    look_up.join(PATIENCE_SECONDS)

    assert not look_up.is_alive()
    assert raised == []


def test_a_name_whose_look_up_lasts_longer_than_a_dial_is_there_for_the_next_one(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the first of two name servers is away: glibc goes on to the second after 5 s."""
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    names = SlowNames(Address(socket.AF_INET, LOOPBACK, port))
    monkeypatch.setattr(addresses, "resolve", names.resolve)
    monkeypatch.setattr(dialled, "CONNECT_TIMEOUT_MS", 200)

    dialler.transport.dial("slow.example", port)
    until(dialler.went_down, dialler)
    names.release.set()
    until(lambda: not dialler.transport._resolver._asked, dialler)
    names.release.clear()
    link = dialler.transport.dial("slow.example", port)
    until(lambda: len(dialler.events) == 2, dialler)

    assert dialler.events[1] == LinkUp(link, True, f"{LOOPBACK}:{port}")
    names.release.set()


def test_a_failed_dial_leaves_other_links_up(open_end: Open, closed_port: int) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())

    failing = [dialler.transport.dial(LOOPBACK, closed_port) for _ in range(20)]
    until(lambda: len(dialler.went_down()) == len(failing), dialler)
    dialler.transport.send(there, b"still up")
    until(lambda: b"still up" in listener.payloads(here), listener)

    assert {down.link for down in dialler.went_down()} == set(failing)


def test_dialling_leaves_no_descriptor_behind(open_end: Open, closed_port: int) -> None:
    dialler = open_end()
    failure(dialler, LOOPBACK, closed_port)

    def lowest_free() -> int:
        with socket.socket() as unused:
            return unused.fileno()

    before = lowest_free()
    for count in range(2, 60):
        dialler.transport.dial(LOOPBACK, closed_port)
        until(lambda count=count: len(dialler.went_down()) == count, dialler)  # type: ignore[misc]

    # libzmq closes sockets in the background: a few may be on their way.
    assert lowest_free() < before + 20


def test_raw_connections_are_no_links(open_end: Open) -> None:
    listener = open_end()
    with raw_connection(listener.listen()):
        assert listener.poll(50) == []

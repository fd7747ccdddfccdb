"""Peers that break the rules harm their own links only."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import zmq

from softadastra.transport.links import (
    FRAME_BYTES_MAX,
    CallerCut,
    DownReason,
    LinkDown,
    LinkUp,
    Refused,
    SendResult,
)
from softadastra.transport.zeromq import ENDLESS

from .conftest import Open, OpenRaw
from .ends import LOOPBACK, PATIENCE_SECONDS, join, raw_connection, shaken, silent_node, until


class Honest:
    """A link whose frames have to get through whatever others do."""

    def __init__(self, open_end: Open) -> None:
        self.dialler, self.listener = open_end(), open_end()
        self.port = self.listener.listen()
        self.there, self.here = join(self.dialler, self.listener, self.port)
        self.sent = 0

    def exchange(self) -> None:
        self.sent += 1
        payload = f"honest {self.sent}".encode()
        assert self.dialler.transport.send(self.there, payload) is SendResult.SENT
        until(lambda: payload in self.listener.payloads(self.here), self.listener)
        assert self.listener.transport.send(self.here, payload) is SendResult.SENT
        until(lambda: payload in self.dialler.payloads(self.there), self.dialler)


def test_an_oversized_frame_breaks_only_its_own_link(open_end: Open, open_raw: OpenRaw) -> None:
    honest = Honest(open_end)
    hostile = open_raw(zmq.DEALER)
    hostile.connect(f"tcp://{LOOPBACK}:{honest.port}")
    hostile.send(b"hello")
    until(lambda: b"hello" in honest.listener.payloads(), honest.listener)
    link = honest.listener.came_up()[-1].link

    hostile.send(bytes(FRAME_BYTES_MAX + 1))
    until(lambda: honest.listener.transport.send(link, b"?") is SendResult.GONE, honest.listener)
    honest.exchange()

    assert max(len(payload) for payload in honest.listener.payloads()) < FRAME_BYTES_MAX


def test_an_oversized_frame_ends_a_dialled_link(open_end: Open, open_raw: OpenRaw) -> None:
    dialler, hostile = open_end(), open_raw(zmq.ROUTER)
    port = hostile.bind_to_random_port(f"tcp://{LOOPBACK}")
    link = dialler.transport.dial(LOOPBACK, port)
    until(lambda: dialler.events, dialler)
    dialler.transport.send(link, b"hello")

    hostile.send_multipart([hostile.recv_multipart()[0], bytes(FRAME_BYTES_MAX + 1)])
    until(dialler.went_down, dialler)

    assert dialler.went_down() == [LinkDown(link, DownReason.CONNECTION_CLOSED)]
    assert dialler.payloads() == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([b"two", b"frames"], "a message of more than one frame"),
        ([b""] * 20_000, "a message of more than one frame"),
        ([b""], "an empty message"),
    ],
)
def test_an_inbound_message_that_is_not_one_frame_is_refused(
    open_end: Open, open_raw: OpenRaw, message: list[bytes], reason: str
) -> None:
    listener, hostile = open_end(), open_raw(zmq.DEALER)
    hostile.connect(f"tcp://{LOOPBACK}:{listener.listen()}")

    hostile.send_multipart(message)
    hostile.send(b"one frame")
    until(listener.payloads, listener)

    (up,) = listener.came_up()
    assert listener.refused() == [Refused(up.link, reason)]
    assert listener.payloads() == [b"one frame"]


def test_a_dialled_peers_message_of_several_frames_is_refused(
    open_end: Open, open_raw: OpenRaw
) -> None:
    dialler, hostile = open_end(), open_raw(zmq.ROUTER)
    port = hostile.bind_to_random_port(f"tcp://{LOOPBACK}")
    link = dialler.transport.dial(LOOPBACK, port)
    until(lambda: dialler.events, dialler)
    dialler.transport.send(link, b"hello")
    route = hostile.recv_multipart()[0]

    hostile.send_multipart([route, b"two", b"frames"])
    hostile.send_multipart([route, b"one frame"])
    until(dialler.payloads, dialler)

    assert dialler.refused() == [Refused(link, "a message of more than one frame")]
    assert dialler.payloads() == [b"one frame"]


def test_garbage_and_silent_connections_leave_honest_links_working(open_end: Open) -> None:
    honest = Honest(open_end)
    garbage = [b"\0" * 500, b"\xff" * 500, bytes(range(256)) * 4, b"\xff" + bytes(8) + b"\x7f\x09"]

    with ExitStack() as stack:
        for data in garbage * 5 + [b""] * 200:
            stack.enter_context(raw_connection(honest.port, data))
        honest.exchange()
        until(lambda: join(honest.dialler, honest.listener, honest.port), honest.listener)
        honest.exchange()

    assert {up.link for up in honest.listener.came_up()} == {1, 2}
    assert honest.listener.went_down() == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
        b"\x01\x00\x06\x00hello",
        b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00\x00\x05hello",
    ],
    ids=["web request", "ZMTP 1.0", "ZMTP 2.0"],
)
def test_what_does_not_speak_zmtp_3_is_turned_away(open_end: Open, data: bytes) -> None:
    listener = open_end()
    with raw_connection(listener.listen(), data) as connection:
        until(lambda: listener.events, listener)
        connection.sendall(data)

        assert listener.poll(50) == []

    assert listener.events == [
        LinkUp(up := listener.events[0].link, False, ""),
        Refused(up, "a peer that does not speak ZMTP 3"),
        LinkDown(up, DownReason.TURNED_AWAY),
    ]


def test_a_peer_that_chose_its_routing_id_is_turned_away(open_end: Open, open_raw: OpenRaw) -> None:
    listener, hostile = open_end(), open_raw(zmq.DEALER)
    hostile.routing_id = b"node-a"
    hostile.connect(f"tcp://{LOOPBACK}:{listener.listen()}")

    hostile.send(b"I am node-a")
    until(lambda: listener.events, listener)
    hostile.send(b"believe me")

    assert listener.poll(50) == []
    assert listener.events == [
        LinkUp(up := listener.events[0].link, False, LOOPBACK),
        Refused(up, "a peer that chose its own routing id"),
        LinkDown(up, DownReason.TURNED_AWAY),
    ]


GUESSING_PEERS = """
import zmq
from softadastra.transport.zeromq import ZeroMQTransport

listener, dialler = ZeroMQTransport(), ZeroMQTransport()
port = listener.bind("127.0.0.1", 0)
guesses = []
with zmq.Context() as context:
    # What glibc's and every other unseeded rand() gives, and what the ROUTER counts on from.
    for first in (0x6B8B4567, 0x41A7, 0xC1A7):
        for routing_id in range(first, first + 8):
            guesses.append(guess := context.socket(zmq.DEALER))
            guess.linger = 0
            guess.routing_id = b"\\0" + routing_id.to_bytes(4, "big")
            guess.connect(f"tcp://127.0.0.1:{port}")
            guess.send(b"mine")
    up = 0
    while up < 24:
        up += len(listener.poll(1000)) // 2
    link = dialler.dial("127.0.0.1", port)
    assert dialler.poll(5000)[0].link == link
    dialler.send(link, b"honest")
    assert listener.poll(5000)[-1].payload == b"honest"
    context.destroy(linger=0)
dialler.close()
listener.close()
print("alive")
"""


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_a_peer_cannot_guess_the_next_routing_id_and_abort_the_process() -> None:
    """In a process of its own: libzmq aborts when it generates an id that is taken."""
    ended = run_python(GUESSING_PEERS)

    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


RESETTING_PEER = """
import socket, struct, time
from tests.transport.ends import End, silent_node, until

listener = End()
peer = silent_node(listener.listen())
until(listener.came_up, listener)
peer.settimeout(0.2)
try:
    while True:
        peer.sendall(b"\\0\\x64" + bytes(100))
except TimeoutError:
    pass  # Every queue is full.
peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
peer.close()
# Longer than a heartbeat interval; it is in this time that a heartbeat would abort.
time.sleep(2.5)
until(lambda: len(listener.payloads()) > 16, listener)
listener.transport.close()
print("alive")
"""


def test_a_reset_of_a_stuffed_link_does_not_abort_a_busy_process() -> None:
    """In a process of its own: ZMTP heartbeats would end it (zeromq/libzmq#4364)."""
    ended = run_python(RESETTING_PEER)

    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


def flood(connection: socket.socket, stop: Event) -> None:
    """Send frames of a message that does not end."""
    frames = memoryview((b"\x03" + struct.pack(">Q", 100_000) + bytes(100_000)) * 10)
    connection.settimeout(0.5)
    sent = 0
    while not stop.is_set():
        try:
            sent = (sent + connection.send(frames[sent:])) % len(frames)
        except TimeoutError:
            # Nobody reads: for a moment, on a busy machine, or any more. Who is cut with a full
            # window may hear nothing.
            continue
        except OSError:
            return


@contextmanager
def flooding(connection: socket.socket) -> Iterator[None]:
    stop = Event()
    thread = Thread(target=flood, args=(connection, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
def test_a_message_without_an_end_is_refused_and_its_connection_cut(open_end: Open) -> None:
    honest = Honest(open_end)
    with silent_node(honest.port) as hostile:
        until(lambda: b"first" in honest.listener.payloads()[1:], honest.listener)
        with flooding(hostile):
            until(honest.listener.refused, honest.listener)
            honest.exchange()
            hostile_link = honest.listener.came_up()[-1].link
            until(
                lambda: honest.listener.transport.send(hostile_link, b"?") is SendResult.GONE,
                honest.listener,
            )

    assert honest.listener.refused() == [Refused(hostile_link, ENDLESS)]
    honest.exchange()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
def test_a_message_without_an_end_of_who_never_ended_one_is_cut(open_end: Open) -> None:
    honest = Honest(open_end)
    with shaken(honest.port) as hostile, flooding(hostile):
        until(lambda: honest.listener.told, honest.listener)
        honest.exchange()

    assert honest.listener.told == [CallerCut(LOOPBACK, ENDLESS, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
def test_a_message_without_an_end_wakes_who_had_nothing_to_look_at(open_end: Open) -> None:
    listener = open_end()
    with silent_node(listener.listen()) as hostile:
        until(listener.came_up, listener)
        while listener.poll(500):  # until nothing happens any more
            pass
        with flooding(hostile):
            told = listener.poll(int(PATIENCE_SECONDS * 1000))

    assert told == [Refused(listener.came_up()[-1].link, ENDLESS)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
def test_a_message_without_an_end_is_found_though_others_always_have_more_to_take(
    open_end: Open, open_raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several who flood keep the node from ever having taken all that is whole."""
    monkeypatch.setattr("softadastra.transport.zeromq.MESSAGES_PER_POLL_MAX", 4)
    listener = open_end()
    port = listener.listen()
    for number in range(1, 9):
        busy = open_raw(zmq.DEALER)
        busy.sndhwm = 0
        busy.connect(f"tcp://{LOOPBACK}:{port}")
        for _ in range(10_000):
            busy.send(b"busy")
        until(lambda number=number: len(listener.came_up()) == number, listener)  # type: ignore[misc]
    frame = b"\x03" + struct.pack(">Q", 1_000_000) + bytes(1_000_000)
    with silent_node(port) as hostile:
        hostile.settimeout(PATIENCE_SECONDS)
        sending = Thread(target=hostile.sendall, args=(frame * 3,))
        sending.start()
        until(listener.refused, listener)
        sending.join(PATIENCE_SECONDS)

    assert listener.refused() == [Refused(listener.came_up()[-1].link, ENDLESS)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
def test_a_dialled_peers_message_without_an_end_is_refused_and_its_connection_cut(
    open_end: Open,
) -> None:
    dialler = open_end()
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"ROUTER"
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    with socket.create_server((LOOPBACK, 0)) as server:
        link = dialler.transport.dial(LOOPBACK, server.getsockname()[1])
        hostile = server.accept()[0]
        with hostile:
            hostile.sendall(greeting + bytes([4, len(ready)]) + ready)
            until(dialler.came_up, dialler)
            with flooding(hostile):
                until(dialler.went_down, dialler)

    assert dialler.refused() == [Refused(link, ENDLESS)]
    assert dialler.went_down() == [LinkDown(link, DownReason.CONNECTION_CLOSED)]


def test_large_frames_in_any_number_are_no_message_without_an_end(open_end: Open) -> None:
    honest = Honest(open_end)
    largest = bytes(FRAME_BYTES_MAX)
    sent = 0
    while sent < 50:
        sent += honest.dialler.transport.send(honest.there, largest) is SendResult.SENT
        honest.listener.poll(0)
        honest.dialler.poll(0)
    until(lambda: honest.listener.payloads().count(largest) == 50, honest.listener, honest.dialler)

    assert honest.listener.refused() == []


def tcp_sockets(port: int) -> Iterator[socket.socket]:
    """The connected ends, in this process, of the connections to a port."""
    for path in Path("/dev/fd").iterdir():
        try:
            end = socket.socket(fileno=int(path.name))
        except OSError:  # Not a socket, or the descriptor of this very listing.
            continue
        try:
            if end.family == socket.AF_INET and is_connected(end, port):
                yield end
        finally:
            end.detach()


def is_connected(end: socket.socket, port: int) -> bool:
    try:
        return port in (end.getsockname()[1], end.getpeername()[1])
    except OSError:  # It listens.
        return False


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the options of Linux")
def test_the_connection_of_a_dead_peer_is_given_up_by_tcp_after_6_seconds(open_end: Open) -> None:
    """That a connection has ended nobody says when a machine loses power."""
    honest = Honest(open_end)

    options = [
        [
            end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]
        for end in tcp_sockets(honest.port)
    ]

    assert options == [[1, 2, 2, 2, 6000]] * 2

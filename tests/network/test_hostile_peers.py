"""Two honest nodes go on, in bounded memory, whatever a stranger on their machine sends to one.

Each node is a process of its own. Its peak of resident memory is what the kernel says (VmHWM),
reset before the attack: libzmq's buffers, Python's objects and all else. What grew is bounded.
The descriptors are those of the process. Real time, waited for by condition.
"""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
import zmq

from softadastra.sync.messages import Hello, Message, Ping, Reject, RejectReason
from softadastra.sync.wire import decode, encode
from softadastra.testing import LocalCluster
from softadastra.testing.local_node import LocalNode
from softadastra.transport.callers import CALLERS_MAX
from softadastra.types import PeerState, PeerStatus
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.strangers import HELLO
from tests.transport.ends import LOOPBACK, raw_connection, silent_node

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")

PATIENCE_MS = 30_000
ROUNDS = 5
"""Writes of each node that have to arrive at the other one while the attack goes on."""


class Stranger:
    """Somebody who dials a node with a bare DEALER."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], port: int) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.connect(f"tcp://{LOOPBACK}:{port}")

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, payload: bytes) -> None:
        with suppress(zmq.Again):
            self.socket.send(payload, zmq.NOBLOCK)

    def greet(self, **lies: object) -> None:
        self.say(encode(replace(HELLO, **lies)))  # type: ignore[arg-type]  # as named

    def is_let_in(self) -> bool:
        """Greet as itself; give whether it was greeted, too."""
        self.greet()
        payload = self.hear(PATIENCE_MS)
        assert payload is not None
        return isinstance(decode(payload), Hello)

    def hear(self, timeout_ms: int = 1_000) -> bytes | None:
        return self.socket.recv() if self.socket.poll(timeout_ms) else None

    def heard(self, kind: type[Message], timeout_ms: int = PATIENCE_MS) -> Message | None:
        """Wait for a message of a kind; None when there is none."""
        end = time.monotonic() + timeout_ms / 1000
        while (left := end - time.monotonic()) > 0:
            payload = self.hear(int(left * 1000) + 1)
            if payload and isinstance(message := decode(payload), kind):
                return message
        return None


class Victim:
    """The two nodes, and how much the attacked one has grown."""

    def __init__(self, cluster: LocalCluster, logs: Path) -> None:
        self.cluster = cluster
        self._logs = logs
        self.a, self.b = cluster.nodes
        self.port = self.a.address.port
        self.sent = 0
        self._proc = Path("/proc") / str(self.a.pid)

    def turn_round(self) -> None:
        """Attack the other one."""
        self.a, self.b = self.b, self.a
        self.port = self.a.address.port
        self._proc = Path("/proc") / str(self.a.pid)

    def measure(self) -> None:
        """Begin to count from here."""
        (self._proc / "clear_refs").write_text("5")
        self._base = self._peak()

    def grown_mib(self) -> float:
        return (self._peak() - self._base) / 1024

    def descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))

    def turns(self) -> int:
        """How often the two have lost or found each other so far."""
        lines = [
            line
            for path in self._logs.glob("*.log")
            for line in path.read_text().splitlines()
            if '"peer":"node-' in line
        ]
        return sum('"peer.connected"' in line or '"peer.lost"' in line for line in lines)

    def exchange(self) -> None:
        """A write of each node has to arrive at the other one."""
        self.sent += 1
        for here, there in ((self.a, self.b), (self.b, self.a)):
            key = f"{here.node_id}/{self.sent}"
            here.put(key, self.sent)
            eventually(lambda key=key, there=there: there.get(key) == self.sent)  # type: ignore[misc]

    def status(self, name: str, node: LocalNode | None = None) -> PeerStatus | None:
        return next((p for p in (node or self.a).peers() if p.node_id == name), None)

    def _peak(self) -> int:
        status = (self._proc / "status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with LocalCluster(2, directory=tmp_path) as cluster:
        victim = Victim(cluster, tmp_path)
        victim.exchange()
        yield victim
        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert cluster.judge().is_clean


Attack = Callable[[int], None]


def endure(victim: Victim, attack: Attack, *, times: int) -> None:
    """Exchange writes while somebody attacks again and again, so many times at least."""
    done, is_over, failures = 0, Event(), []

    def go_on() -> None:
        nonlocal done
        try:
            while not is_over.is_set():
                attack(victim.port)
                done += 1
        except BaseException as error:  # the test's own thread has to hear of it
            failures.append(error)

    attacker = Thread(target=go_on)
    victim.measure()
    attacker.start()
    try:
        rounds = 0
        end = time.monotonic() + DEADLINE_SECONDS
        while rounds < ROUNDS or (done < times and not failures):
            assert time.monotonic() < end, f"{done} attacks and {rounds} rounds in the time"
            victim.exchange()
            rounds += 1
    finally:
        is_over.set()
        attacker.join(DEADLINE_SECONDS)
    assert failures == []


# Strangers that say nothing, or nothing that a node would.


def greeting(version: bytes, mechanism: bytes) -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


GARBAGE = {
    "zeros": bytes(500),
    "web request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
    "ZMTP 1.0": b"\x01\x00\x06\x00hello",
    "ZMTP 2.0": b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00\x00\x05hello",
    "half a greeting": greeting(b"\x03\x01", b"NULL")[:40],
    "PLAIN": greeting(b"\x03\x01", b"PLAIN"),
    "CURVE": greeting(b"\x03\x01", b"CURVE") + b"\x04\xc8" + b"\x05HELLO" + bytes(194),
    "a frame that is longer than memory": (
        greeting(b"\x03\x01", b"NULL") + b"\x06" + b"\x7f" * 8 + bytes(100)
    ),
}


def test_garbage_of_all_kinds_harms_nobody(victim: Victim) -> None:
    def attack(port: int) -> None:
        with ExitStack() as stack, suppress(OSError):
            for data in GARBAGE.values():
                stack.enter_context(raw_connection(port, data))

    endure(victim, attack, times=20)

    assert victim.grown_mib() < 32


@pytest.mark.parametrize("has_shaken_hands", [False, True], ids=["silent", "silent after hello"])
def test_hundreds_of_connections_that_say_nothing_cost_a_bounded_number_of_descriptors(
    victim: Victim, has_shaken_hands: bool
) -> None:
    connect = silent_but_shaken if has_shaken_hands else raw_connection
    before = victim.descriptors()
    with ExitStack() as stack:

        def attack(port: int) -> None:
            for _ in range(300):
                with suppress(OSError):
                    stack.enter_context(connect(port))

        endure(victim, attack, times=1)
        # Sooner than a handshake is given up.
        eventually(lambda: victim.descriptors() - before <= CALLERS_MAX, seconds=3)
        victim.exchange()
        victim.b.close()
        victim.b.start()
        victim.b.wait_ready()
        victim.exchange()  # a peer that comes back finds room

    # libzmq takes some 64 KB for each that shakes hands, and the attacker makes thousands.
    assert victim.grown_mib() < 128


def test_connections_do_not_take_a_process_its_last_descriptor(victim: Victim) -> None:
    """With none left libzmq would spin, and no file be opened, until the silent ones are cut."""
    limit = victim.descriptors() + 40
    resource.prlimit(victim.a.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with ExitStack() as stack:
        strangers = [stack.enter_context(raw_connection(victim.port)) for _ in range(60)]
        # Sooner than a handshake is given up.
        eventually(lambda: sum(map(is_cut, strangers)) >= 60 - limit // 4, seconds=3)
        assert victim.descriptors() <= limit - 20
        victim.exchange()


def is_cut(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        # A node's own greeting comes first.
        return not connection.recv(100)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def silent_but_shaken(port: int) -> socket.socket:
    connection = raw_connection(port, greeting(b"\x03\x01", b"NULL") + READY)
    connection.settimeout(1)
    heard = b""
    while b"READY" not in heard:
        chunk = connection.recv(4096)
        if not chunk:
            return connection
        heard += chunk
    return connection


READY = b"\x04\x26\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"


# Strangers that shake hands.


@pytest.mark.parametrize("size", [1_000_000, 100, 0])
def test_a_message_of_frames_without_an_end_is_cut_off(victim: Victim, size: int) -> None:
    """libzmq collects the frames of a message until the last one: 0.9 to 4 GB a second here."""
    frame = b"\x03" + struct.pack(">Q", size) if size > 255 else bytes([1, size])
    block = (frame + bytes(size)) * (1 + 1_000_000 // (size + len(frame)))
    # A frame takes 64 bytes beside its own. Who is not cut takes 4 GB, and is let off then.
    blocks = 4_000_000_000 // (len(block) // (size + len(frame)) * (size + 64))
    cut = 0

    def attack(port: int) -> None:
        nonlocal cut
        with silent_node(port) as connection:
            # Whose connection is cut with a full window may hear nothing: nobody reads any more.
            connection.settimeout(1)
            with suppress(OSError):
                for _ in range(blocks):
                    connection.sendall(block)
                return
            cut += 1

    endure(victim, attack, times=5)

    assert cut >= 5
    # Who is new is looked at each 20 ms, and what an attack took is freed when the next is on: 25
    # to 110 MiB. A node that waits for its processor looks later.
    assert victim.grown_mib() < 1_000


@pytest.mark.parametrize("frames", [2, 20_000])
def test_messages_of_several_frames_are_refused_and_their_sender_shut_out(
    victim: Victim, frames: int
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            if stranger.is_let_in():
                stranger.socket.send_multipart([b""] * frames, zmq.NOBLOCK)
                assert stranger.heard(Reject)

    endure(victim, attack, times=6)
    context.destroy(linger=0)

    assert victim.grown_mib() < 64
    evil = victim.status("evil")
    assert evil is not None
    assert evil.state is PeerState.FAULTED
    assert "a message of more than one frame" in evil.last_error


BAD_MESSAGES = {
    "9 deep": b"\x91" * 9,
    "1000 deep": b"\x91" * 1_000 + b"\xc0",
    "a million deep": b"\x91" * 1_000_000,
    "an array of 4 billion": b"\x93\x01\x09\xdd\xff\xff\xff\xff",
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff" + b"\xa1a\xc0" * 1_000,
    "a string of 4 GiB": b"\xdb\xff\xff\xff\xff" + b"x" * 1_000,
    "arrays inside each other that each claim a million": b"\xdd\x00\x0f\xff\xff" * 200_000,
    "a map bomb": b"\x92\x01" + b"\xde\xff\xff" + b"\xa1a\xc0" * 65_535,
    "an extension": b"\x93\x01\x09\xc7\x04\x05abcd",
    "not UTF-8": b"\x93\x01\x09\xa2\xc3\x28",
}


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_deep_and_wide_messages_are_refused_and_their_sender_shut_out(
    victim: Victim, bad: bytes
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            if stranger.is_let_in():
                stranger.say(bad)
                assert stranger.heard(Reject)

    endure(victim, attack, times=6)
    with Stranger(context, victim.port) as stranger:
        stranger.greet(nonce=667)
        rejected = stranger.heard(Reject)
    context.destroy(linger=0)

    assert victim.grown_mib() < 64
    assert isinstance(rejected, Reject)
    assert rejected.reason is RejectReason.BUSY
    assert rejected.words.startswith("shut out for ")
    evil = victim.status("evil")
    assert evil is not None
    assert evil.state is PeerState.FAULTED
    assert evil.last_error.startswith("shut out for ")


# Strangers that pass for somebody.


@pytest.mark.parametrize("attacked", ["who dialled", "who was dialled"])
def test_a_greeting_that_was_recorded_and_is_sent_again_replaces_nobody(
    victim: Victim, attacked: str
) -> None:
    """A node's own greeting, from another connection: it is alive, so the copy is refused."""
    if attacked == "who was dialled":
        victim.turn_round()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with Stranger(context, victim.b.address.port) as stranger:
        stranger.greet(node_id="somebody")
        recorded = stranger.hear(PATIENCE_MS)
    assert recorded is not None
    assert isinstance(decode(recorded), Hello)

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            stranger.say(recorded)
            stranger.hear(100)
            stranger.say(recorded)
            stranger.hear(100)

    before = victim.turns()
    assert before
    endure(victim, attack, times=10)
    context.destroy(linger=0)

    assert victim.grown_mib() < 32
    assert victim.turns() == before


def test_who_takes_the_name_of_a_connected_node_is_refused(victim: Victim) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    reasons: list[RejectReason | None] = []

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            stranger.greet(node_id="node-b", nonce=len(reasons))
            rejected = stranger.heard(Reject)
            reasons.append(rejected.reason if isinstance(rejected, Reject) else None)

    endure(victim, attack, times=3)
    context.destroy(linger=0)

    assert set(reasons) == {RejectReason.DUPLICATE_IDENTITY}
    b = victim.status("node-b")
    assert b is not None
    assert b.state is PeerState.CONNECTED


def test_three_bad_messages_under_the_name_of_a_connected_node_do_not_silence_it(
    victim: Victim,
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            stranger.greet(node_id="node-b", nonce=7)
            stranger.say(b"\xc1")
            stranger.hear(100)

    endure(victim, attack, times=5)
    context.destroy(linger=0)
    victim.b.kill()
    victim.b.restart()
    victim.exchange()

    b = victim.status("node-b")
    assert b is not None
    assert b.state is PeerState.CONNECTED


def test_a_routing_id_of_somebody_elses_is_no_way_in(victim: Victim) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def attack(port: int) -> None:
        squatter = context.socket(zmq.DEALER)
        with squatter:
            squatter.linger = 0
            squatter.routing_id = b"node-b"
            squatter.connect(f"tcp://{LOOPBACK}:{port}")
            squatter.send(encode(replace(HELLO, node_id="node-b")))
            assert not squatter.poll(100)

    endure(victim, attack, times=10)
    context.destroy(linger=0)

    assert victim.grown_mib() < 32


def test_names_by_the_hundred_squeeze_out_nobody(victim: Victim) -> None:
    """257 names, and 65 of them at once, beside the one peer that people have named."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    verdicts: list[Message | None] = []
    with ExitStack() as stack:

        def attack(port: int) -> None:
            stranger = stack.enter_context(Stranger(context, port))
            stranger.greet(node_id=f"evil-{len(verdicts):03}", nonce=len(verdicts))
            payload = stranger.hear(PATIENCE_MS)
            verdicts.append(decode(payload) if payload else None)

        endure(victim, attack, times=100)
    context.destroy(linger=0)

    refused = [v for v in verdicts if isinstance(v, Reject)]
    greeted = [v for v in verdicts if isinstance(v, Hello)]
    assert len(greeted) <= 63 + 1
    assert {v.reason for v in refused} == {RejectReason.BUSY}
    b = victim.status("node-b")
    assert b is not None
    assert b.state is PeerState.CONNECTED


def test_a_flood_of_good_messages_holds_nobody_up(victim: Victim) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ping = encode(Ping(1))

    def attack(port: int) -> None:
        with Stranger(context, port) as stranger:
            stranger.greet()
            end = time.monotonic() + 1
            while time.monotonic() < end:
                stranger.say(ping)

    endure(victim, attack, times=2)
    context.destroy(linger=0)

    assert victim.grown_mib() < 64

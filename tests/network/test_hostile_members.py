"""With security a member that misbehaves pays by its key, and friends go on beside strangers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from softadastra import Client, ClientOptions, Peer
from softadastra.security.key_file import KeyFile
from softadastra.security.keys import KeyPair
from softadastra.security.trust_file import TrustFile
from softadastra.sync.messages import Hello, Message, Reject, RejectReason
from softadastra.sync.wire import decode, encode
from softadastra.transport.curve import new_key_pair
from softadastra.transport.zeromq import ENDLESS
from softadastra.types import PeerState
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.strangers import HELLO
from tests.transport.ends import LOOPBACK, raw_connection


class Friends:
    """Two nodes that trust each other, and trust "evil" too."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.evil = new_key_pair()
        pairs = {"a": new_key_pair(), "b": new_key_pair(), "evil": self.evil}
        for name in ("a", "b"):
            KeyFile(directory / f"{name}.key").make(pairs[name])
            for other, pair in pairs.items():
                if other != name:
                    TrustFile(directory / f"{name}.trusted").trust(other, pair.public)
        self.a, self.b = (self._start(stack, directory, name) for name in ("a", "b"))
        assert self.b.transport_port is not None
        assert self.a.transport_port is not None
        self.port = self.a.transport_port
        self._key_of_a = pairs["a"].public
        self.b.connect(Peer.local("a", self.port))
        self.context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        self.sent = 0

    def _start(self, stack: ExitStack, directory: Path, name: str) -> Client:
        node = stack.enter_context(
            Client(
                ClientOptions.memory_only(
                    name,
                    enable_transport=True,
                    security="curve",
                    key_path=directory / f"{name}.key",
                )
            )
        )
        node.start_transport()
        return node

    def knock(self, stack: ExitStack, pair: KeyPair) -> zmq.Socket[bytes]:
        """Dial node a with a key."""
        dealer = stack.enter_context(self.context.socket(zmq.DEALER))
        dealer.linger = 0
        dealer.setsockopt(zmq.RECONNECT_IVL, -1)
        dealer.setsockopt(zmq.CURVE_SERVERKEY, self._key_of_a.raw)
        dealer.setsockopt(zmq.CURVE_PUBLICKEY, pair.public.raw)
        dealer.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.raw)
        dealer.connect(f"tcp://{LOOPBACK}:{self.port}")
        return dealer

    def exchange(self) -> None:
        """A write of each node has to arrive at the other one."""
        self.sent += 1
        self.a[f"a/{self.sent}"] = self.b[f"b/{self.sent}"] = self.sent
        eventually(lambda: self.b.get(f"a/{self.sent}") == self.sent)
        eventually(lambda: self.a.get(f"b/{self.sent}") == self.sent)

    def state_of(self, name: str) -> tuple[PeerState, str]:
        (found,) = (peer for peer in self.a.peers() if peer.node_id == name)
        return found.state, found.last_error


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def friends(tmp_path: Path, stack: ExitStack) -> Friends:
    friends = Friends(tmp_path, stack)
    friends.exchange()
    return friends


def answer(dealer: zmq.Socket[bytes]) -> Message:
    assert dealer.poll(int(DEADLINE_SECONDS * 1000))
    return decode(dealer.recv())


def test_three_bad_messages_shut_out_a_key_by_whatever_process_and_nobody_else(
    friends: Friends, stack: ExitStack
) -> None:
    for nonce in range(3):
        with ExitStack() as one:
            dealer = friends.knock(one, friends.evil)
            dealer.send(encode(replace(HELLO, nonce=nonce)))
            assert isinstance(answer(dealer), Hello)
            dealer.send_multipart([b"two", b"frames"])
            eventually(lambda: friends.state_of("evil")[0] is not PeerState.CONNECTED)
        friends.exchange()

    dealer = friends.knock(stack, friends.evil)
    dealer.send(encode(replace(HELLO, nonce=99)))
    refused = answer(dealer)
    friends.exchange()

    assert isinstance(refused, Reject)
    assert refused.reason is RejectReason.BUSY
    state, words = friends.state_of("evil")
    assert state is PeerState.FAULTED
    assert words.startswith("shut out for ")
    assert "a message of more than one frame" in words
    assert friends.state_of("b")[0] is PeerState.CONNECTED


def test_a_members_key_under_the_name_of_another_one_touches_that_one_not(
    friends: Friends,
) -> None:
    for _ in range(5):
        with ExitStack() as one:
            dealer = friends.knock(one, friends.evil)
            dealer.send(encode(replace(HELLO, node_id="b")))
            refused = answer(dealer)
            assert isinstance(refused, Reject)
            assert refused.reason is RejectReason.UNAUTHORIZED
        friends.exchange()

    assert friends.state_of("b")[0] is PeerState.CONNECTED


def test_a_greeting_of_another_member_that_was_recorded_is_of_no_use(friends: Friends) -> None:
    """The greeting says b, and the key says evil, however true the greeting was."""
    node = friends.b._opened()
    recorded = encode(replace(HELLO, node_id="b", nonce=node.engine._answers._nonce))
    for _ in range(3):
        with ExitStack() as one:
            dealer = friends.knock(one, friends.evil)
            dealer.send(recorded)
            assert isinstance(answer(dealer), Reject)
        friends.exchange()


def test_friends_go_on_while_strangers_come_by_the_hundred(
    friends: Friends, stack: ExitStack
) -> None:
    for _ in range(50):
        friends.knock(stack, new_key_pair()).send(b"let me in")
    for _ in range(250):
        stack.enter_context(raw_connection(friends.port))
    for _ in range(5):
        friends.exchange()

    assert {peer.node_id for peer in friends.a.peers()} == {"b"}


@pytest.mark.skipif(sys.platform != "linux", reason="how much came over a connection is not told")
def test_a_message_of_a_gigabyte_is_cut_off_though_it_comes_from_a_member(
    friends: Friends, stack: ExitStack
) -> None:
    """libzmq would collect all of it before the node hears of it."""
    dealer = friends.knock(stack, friends.evil)
    dealer.send(encode(HELLO))
    assert isinstance(answer(dealer), Hello)
    # The peak begins here. One piece of memory a thousand times costs the sender nothing.
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    dealer.send_multipart([bytes(1_000_000)] * 1_000, copy=False)
    eventually(lambda: friends.state_of("evil")[0] is not PeerState.CONNECTED)
    friends.exchange()

    assert peak_mib() - before < 256
    assert ENDLESS in friends.state_of("evil")[1]


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

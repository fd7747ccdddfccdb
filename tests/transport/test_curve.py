"""With keys, nobody comes in and nobody answers but those whom the list names, at each moment."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from softadastra.errors import TransportError
from softadastra.security.keyring import Keyring
from softadastra.security.keys import KeyPair
from softadastra.security.repeats import TELLINGS_MAX
from softadastra.security.trust_file import TrustFile
from softadastra.transport import gate, guard, listener, proof
from softadastra.transport.curve import new_key_pair, public_key_of
from softadastra.transport.gate import Gate, Knock
from softadastra.transport.links import (
    FRAME_BYTES_MAX,
    AuthFailed,
    DownReason,
    Link,
    LinkUp,
    Refused,
    SendResult,
    TrustChanged,
)

from .conftest import Open, OpenRaw
from .ends import LOOPBACK, End, await_monitor, join, raw_connection, until


class Node(End):
    """A transport with security, and whom it trusts."""

    def __init__(self, node_id: str, directory: Path) -> None:
        self.node_id = node_id
        self.keys = new_key_pair()
        self.trust = TrustFile(directory / f"{node_id}.trusted")
        super().__init__(Keyring(self.keys, self.trust))

    @property
    def fingerprint(self) -> str:
        return self.keys.public.fingerprint

    def trusts(self, *others: Node) -> None:
        """Trust others from now on, and wait until it counts."""
        for other in others:
            self.trust.trust(other.node_id, other.keys.public)
        self.await_trust(lambda change: {other.node_id for other in others} <= set(change.added))

    def revokes(self, other: Node) -> None:
        self.trust.revoke(other.node_id)

    def await_trust(self, condition: Callable[[TrustChanged], bool]) -> None:
        until(lambda: any(isinstance(e, TrustChanged) and condition(e) for e in self.told), self)

    def failures(self) -> list[AuthFailed]:
        return [event for event in self.told if isinstance(event, AuthFailed)]


OpenNode = Callable[[str], Node]


@pytest.fixture
def open_node(tmp_path: Path) -> Iterator[OpenNode]:
    with ExitStack() as stack:

        def make(node_id: str) -> Node:
            node = Node(node_id, tmp_path)
            stack.callback(node.transport.close)
            return node

        yield make


def dial(dialler: Node, other: Node, port: int) -> Link:
    return dialler.transport.dial(LOOPBACK, port, other.node_id)


def connect(dialler: Node, other: Node, port: int) -> tuple[Link, Link]:
    """Connect two nodes that trust each other; the link's number here and there."""
    known = len(other.came_up())
    link = dial(dialler, other, port)
    until(lambda: any(up.link == link for up in dialler.came_up()), dialler, other)
    assert dialler.transport.send(link, b"first") is SendResult.SENT
    until(lambda: len(other.came_up()) > known, dialler, other)
    return link, other.came_up()[-1].link


def friends(open_node: OpenNode) -> tuple[Node, Node, int]:
    a, b = open_node("a"), open_node("b")
    a.trusts(b)
    b.trusts(a)
    return a, b, b.listen()


def end_of(node: Node, link: Link, *others: End) -> str:
    """Wait until a link is down; say why."""
    until(lambda: any(down.link == link for down in node.went_down()), node, *others)
    return next(down.reason for down in node.went_down() if down.link == link)


def stranger(
    open_raw: OpenRaw, node: Node, port: int, keys: KeyPair | None = None
) -> zmq.Socket[bytes]:
    """A bare DEALER with a key of its own, drawn or given, which knows that of the node."""
    dealer = open_raw(zmq.DEALER)
    keys = keys or new_key_pair()
    dealer.curve_serverkey = z85.encode(node.keys.public.raw)
    dealer.curve_publickey = z85.encode(keys.public.raw)
    dealer.curve_secretkey = z85.encode(keys.secret.raw)
    dealer.connect(f"tcp://{LOOPBACK}:{port}")
    return dealer


def watch(open_raw: OpenRaw, dealer: zmq.Socket[bytes], event: int) -> zmq.Socket[bytes]:
    """Give a socket that has something to read when something has happened to a bare one."""
    monitor = open_raw(zmq.PAIR)
    dealer.monitor("inproc://watched", event)
    monitor.connect("inproc://watched")
    return monitor


def test_two_nodes_that_trust_each_other_know_with_whom_they_talk(open_node: OpenNode) -> None:
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)

    assert a.came_up() == [LinkUp(link, True, f"{LOOPBACK}:{port}", "b")]
    assert b.came_up() == [LinkUp(there, False, LOOPBACK, "a")]
    assert b.transport.send(there, b"hello") is SendResult.SENT
    until(lambda: a.payloads(link) == [b"hello"], a, b)
    assert b.payloads(there) == [b"first"]


def test_a_stranger_is_told_off_and_named_by_its_key(
    open_node: OpenNode, open_raw: OpenRaw
) -> None:
    _, b, port = friends(open_node)
    keys = new_key_pair()
    dealer = stranger(open_raw, b, port, keys)
    dealer.send(b"let me in")
    until(b.failures, b)

    assert b.failures() == [AuthFailed("", LOOPBACK, "stranger", keys.public.fingerprint, "", 1)]
    assert b.events == []


def test_a_node_that_is_not_trusted_there_hears_that_its_key_was_refused(
    open_node: OpenNode,
) -> None:
    a, b = open_node("a"), open_node("b")
    a.trusts(b)
    reason = end_of(a, dial(a, b, port := b.listen()), b)

    assert reason == (
        f"auth_failed: 'b' does not trust this node's key {a.fingerprint};"
        " there, softadastra keys trust, or pair"
    )
    assert a.failures() == [
        AuthFailed("b", f"{LOOPBACK}:{port}", "not_trusted", a.fingerprint, "", 1)
    ]
    assert b.failures() == [AuthFailed("", LOOPBACK, "stranger", a.fingerprint, "", 1)]


def test_a_node_whose_key_is_not_known_is_not_dialled(open_node: OpenNode) -> None:
    a, b = open_node("a"), open_node("b")
    reason = end_of(a, dial(a, b, b.listen()))

    assert reason.startswith("auth_failed: no key of 'b' is trusted here")
    assert a.failures() == [AuthFailed("b", "", "unpinned", "", "", 1)]
    assert b.poll() == []


def test_who_answers_with_another_key_than_the_pinned_one_is_not_believed(
    open_node: OpenNode,
) -> None:
    """The name was taken over, or the node has lost its keys: both are told, never healed."""
    a, b, _ = friends(open_node)
    impostor = open_node("impostor")
    impostor.trusts(a)
    port = impostor.listen()
    reason = end_of(a, dial(a, b, port), impostor)

    assert reason == (
        f"auth_failed: {LOOPBACK}:{port} did not prove the key of 'b':"
        f" expected {b.fingerprint}, seen none"
    )
    assert a.failures() == [
        AuthFailed("b", f"{LOOPBACK}:{port}", "not_proved", "", b.fingerprint, 1)
    ]
    assert a.came_up() == []


def test_the_key_that_knocked_from_there_is_named_as_the_one_that_was_seen(
    open_node: OpenNode,
) -> None:
    a, b, _ = friends(open_node)
    impostor = open_node("b-anew")
    impostor.trusts(a)
    end_of(impostor, dial(impostor, a, a.listen()), a)
    reason = end_of(a, dial(a, b, impostor.listen()), impostor)

    assert f"expected {b.fingerprint}, seen {impostor.fingerprint}" in reason


def test_a_host_is_the_same_one_however_it_reaches_a_listener_of_both_kinds(
    open_node: OpenNode,
) -> None:
    """On "::" the system calls it "::ffff:127.0.0.1"."""
    a, b, _ = friends(open_node)
    impostor = open_node("b-anew")
    impostor.trusts(a)
    end_of(impostor, dial(impostor, a, a.listen("::")), a)
    reason = end_of(a, dial(a, b, impostor.listen()), impostor)

    assert f"expected {b.fingerprint}, seen {impostor.fingerprint}" in reason


def test_of_two_strangers_from_one_host_none_is_named_as_the_one_that_was_seen(
    open_node: OpenNode,
) -> None:
    a, b, _ = friends(open_node)
    port = a.listen()
    others = [open_node("c"), open_node("d")]
    for other in others:
        other.trusts(a)
        end_of(other, dial(other, a, port), a)
    reason = end_of(a, dial(a, b, others[0].listen()), others[0])

    assert reason.endswith("seen none")


def test_a_node_without_security_hears_that_a_key_is_asked_for(
    open_node: OpenNode, open_end: Open
) -> None:
    _, b, port = friends(open_node)
    plain = open_end()
    link = plain.transport.dial(LOOPBACK, port)
    until(plain.went_down, plain, b)

    # Whichever of the two notices first hangs up, and the other one may not hear why.
    (down,) = plain.went_down()
    assert down.link == link
    assert down.reason in (DownReason.SECURITY_ASKED, DownReason.HANDSHAKE_FAILED)
    assert b.events == []


def test_a_node_without_security_is_not_talked_to(open_node: OpenNode, open_end: Open) -> None:
    a, b, _ = friends(open_node)
    plain = open_end()
    reason = end_of(a, dial(a, b, port := plain.listen()), plain)

    assert reason.startswith(f"auth_failed: {LOOPBACK}:{port} did not prove the key of 'b'")
    assert plain.events == []


def test_the_list_of_trusted_keys_is_read_again_each_second(open_node: OpenNode) -> None:
    a, b, _ = friends(open_node)
    inside = a.transport._guard
    assert inside is not None
    a.revokes(b)
    due_ms = inside.due_ms

    assert inside.reread(due_ms - 1) is None
    assert inside.reread(due_ms) == TrustChanged((), ("b",), "")
    assert inside.due_ms == due_ms + 1_000


def test_a_revoked_node_is_cut_off_at_once_though_it_dialled_and_does_not_want_to_go(
    open_node: OpenNode, open_raw: OpenRaw
) -> None:
    """Its TCP connection ends: the node does not have to throw away what it goes on sending."""
    _, b, port = friends(open_node)
    hostile = open_node("hostile")
    b.trusts(hostile)
    dealer = stranger(open_raw, b, port, hostile.keys)
    monitor = watch(open_raw, dealer, zmq.EVENT_DISCONNECTED)
    dealer.send(b"hello")
    until(lambda: b"hello" in b.payloads(), b)
    link = b.came_up()[-1].link

    b.revokes(hostile)
    assert end_of(b, link) == guard.REVOKED
    assert b.transport.send(link, b"?") is SendResult.GONE
    until(lambda: monitor.poll(0), b)

    dealer.disable_monitor()
    dealer.send(b"still here?")
    until(b.failures, b)  # it connects anew by itself, and is a stranger
    assert b"still here?" not in b.payloads()


def test_a_revoked_node_is_cut_off_at_once_though_it_was_dialled(open_node: OpenNode) -> None:
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    a.revokes(b)

    assert end_of(a, link, b) == guard.REVOKED
    until(lambda: b.transport.send(there, b"?") is SendResult.GONE, a, b)
    assert end_of(a, dial(a, b, port)).startswith("auth_failed: no key of 'b'")


def test_a_node_is_revoked_in_the_turn_in_which_its_connection_ends(open_node: OpenNode) -> None:
    """As when each of two nodes revokes the other one."""
    a, b, port = friends(open_node)
    link, _ = connect(a, b, port)
    a.revokes(b)
    inside = a.transport._guard
    assert inside is not None
    inside.due_ms = 0
    b.transport.close()
    await_monitor(a, link)

    assert end_of(a, link) == guard.REVOKED


def test_a_node_with_a_new_key_is_cut_off_with_the_old_one(open_node: OpenNode) -> None:
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    b.revokes(a)
    b.trust.trust("a", new_key_pair().public)

    assert end_of(b, there, a) == guard.REVOKED
    assert end_of(a, link, b) == DownReason.CONNECTION_CLOSED


def test_others_stay_connected_when_one_is_revoked(open_node: OpenNode) -> None:
    a, b, port = friends(open_node)
    c = open_node("c")
    c.trusts(b)
    b.trusts(c)
    _, there = connect(a, b, port)
    link_c, there_c = connect(c, b, port)
    b.revokes(a)
    end_of(b, there, a, c)

    assert b.transport.send(there_c, b"hello") is SendResult.SENT
    until(lambda: c.payloads(link_c) == [b"hello"], b, c)


def test_a_node_that_is_trusted_meanwhile_comes_in_without_a_restart(open_node: OpenNode) -> None:
    a, b = open_node("a"), open_node("b")
    a.trusts(b)
    port = b.listen()
    assert end_of(a, dial(a, b, port), b).startswith("auth_failed: 'b' does not trust")

    b.trusts(a)
    link, there = connect(a, b, port)
    assert a.transport.send(link, b"hello") is SendResult.SENT
    until(lambda: b.payloads(there) == [b"first", b"hello"], a, b)


def test_a_list_that_cannot_be_used_cuts_off_everybody_and_is_told(open_node: OpenNode) -> None:
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    b.trust.path.chmod(0o666)
    end_of(b, there, a)
    end_of(a, link, b)

    b.await_trust(lambda change: "others can change it" in change.problem)
    b.told.clear()
    b.trust.path.chmod(0o600)
    b.await_trust(lambda change: change.added == ("a",))
    connect(a, b, port)


def test_every_message_is_checked_and_not_the_first_alone(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose key has become another node's by now says nothing more."""
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    monkeypatch.setattr(guard.Guard, "node_of", lambda *_: "c")
    a.transport.send(link, b"hello")

    assert end_of(b, there, a) == guard.REVOKED
    assert b.payloads(there) == [b"first"]


def test_a_connection_without_a_proved_key_says_nothing(
    open_node: OpenNode, open_raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lock: were one let in by mistake, its first message would be refused."""
    _, b, port = friends(open_node)
    monkeypatch.setattr(
        Gate, "_judge", lambda _, question: Knock(new_key_pair().public, LOOPBACK, is_let_in=True)
    )
    dealer = stranger(open_raw, b, port)
    monitor = watch(open_raw, dealer, zmq.EVENT_DISCONNECTED)
    dealer.send(b"let me in")
    until(b.went_down, b)

    assert b.refused() == [Refused(b.refused()[0].link, "a peer whose key is not trusted")]
    assert b.payloads() == []
    until(lambda: monitor.poll(0), b)
    dealer.disable_monitor()


def test_the_largest_frame_passes_and_a_larger_one_ends_its_link(
    open_node: OpenNode, open_raw: OpenRaw
) -> None:
    """Encryption adds to a frame, and the limit of libzmq counts that too."""
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    largest = bytes(FRAME_BYTES_MAX)
    assert a.transport.send(link, largest) is SendResult.SENT
    until(lambda: largest in b.payloads(there), a, b)
    assert b.transport.send(there, largest) is SendResult.SENT
    until(lambda: largest in a.payloads(link), a, b)

    hostile = open_node("hostile")
    b.trusts(hostile)
    dealer = stranger(open_raw, b, port, hostile.keys)
    dealer.send(b"hello")
    until(lambda: b"hello" in b.payloads(), b)
    dealer.send(bytes(FRAME_BYTES_MAX + 1))
    until(lambda: b.transport.send(b.came_up()[-1].link, b"?") is SendResult.GONE, b)
    assert max(len(payload) for payload in b.payloads()) == FRAME_BYTES_MAX


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much has come")
@pytest.mark.parametrize("is_secure", [False, True])
def test_whatever_a_node_says_is_accounted_for_to_the_last_byte_but_its_handshake(
    open_node: OpenNode, open_end: Open, is_secure: bool
) -> None:
    """Else what is missing would add up, until an honest node is taken for one that stuffs."""
    if is_secure:
        a, b, port = friends(open_node)
        link, there = connect(a, b, port)
        ends: tuple[End, End] = a, b
    else:
        ends = open_end(), open_end()
        link, there = join(*ends, ends[1].listen())
    sizes = [1, 200, 221, 222, 223, 255, 256, 65_536] * 50
    for n, size in enumerate(sizes, start=2):
        assert ends[0].transport.send(link, bytes(size)) is SendResult.SENT
        assert ends[1].transport.send(there, bytes(size)) is SendResult.SENT
        until(lambda n=n: len(ends[1].payloads(there)) == n, *ends)  # type: ignore[misc]
        until(lambda n=n: len(ends[0].payloads(link)) == n - 1, *ends)  # type: ignore[misc]
    inside = ends[1].transport._listener
    outside = ends[0].transport._dialled[link].intake
    assert inside is not None
    assert outside is not None
    (intake,) = inside.callers.intakes()

    for each in (intake, outside):
        each.look()
        assert 0 <= each.pending_bytes < 1_000


def test_a_node_proves_before_it_listens_that_a_random_key_is_refused(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    knocks: list[Knock | None] = []
    answer = Gate.answer

    def watched(asked: Gate) -> Knock | None:
        knocks.append(answer(asked))
        return knocks[-1]

    monkeypatch.setattr(Gate, "answer", watched)
    b = open_node("b")
    b.listen()

    (knock,) = knocks
    assert knock is not None
    assert not knock.is_let_in
    assert b.poll() == []


def test_a_node_that_would_let_in_a_random_key_does_not_start(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the handler's answer is wrong, or it was asked about another domain."""
    monkeypatch.setattr(
        Gate, "_judge", lambda _, question: Knock(new_key_pair().public, LOOPBACK, is_let_in=True)
    )
    with pytest.raises(TransportError, match="a random key was let in"):
        open_node("b").listen()


def test_a_node_that_forgot_to_ask_does_not_start(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CURVE without a domain encrypts for everybody: nothing else would ever show it."""

    def serve(router: zmq.Socket[bytes], own: KeyPair) -> None:
        router.setsockopt(zmq.CURVE_SERVER, 1)
        router.setsockopt(zmq.CURVE_SECRETKEY, own.secret.raw)

    monkeypatch.setattr(listener, "serve", serve)
    node = open_node("b")
    node.transport._guard.gate.socket.unbind("inproc://zeromq.zap.01")  # type: ignore[union-attr]
    with pytest.raises(TransportError, match="a random key was let in"):
        node.listen()


def test_a_node_whose_gate_does_not_answer_does_not_start(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody is let in, and nothing would work: better told at once."""
    monkeypatch.setattr(proof, "HANDSHAKE_TIMEOUT_MS", 300)
    node = open_node("b")
    node.transport._guard.gate.socket.unbind("inproc://zeromq.zap.01")  # type: ignore[union-attr]
    with pytest.raises(TransportError, match="nothing shows that strangers are refused"):
        node.listen()


def test_a_node_that_was_asked_about_another_domain_does_not_start(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stranger is refused, and so would be everybody: not for its key."""
    monkeypatch.setattr(gate, "ZAP_DOMAIN", b"another")
    with pytest.raises(TransportError, match="nothing shows that strangers are refused"):
        open_node("b").listen()


def test_a_port_that_was_not_proved_is_given_back(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = open_node("b")
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(
        Gate, "_judge", lambda _, question: Knock(new_key_pair().public, LOOPBACK, is_let_in=True)
    )
    with pytest.raises(TransportError):
        node.listen(port=port)
    monkeypatch.undo()

    until(lambda: is_free(port))
    assert node.listen(port=port) == port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "::"])
def test_the_proof_finds_the_socket_wherever_it_listens(open_node: OpenNode, host: str) -> None:
    assert open_node("b").listen(host) > 0


def test_a_libzmq_without_curve_is_told_in_words(
    open_node: OpenNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = new_key_pair()
    monkeypatch.setattr(zmq, "has", lambda name: name != "curve")
    for call in (new_key_pair, lambda: public_key_of(keys.secret)):
        with pytest.raises(TransportError, match="needs a libzmq with CURVE"):
            call()


def test_a_public_key_is_that_of_its_secret_one() -> None:
    keys = new_key_pair()

    assert public_key_of(keys.secret) == keys.public
    assert new_key_pair() != keys


def has_heard(node: Node, link: Link, count: int) -> bool:
    return len(node.payloads(link)) == count


def test_strangers_by_the_hundred_leave_friends_connected(
    open_node: OpenNode, open_raw: OpenRaw
) -> None:
    a, b, port = friends(open_node)
    link, there = connect(a, b, port)
    dealers = [stranger(open_raw, b, port) for _ in range(100)]
    silent = [raw_connection(port) for _ in range(50)]
    for dealer in dealers:
        dealer.send(b"let me in")
    for number in range(10):
        assert a.transport.send(link, b"hello") is SendResult.SENT
        goal = number + 2
        until(partial(has_heard, b, there, goal), a, b)
    until(lambda: len(b.failures()) >= 16, a, b)
    for connection in silent:
        connection.close()

    assert len(b.came_up()) == 1
    assert len(b.failures()) == 16  # the rest is counted, and fills no log


@pytest.mark.parametrize("is_dialled", [False, True])
def test_a_peer_that_hangs_up_once_while_it_closes_is_not_told_to_be_somebody_else(
    open_node: OpenNode, is_dialled: bool
) -> None:
    """A node that is dialled at once, when its connection has ended, is often not gone yet."""
    a, b, port = friends(open_node)
    impostor = open_node("impostor")
    impostor.trusts(a)
    closing = impostor.listen()
    if is_dialled:
        link, _ = connect(a, b, port)
    else:
        _, link = connect(b, a, a.listen())
    a.transport.drop(link)

    assert "did not prove the key of 'b'" in end_of(a, dial(a, b, closing), impostor)
    assert a.failures() == []

    end_of(a, dial(a, b, closing), impostor)
    assert [failure.reason for failure in a.failures()] == ["not_proved"]


def test_strangers_do_not_keep_it_from_being_told_that_a_peer_is_not_who_it_was(
    open_node: OpenNode, open_raw: OpenRaw
) -> None:
    """As many are told of as are told of in a minute, and the one that matters comes then."""
    a, b, _ = friends(open_node)
    port = a.listen()
    dealers = [stranger(open_raw, a, port) for _ in range(2 * TELLINGS_MAX)]
    for dealer in dealers:
        dealer.send(b"let me in")
    until(lambda: len(a.failures()) == TELLINGS_MAX, a)
    impostor = open_node("impostor")
    impostor.trusts(a)
    end_of(a, dial(a, b, impostor.listen()), impostor)

    assert a.failures()[-1].reason == "not_proved"

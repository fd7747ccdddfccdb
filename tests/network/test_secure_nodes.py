"""Whole nodes with security, on the loopback interface. Real time, waited for by condition."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from softadastra import Client, ClientOptions, Peer, StoreError, TransportError
from softadastra.errors import InvalidArgumentError
from softadastra.security.key_file import KeyFile
from softadastra.security.keys import KeyPair
from softadastra.security.trust_file import TrustFile
from tests.eventually import DEADLINE_SECONDS, eventually

from .recording_relay import RecordingRelay


class Nodes:
    """Nodes whose files are in one directory."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def start(self, node_id: str, **settings) -> Client:
        options = ClientOptions.persistent(
            node_id, self.directory / f"{node_id}.wal", enable_transport=True, **settings
        )
        node = self._stack.enter_context(Client(options))
        node.start_transport()
        return node

    def secure(self, node_id: str, **settings) -> Client:
        return self.start(node_id, security="curve", **settings)

    def friends(self) -> tuple[Client, Client]:
        """Start two nodes that trust each other, and connect them."""
        a, b = self.secure("a"), self.secure("b")
        trust(a, b)
        trust(b, a)
        a_knows(a, "b")
        a_knows(b, "a")
        a.connect(address(b))
        return a, b


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(tmp_path, stack)


def keys(node: Client) -> KeyPair:
    return KeyFile(node.options.resolved_key_path()).load()


def list_of(node: Client) -> TrustFile:
    return TrustFile(node.options.resolved_trust_path())


def trust(node: Client, other: Client) -> None:
    list_of(node).trust(other.options.node_id, keys(other).public)


def a_knows(node: Client, node_id: str) -> None:
    """Wait until a running node has seen that another one is trusted."""
    opened = node._opened()
    transport: Any = opened._reactor._transport  # type: ignore[union-attr]
    eventually(lambda: transport._guard._keyring.key_of(node_id))


def address(node: Client, node_id: str | None = None) -> Peer:
    assert node.transport_port is not None
    return Peer.local(node_id or node.options.node_id, node.transport_port)


def last_error(node: Client, node_id: str) -> str:
    return {peer.node_id: peer.last_error for peer in node.peers()}.get(node_id, "")


def test_nodes_make_their_keys_by_themselves_and_replicate_once_they_trust_each_other(
    nodes: Nodes,
) -> None:
    a, b = nodes.friends()
    a["from-a"] = 1
    b["from-b"] = 2

    eventually(lambda: dict(a) == dict(b) == {"from-a": 1, "from-b": 2})
    assert a.wait_synced(DEADLINE_SECONDS)
    assert keys(a) != keys(b)
    assert a.options.resolved_key_path() == nodes.directory / "a.wal.key"


def test_a_node_keeps_its_keys_over_restarts(nodes: Nodes) -> None:
    a, _ = nodes.friends()
    before = keys(a)
    a.stop_transport()
    a.start_transport()

    assert keys(a) == before


def test_a_node_with_a_log_in_memory_has_keys_too(nodes: Nodes, tmp_path: Path) -> None:
    options = ClientOptions.memory_only(
        "m", key_path=tmp_path / "m.key", enable_transport=True, security="curve"
    )
    with Client(options) as m:
        m.start_transport()

        assert keys(m).public.fingerprint
    assert not list(tmp_path.glob("*.wal"))


def test_a_stranger_learns_and_changes_nothing(nodes: Nodes) -> None:
    a, b = nodes.friends()
    a["secret"] = "for friends"
    mallory = nodes.secure("mallory")
    trust(mallory, a)
    a_knows(mallory, "a")
    mallory["secret"] = "mine"
    with pytest.raises(TransportError, match="'a' does not trust this node's key"):
        mallory.connect(address(a))
    plain = nodes.start("plain")
    plain["secret"] = "mine"
    with pytest.raises(TransportError, match=r"auth_failed|handshake failed"):
        plain.connect(address(a))

    eventually(lambda: b.get("secret") == "for friends")
    assert mallory["secret"] == plain["secret"] == "mine"
    assert {peer.node_id for peer in a.peers()} == {"b"}
    assert a["secret"] == "for friends"


def test_a_key_speaks_for_its_own_node_alone(nodes: Nodes) -> None:
    """A member that says it is another one is refused, and hears why."""
    a, b = nodes.friends()
    liar = nodes.secure("c", key_path=b.options.resolved_key_path())
    b.close()
    a_knows(liar, "a")
    with pytest.raises(TransportError, match="rejected: unauthorized: the key of 'b' was proved"):
        liar.connect(address(a))

    assert last_error(liar, "a").startswith("rejected: unauthorized")
    assert {peer.node_id for peer in a.peers()} == {"b"}


def test_a_revoked_peer_is_cut_off_by_itself_and_a_trusted_one_comes_back(
    nodes: Nodes,
) -> None:
    a, b = nodes.friends()
    a["k"] = 1
    eventually(lambda: b.get("k") == 1)
    list_of(b).revoke("a")
    eventually(lambda: last_error(b, "a") == "auth_failed: its key is not trusted here any more")

    a["k"] = 2
    eventually(lambda: "'b' does not trust this node's key" in last_error(a, "b"))
    assert b["k"] == 1

    trust(b, a)
    eventually(lambda: b["k"] == 2)
    assert (last_error(a, "b"), last_error(b, "a")) == ("", "")


def test_a_changed_key_of_a_pinned_name_is_named_on_both_sides_and_never_accepted(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="softadastra")
    a, b = nodes.friends()
    pinned, port = keys(b).public, b.transport_port
    b.close()
    b.options.resolved_key_path().unlink()
    again = nodes.secure("b", transport_port=port)
    renewed = keys(again).public
    again["k"] = "from somebody"
    with pytest.raises(TransportError):
        again.connect(address(a))

    expected = f"expected {pinned.fingerprint}, seen {renewed.fingerprint}"
    eventually(lambda: expected in last_error(a, "b"))
    assert last_error(a, "b").startswith("auth_failed: ")
    assert f"this node's key {renewed.fingerprint}" in last_error(again, "a")
    eventually(lambda: f"expected={pinned.fingerprint}" in caplog.text)
    assert f"seen={renewed.fingerprint}" in caplog.text
    assert "k" not in a


def test_an_address_of_another_member_is_not_taken_for_the_one_that_was_meant(
    nodes: Nodes,
) -> None:
    a, b = nodes.friends()
    c = nodes.secure("c")
    trust(c, a)
    trust(a, c)
    a_knows(a, "c")
    with pytest.raises(TransportError, match="did not prove the key of 'b'"):
        b.stop_transport()
        a.connect(address(c, "b"))


@pytest.mark.parametrize("of_what", ["key", "trusted"])
def test_a_node_whose_files_others_can_reach_does_not_start_its_transport(
    nodes: Nodes, of_what: str
) -> None:
    a, b = nodes.friends()
    a.stop_transport()
    path = a.options.resolved_key_path() if of_what == "key" else list_of(a).path
    path.chmod(0o666)
    with pytest.raises(StoreError, match="so that others can"):
        a.start_transport()
    a["k"] = 1  # local work goes on

    path.chmod(0o600)
    a.start_transport()
    eventually(lambda: b.get("k") == 1)


def test_two_keys_that_do_not_belong_together_are_refused(nodes: Nodes) -> None:
    a, b = nodes.friends()
    mixed = KeyPair(keys(a).public, keys(b).secret)
    a.close()
    a.options.resolved_key_path().unlink()
    KeyFile(a.options.resolved_key_path()).make(mixed)
    with pytest.raises(StoreError, match="do not belong together"):
        nodes.secure("a")


def test_with_security_a_node_may_listen_beyond_this_machine(tmp_path: Path) -> None:
    options = ClientOptions.persistent("a", tmp_path / "a.wal").with_transport("0.0.0.0", 0)
    with pytest.raises(InvalidArgumentError, match=r'set security="curve"'):
        Client(options).open()

    options.security = "curve"
    options.validate()


KEY, VALUE = "patient/4711", "the-diagnosis-of-the-patient"


@pytest.mark.parametrize("security", ["curve", None])
def test_traffic_with_security_has_no_key_no_value_and_no_secret(
    nodes: Nodes, security: str | None
) -> None:
    """Without security the same recording has all of it, so that it is known to be one."""
    a, b = nodes.start("node-a", security=security), nodes.start("node-b", security=security)
    if security is not None:
        for one, other in ((a, b), (b, a)):
            trust(one, other)
            a_knows(one, other.options.node_id)
    assert b.transport_port is not None
    with RecordingRelay(b.transport_port) as relay:
        a.connect(Peer.local("node-b", relay.port))
        a[KEY] = VALUE
        b[f"{KEY}/back"] = f"{VALUE}-back"
        eventually(lambda: a.get(f"{KEY}/back") == f"{VALUE}-back" and b.get(KEY) == VALUE)
        assert a.wait_synced(DEADLINE_SECONDS)
        a.close()
        b.close()
    there, back = relay.recorded()

    assert len(there) > 300
    assert len(back) > 300
    clear = [KEY.encode(), VALUE.encode(), b"node-a", b"node-b", b"default"]
    if security is None:
        assert all(word in there for word in clear)
        assert f"{VALUE}-back".encode() in back
        return
    for node in (a, b):
        pair = keys(node)
        clear += [pair.secret.raw, pair.secret.text().encode(), pair.secret.raw.hex().encode()]
        clear += [pair.public.raw, str(pair.public).encode()]
    for word in clear:
        assert word not in there + back

"""Addresses of peers, and the small conclusions that the result types draw."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError
from softadastra.types import (
    Entry,
    NodeInfo,
    Peer,
    PeerSource,
    PeerState,
    PeerStatus,
    PutResult,
    SyncState,
)

SYNC_STATE = SyncState(
    outbox_size=3,
    queued_count=1,
    in_flight_count=0,
    acknowledged_count=2,
    failed_count=0,
    held_count=0,
    total_retries=0,
    last_submitted_version=3,
    last_applied_remote_version=0,
)

PEER_STATUS = PeerStatus(
    node_id="node-b",
    host="127.0.0.1",
    port=4042,
    state=PeerState.CONNECTED,
    source=PeerSource.MANUAL,
    lag=0,
    in_flight=0,
    retries=0,
    last_seen_ms=None,
    last_error="",
    clock_skew_ms=None,
)

NODE_INFO = NodeInfo(
    node_id="node-a",
    display_name="",
    hostname="host",
    os_name="Linux",
    version="0.1.0",
    started_at_ms=0,
    uptime_ms=0,
    capabilities=frozenset({"sync"}),
)

hosts = st.text(min_size=1).filter(lambda text: "@" not in text)


@given(st.text(min_size=1), hosts, st.integers(1, 65535))
def test_a_peer_is_read_back_from_its_text(node_id: str, host: str, port: int) -> None:
    peer = Peer(node_id, host, port)

    assert Peer.parse(str(peer)) == peer


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("node-b@127.0.0.1:4042", Peer("node-b", "127.0.0.1", 4042)),
        ("b@[::1]:1", Peer("b", "[::1]", 1)),
        ("b@::1:65535", Peer("b", "::1", 65535)),
        ("my node@example.org:80", Peer("my node", "example.org", 80)),
        ("ada@home@127.0.0.1:4042", Peer("ada@home", "127.0.0.1", 4042)),
    ],
)
def test_a_peer_is_read_from_id_host_and_port(text: str, peer: Peer) -> None:
    assert Peer.parse(text) == peer


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"node-b@127.0.0.1:4042",
        "",
        "node-b",
        "127.0.0.1:4042",
        "node-b@127.0.0.1",
        "node-b@127.0.0.1:",
        "node-b@127.0.0.1:x",
        "node-b@127.0.0.1:-1",
        "node-b@127.0.0.1:+1",
        "node-b@127.0.0.1: 1",
        "node-b@127.0.0.1:٣",
        "node-b@127.0.0.1:0",
        "node-b@127.0.0.1:65536",
        "@127.0.0.1:4042",
        "node-b@:4042",
    ],
)
def test_text_that_names_no_peer_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Peer.parse(text)


@pytest.mark.parametrize(
    ("node_id", "host", "port", "words"),
    [
        ("", "127.0.0.1", 1, "non-empty node id, got ''"),
        (None, "127.0.0.1", 1, "non-empty node id, got None"),
        ("b", "", 1, "host name or address, got ''"),
        ("b", 127, 1, "host name or address, got 127"),
        ("b", "127.0.0.1", 0, "from 1 to 65535, got 0"),
        ("b", "127.0.0.1", 65536, "from 1 to 65535, got 65536"),
        ("b", "127.0.0.1", "4042", "from 1 to 65535, got '4042'"),
        ("b", "127.0.0.1", True, "from 1 to 65535, got True"),
        ("b", "127.0.0.1", 1.0, "from 1 to 65535, got 1.0"),
        ("\ud800", "127.0.0.1", 1, "has a lone surrogate"),
        ("b", "\ud800", 1, "has a lone surrogate"),
    ],
)
def test_a_part_of_a_peer_that_is_wrong_is_named(
    node_id: Any, host: Any, port: Any, words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Peer(node_id, host, port)

    assert words in caught.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_the_hosts_of_this_machine_are_localhost(host: str) -> None:
    assert Peer("b", host, 1).is_localhost


@pytest.mark.parametrize("host", ["192.168.0.1", "0.0.0.0", "::", "example.org"])
def test_other_hosts_are_not_localhost(host: str) -> None:
    assert not Peer("b", host, 1).is_localhost


def test_a_local_peer_is_on_the_loopback_interface() -> None:
    assert Peer.local("b", 4042) == Peer("b", "127.0.0.1", 4042)


def test_peers_with_the_same_address_are_one_in_a_set() -> None:
    assert len({Peer("b", "h", 1), Peer("b", "h", 1), Peer("b", "h", 2)}) == 2


def test_a_write_is_named_by_its_origin_and_number() -> None:
    result = PutResult("k", version=2, status="updated", origin="node-a", n=7)

    assert result.sync_id == "node-a-7"


@pytest.mark.parametrize(("acknowledged", "has_work"), [(3, False), (2, True), (0, True)])
def test_there_is_work_until_every_tracked_write_is_acknowledged(
    acknowledged: int, has_work: bool
) -> None:
    state = dataclasses.replace(SYNC_STATE, acknowledged_count=acknowledged)

    assert state.has_work == has_work


def test_the_address_of_a_peer_is_known_when_its_host_and_port_are() -> None:
    assert PEER_STATUS.peer == Peer("node-b", "127.0.0.1", 4042)


@pytest.mark.parametrize("unknown", [{"host": ""}, {"port": 0}, {"host": "", "port": 0}])
def test_a_peer_that_dialled_us_has_no_address(unknown: dict[str, Any]) -> None:
    assert dataclasses.replace(PEER_STATUS, **unknown).peer is None


def test_a_node_is_labelled_by_its_display_name_or_else_its_id() -> None:
    assert NODE_INFO.label == "node-a"
    assert dataclasses.replace(NODE_INFO, display_name="Ada").label == "Ada"


def test_a_node_has_the_capabilities_it_lists() -> None:
    assert NODE_INFO.has_capability("sync")
    assert not NODE_INFO.has_capability("discovery")


@pytest.mark.parametrize(
    "value",
    [
        Peer("b", "h", 1),
        SYNC_STATE,
        PEER_STATUS,
        NODE_INFO,
        Entry(key="k", value=1, version=1, timestamp_ms=0, origin="a", sync_id="a-1"),
    ],
)
def test_what_calls_return_cannot_be_changed(value: Any) -> None:
    name = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")


def test_states_and_sources_compare_with_their_names() -> None:
    """They go into JSON and logs, and programs compare them with the words of the documents."""
    assert [str(state) for state in PeerState] == [
        "available", "connecting", "connected", "stale", "faulted", "suspended",
    ]  # fmt: skip
    assert [str(source) for source in PeerSource] == ["manual", "mdns", "inbound"]

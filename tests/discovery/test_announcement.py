"""What a node says of itself, and what it reads of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.discovery.announcement import (
    LABEL_BYTES_MAX,
    NAME_BYTES_MAX,
    Announcement,
    label_of,
    read_announcement,
)
from softadastra.errors import DiscoveryError

OURS = Announcement(node_id="node-a", cluster="shop", protocol=1, port=4041)


def as_bytes(text: dict[str, str]) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in text.items()}


def test_what_is_announced_is_read_back() -> None:
    assert OURS.text == {
        "node_id": "node-a",
        "cluster": "shop",
        "protocol": "1",
        "port": "4041",
    }
    assert read_announcement(as_bytes(OURS.text), 4041) == OURS


def test_the_port_of_the_service_record_counts() -> None:
    read = read_announcement(as_bytes(OURS.text), 5000)

    assert read is not None
    assert read.port == 5000


@pytest.mark.parametrize(
    "changes",
    [
        {b"node_id": None},
        {b"node_id": b""},
        {b"node_id": b"\xff"},
        {b"node_id": b"node\x1b[2J"},
        {b"node_id": b"x" * (NAME_BYTES_MAX + 1)},
        {b"cluster": None},
        {b"cluster": b"\n"},
        {b"protocol": None},
        {b"protocol": b"-1"},
        {b"protocol": b"9" * 10},
        {b"protocol": "\u0661".encode()},
    ],
)
def test_what_no_node_says_is_not_read(changes: dict[bytes, bytes | None]) -> None:
    assert read_announcement(as_bytes(OURS.text) | changes, 4041) is None


@pytest.mark.parametrize("port", [-1, 0, 22, 1023, 65536])
def test_nobody_is_sent_to_a_port_of_the_system(port: int) -> None:
    assert read_announcement(as_bytes(OURS.text), port) is None


@given(st.dictionaries(st.binary(max_size=9), st.none() | st.binary(max_size=300)), st.integers())
def test_reading_never_raises(text: dict[bytes, bytes | None], port: int) -> None:
    read_announcement(text, port)


def test_a_name_that_has_no_room_in_a_record_is_refused() -> None:
    longest = "n" * NAME_BYTES_MAX
    Announcement(node_id=longest, cluster=longest, protocol=1, port=4041)

    for node_id, cluster in ((longest + "n", "c"), ("n", longest + "n")):
        with pytest.raises(DiscoveryError, match="248 bytes, and 247 can be announced"):
            Announcement(node_id=node_id, cluster=cluster, protocol=1, port=4041)


@pytest.mark.parametrize("node_id", ["node-a", "kühlschrank 2", "x" * LABEL_BYTES_MAX])
def test_a_name_that_can_be_a_label_is_its_own(node_id: str) -> None:
    assert label_of(node_id) == node_id


@pytest.mark.parametrize(
    "node_id", ["node.a", "Node-A", "_tcp", "x" * 61, "ü" * 100, "._.", "node-a.local"]
)
def test_a_name_that_cannot_be_a_label_is_made_one_that_nobody_else_has(node_id: str) -> None:
    label = label_of(node_id)

    assert label != label_of(node_id + "x")
    assert label.lower() == label
    assert "." not in label
    assert not label.startswith("_")
    assert 0 < len(label.encode()) <= LABEL_BYTES_MAX

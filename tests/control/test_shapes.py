"""Values go over a control socket and come out equal, or are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest

from softadastra.control.calls import CALLS
from softadastra.control.operations import Operations
from softadastra.control.shapes import Stored, from_plain, to_plain
from softadastra.errors import InvalidArgumentError, ProtocolError
from softadastra.types import (
    Conflict,
    ConflictingValue,
    Entry,
    NodeInfo,
    Peer,
    PeerSource,
    PeerState,
    PeerStatus,
    PeerSync,
    PutResult,
    SyncState,
    Value,
)

VALUE: Value = {
    "at": datetime(2026, 1, 2, tzinfo=UTC),
    "raw": b"\xff",
    "many": [1, 2.5, None, True, 2**64 - 1],
}
WRITE = ConflictingValue(
    value=VALUE, is_removed=False, origin="a", sync_id="a-1", version=1, timestamp_ms=5
)
STATE = SyncState(
    outbox_size=3,
    queued_count=1,
    in_flight_count=0,
    acknowledged_count=2,
    failed_count=0,
    held_count=0,
    total_retries=0,
    last_submitted_version=3,
    last_applied_remote_version=0,
    per_peer={"b": PeerSync(lag=1, in_flight=0, acknowledged=2, retries=0)},
)
STATUS = PeerStatus(
    node_id="b",
    host="",
    port=0,
    state=PeerState.FAULTED,
    source=PeerSource.INBOUND,
    lag=1,
    in_flight=2,
    retries=3,
    last_seen_ms=None,
    last_error="refused",
    clock_skew_ms=-4,
)
INFO = NodeInfo(
    node_id="a",
    display_name="",
    hostname="h",
    os_name="o",
    version="1",
    started_at_ms=1,
    uptime_ms=2,
    capabilities=frozenset({"wal", "sync"}),
)

SAMPLES: list[tuple[Any, object]] = [
    (Stored, VALUE),
    (str, "\N{SNOWMAN}"),
    (bool, True),
    (float, 2.5),
    (int | None, None),
    (int | None, 7),
    (str | int | list[str], "any"),
    (str | int | list[str], 2),
    (str | int | list[str], ["b", "c"]),
    (tuple[str, Stored], ("key", VALUE)),
    (PutResult, PutResult("k", 1, "created", "a", 1)),
    (list[PutResult | None], [None, PutResult("k", 2, "unchanged", "b", 9)]),
    (
        Entry | None,
        Entry(key="k", value=b"v", version=1, timestamp_ms=2, origin="a", sync_id="a-1"),
    ),
    (Conflict, Conflict(key="k", policy="manual", is_open=True, values=(WRITE, WRITE))),
    (SyncState, STATE),
    (list[PeerStatus], [STATUS]),
    (NodeInfo, INFO),
    (Peer, Peer("b", "127.0.0.1", 4042)),
]


def over_the_socket(shape: object, value: object) -> object:
    return from_plain(shape, msgpack.unpackb(msgpack.packb(to_plain(shape, value))))


@pytest.mark.parametrize(("shape", "value"), SAMPLES)
def test_what_goes_in_comes_out_equal_and_of_the_same_type(shape: object, value: object) -> None:
    found = over_the_socket(shape, value)

    assert found == value
    assert type(found) is type(value)


WRONG: list[tuple[Any, object]] = [
    (str, 1),
    (int, True),
    (int, "1"),
    (bool, 1),
    (float, "1"),
    (None, 0),
    (int | None, "x"),
    (list[str], "abc"),
    (list[str], [1]),
    (tuple[str, Stored], ["key"]),
    (Stored, "no bytes"),
    (Stored, b"\xc1"),
    (Stored, b"\x01\x01"),
    (Stored, b"\xc7\x01\x05\x00"),
    (PutResult, ["k", 1, "created", "a", 1]),
    (PutResult, {"key": "k", "version": 1, "status": "perhaps", "origin": "a", "n": 1}),
    (Entry, {}),
    (Entry, None),
    (PeerStatus, {**to_plain(PeerStatus, STATUS), "state": "unheard of"}),
    (SyncState, {**to_plain(SyncState, STATE), "per_peer": []}),
]


@pytest.mark.parametrize(("shape", "plain"), WRONG)
def test_what_is_of_another_type_is_refused(shape: object, plain: object) -> None:
    with pytest.raises(ProtocolError, match=r"expected|value"):
        from_plain(shape, plain)


def test_a_peer_that_cannot_be_is_refused_as_everywhere() -> None:
    with pytest.raises(InvalidArgumentError):
        from_plain(Peer, {"node_id": "b", "host": "h", "port": 0})


@dataclass
class Newer:
    key: str
    added: int = 5


@dataclass
class Older:
    key: str


def test_fields_may_be_added_by_a_newer_version() -> None:
    assert from_plain(Older, to_plain(Newer, Newer("k", 7))) == Older("k")
    assert from_plain(Newer, to_plain(Older, Older("k"))) == Newer("k", 5)


def test_every_operation_is_a_call_and_the_other_way_round() -> None:
    operations = {name for name in vars(Operations) if not name.startswith("_")}

    assert set(CALLS) - operations == {"stop"}
    assert operations - set(CALLS) == set()

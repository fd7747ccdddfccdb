"""Versions beside each other: what goes together, and what is refused, as docs/operations.md says.

tests/wal/test_golden.py opens the logs of all earlier versions.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack
import pytest

from softadastra import Client, ClientOptions, Peer, StoreError, Vitals
from softadastra.control.shapes import from_plain, to_plain
from softadastra.sync.exclusions import BAD_MESSAGES_MAX
from softadastra.sync.messages import Batch, Reject, RejectReason
from softadastra.sync.wire import encode
from softadastra.testing.sim_network import PORT
from softadastra.wal import OsDisk, WriteAheadLog
from softadastra.wal.frames import FORMAT_VERSION
from tests.health.samples import VITALS
from tests.simulation.lies import world

FORMAT_AT = 8
HEADER_CRC_AT = 4_092
NEWER_KIND = 99


def of_protocol(number: int, payload: bytes) -> bytes:
    """The same message, as a node of another protocol would begin it."""
    _, *rest = msgpack.unpackb(payload)
    packed: bytes = msgpack.packb([number, *rest])
    return packed


def test_a_node_of_another_protocol_is_told_so_and_is_served_once_it_is_updated():
    """Node-a dials it, so that it is known who sent what cannot be read: it is no offence."""
    with world() as here:
        a, _ = here.nodes
        here.liar.is_silent = True
        greeting = of_protocol(2, encode(here.liar.greeting))
        a.running().dial(Peer(here.liar.node_id, here.liar.node_id, PORT))
        for _ in range(5):
            here.cluster.run(10)
            here.liar.utter(a, greeting)
        here.cluster.run(1)
        told = here.liar.told(a, Reject)
        assert here.goes_on()
        assert not here.told("peer.excluded")

        here.liar.is_silent = False
        here.liar.heard.clear()
        here.liar.meet(a)
        here.cluster.run(5)
        assert here.liar.told(a, Batch)

    assert len(told) >= BAD_MESSAGES_MAX
    assert {each.reason for each in told if isinstance(each, Reject)} == {RejectReason.PROTOCOL}


@pytest.mark.parametrize(
    ("protocols", "features", "is_accepted"),
    [
        ((1, 3), frozenset({"of a later version"}), True),
        ((2, 3), frozenset[str](), False),
    ],
    ids=["it speaks ours too", "it does not"],
)
def test_a_newer_node_is_accepted_when_it_speaks_our_protocol_too(protocols, features, is_accepted):
    with world() as here:
        a, _ = here.nodes
        here.liar.meet(a, protocols=protocols, features=features)
        here.cluster.run(2)

        refused = [each.reason for each in here.liar.told(a, Reject) if isinstance(each, Reject)]

    assert set(refused) == (set() if is_accepted else {RejectReason.PROTOCOL})


@pytest.fixture
def options(tmp_path: Path) -> ClientOptions:
    options = ClientOptions.persistent("till", tmp_path / "till.wal")
    with Client(options) as client:
        client.put("sale/1", "tea")
    return options


def of_a_newer_format(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[FORMAT_AT] = FORMAT_VERSION + 1
    data[HEADER_CRC_AT : HEADER_CRC_AT + 4] = crc32(data[:HEADER_CRC_AT]).to_bytes(4, "little")
    path.write_bytes(data)


def with_a_newer_record(path: Path) -> None:
    log = WriteAheadLog(path, disk=OsDisk())
    log.open(node_id="till", incarnation=1)
    assert list(log.replay())
    log.append(NEWER_KIND, b"\x90")
    log.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            of_a_newer_format,
            r"has log format 2, and this version of Softadastra reads format 1: open it with the"
            r" version that wrote it, or a later one",
        ),
        (
            with_a_newer_record,
            r"holds a record of kind 99, which this version does not know: open it with the version"
            r" that wrote it",
        ),
    ],
)
def test_a_log_of_a_newer_version_is_refused_by_name_and_left_as_it_is(options, change, words):
    path = options.resolved_wal_path()
    change(path)
    before = path.read_bytes()

    for _ in range(2):
        with pytest.raises(StoreError, match=words):
            Client(options).open()
    assert path.read_bytes() == before


def without_what_came_later(plain: dict[str, Any], shape: type) -> dict[str, Any]:
    """The fields of a value as the first version gave them: those without a default."""
    first = {
        field.name
        for field in dataclasses.fields(shape)
        if (field.default, field.default_factory) == (dataclasses.MISSING,) * 2
    }
    return {name: value for name, value in plain.items() if name in first}


def test_a_command_reads_the_vitals_of_a_node_that_runs_the_version_before():
    plain = to_plain(Vitals, VITALS)
    for name, shape in (("node", type(VITALS.node)), ("log", type(VITALS.log))):
        plain[name] = without_what_came_later(plain[name], shape)
    found = from_plain(Vitals, plain)

    assert "free_bytes" not in plain["log"]
    assert found.log.free_bytes is None
    assert found.log.sync_buckets == ()
    assert found.node == VITALS.node

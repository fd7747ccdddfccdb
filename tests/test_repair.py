"""A damaged file is repaired into another one, which a node opens and peers complete.

Bytes are flipped, sectors zeroed, ranges overwritten and ends cut off, in the logs of random
histories.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, StoreError, WalCorruptionError
from softadastra.inspection import Reading, read_log
from softadastra.repair import Repaired, repair
from softadastra.store.policies import LAST_WRITE_WINS
from softadastra.sync.kinds import Kind
from softadastra.wal.frames import FILE_HEADER_BYTES, KIND_MARK, Header
from softadastra.wal.salvaging import Frame, Gap
from tests.engines import OPTIONS, Network
from tests.log_images import file_of
from tests.sync.damaged import History, check_claims, check_lives, check_meeting, check_rows
from tests.wal.logs import opened

SECTOR = 512
STEP = 97
"""Between two places: frames have 60 to 100 bytes, so that each part of one is hit."""
GOLDEN = Path(__file__).parent / "wal" / "golden"
OVERWRITTEN = {
    "anew": {"'before the remove'", "'after the remove'"},
    "behind the checkpoint": {"8", "9"},
    "notes/1": {"'node-a'", "'node-b'"},
    "often": {"0", "1", "2", "6"},
    "won by the later": {"'node-a'", "'node-b'"},
}
"""Values that keys of the golden logs had one after the other."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Damage a log behind its header, once or a few times."""
    image = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(FILE_HEADER_BYTES, max(len(image), FILE_HEADER_BYTES + 1))
        match rng.randrange(5):
            case 0 | 1:
                if place < len(image):
                    image[place] ^= 1 << rng.randrange(8)
            case 2:
                start = place - place % SECTOR
                size = len(image[start : start + SECTOR])
                image[start : start + size] = bytes(size)
            case 3:
                size = len(image[place : place + rng.randrange(200)])
                image[place : place + size] = rng.randbytes(size)
            case _:
                if rng.random() < 0.1:
                    del image[place:]
    return bytes(image)


def repaired(source: Path, node_id: str) -> Repaired:
    target = source.with_name(f"{source.name}.repaired")
    return repair(source, target, node_id=node_id, policies=LAST_WRITE_WINS, options=OPTIONS)


def records(path: Path) -> tuple[Header, list[tuple[int, bytes]]]:
    header, *items = list(read_log(path, policies=LAST_WRITE_WINS, options=OPTIONS))
    assert isinstance(header, Header)
    assert not any(isinstance(item, Gap) for item in items)
    frames = [item for item in items if isinstance(item, Frame)]
    return header, [(f.kind, f.payload) for f in frames if f.kind != KIND_MARK]


@pytest.mark.parametrize("seed", range(40))
def test_nodes_whose_files_were_damaged_and_repaired_converge(seed: int, tmp_path: Path) -> None:
    history = History(seed, collects=seed % 2 == 1)
    rng, network = history.rng, history.network
    history.play(rng.randrange(10, 60))
    for node in network.nodes.values():
        network.cut(node)
    for name in rng.sample(list(network.nodes), rng.choice([1, 1, 2, 3])):
        node = network[name]
        if rng.random() < 0.4:
            node.compact()
            history.play(rng.randrange(6))
            for other in network.nodes.values():
                network.cut(other)
        if not node.log:
            continue
        path = tmp_path / f"{name}.wal"
        image = damaged(file_of(node), rng)
        path.write_bytes(image)
        result = repaired(path, name)
        assert path.read_bytes() == image
        if result.target is None:
            # A torn end, or no damage at all: the log opens as it is.
            with opened(path, node_id=name) as (_, node.log):
                pass
            node.restart()
            continue
        header, node.log = records(result.target)
        assert header.incarnation == result.incarnation != node.incarnation
        truth, node.incarnation = node.engine, header.incarnation
        node.restart()
        replica = node.engine.replica
        check_rows(replica)
        saved, node.engine = node.engine, truth
        check_lives(node, replica)
        check_claims(history, node, replica)
        node.engine = saved
    check_meeting(history)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(Kind.WRITES, b"\xc1"), (Kind.WRITES, b"\x98\x02\x00\x91\xa1k\xc0\x91\x01\x05\xc0\x90")],
    ids=["not read", "not evolved"],
)
def test_a_record_that_is_intact_and_is_none_is_told_and_the_rest_is_kept(
    kind: Kind, payload: bytes, tmp_path: Path
) -> None:
    """What opening refuses with the advice to save the rest; what it has changed is not kept."""
    a = Network("a")["a"]
    for i in range(3):
        a.write((f"k{i}", i))
    a.log[1] = (kind, payload)
    path = tmp_path / "a.wal"
    path.write_bytes(file_of(a))
    with pytest.raises(StoreError, match="save the rest with 'softadastra wal repair'"):
        Client(ClientOptions.persistent("a", path)).open()

    result = repaired(path, "a")
    assert [(fault.sequence, fault.reason[:17]) for fault in result.unusable] == [
        (2, "it cannot be read")
    ]
    path.with_name("a.wal.repaired").replace(path)
    with Client(ClientOptions.persistent("a", path)) as client:
        assert dict(client) == {"k0": 0, "k2": 2}


def mangled(image: bytes) -> Iterator[bytes]:
    """Cut a log off, flip a bit of it, or zero a sector, at many places behind its header."""
    for place in range(FILE_HEADER_BYTES, len(image), STEP):
        yield image[:place]
        flipped = bytearray(image)
        flipped[place] ^= 0x20
        yield bytes(flipped)
    for start in range(FILE_HEADER_BYTES, len(image), SECTOR):
        yield image[:start] + bytes(len(image[start : start + SECTOR])) + image[start + SECTOR :]


@pytest.mark.parametrize("name", ["node-1.wal", "checkpoint-1.wal"])
def test_whatever_happened_to_a_log_opening_looking_and_repairing_agree_on_whether_it_is_damage(
    name: str, tmp_path: Path
) -> None:
    image = (GOLDEN / name).read_bytes()
    path = tmp_path / "node-a.wal"
    values: dict[str, set[str]] = {}
    for content in mangled(image):
        path.write_bytes(content)
        *_, reading = read_log(path, policies=LAST_WRITE_WINS, options=OPTIONS)
        assert isinstance(reading, Reading)
        result = repaired(path, "node-a")
        assert path.read_bytes() == content
        client = Client(ClientOptions.persistent("node-a", path))
        if reading.faults:
            with pytest.raises(WalCorruptionError):
                client.open()
            assert path.read_bytes() == content
            assert result.target is not None
            result.target.replace(path)
        else:
            assert result.target is None
        with client:
            for key, value in client.items():
                values.setdefault(key, set()).add(repr(value))
        path.unlink()
    # Each is what was written under this key: never a piece of it, nor what another key had.
    for key, found in values.items():
        assert len(found) == 1 or found <= OVERWRITTEN[key]

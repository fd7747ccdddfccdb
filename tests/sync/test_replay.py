"""Own writes that follow each other are replayed together, and make the same state."""

from __future__ import annotations

import random

import msgpack
import pytest

from softadastra.errors import StoreError
from softadastra.runtime.recovery import Recovered, recover
from softadastra.store.policies import LAST_WRITE_WINS
from softadastra.store.siblings import RESOLUTION
from softadastra.sync.kinds import Kind
from softadastra.sync.records import decode_record
from softadastra.sync.replay import TOGETHER_BYTES_MAX, Frame, decode_together, gathered
from tests.engines import OPTIONS, Network, Node


def written(seed: int) -> Node:
    """Give a node whose log has every form of own writes, and what a peer sent in between."""
    rng = random.Random(seed)
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    link = None
    for number in range(200):
        key = f"k{rng.randrange(20)}"
        match rng.randrange(12):
            case 0:
                a.remove(key)
            case 1:
                a.write((key, number), (f"k{rng.randrange(20)}", number))
            case 2:
                a._write([(key, b"\x01", RESOLUTION)])
            case 3:
                b.write((key, -number))
            case 4 if link is None:
                link = network.join("a", "b")
            case 5:
                network.run()
            case 6:
                a.skew_ms = rng.choice([0, 90_000, -90_000])
            case _:
                a.write((key, number))
    network.run()
    return a


def recovered(node: Node, frames: list[Frame]) -> Recovered:
    return recover(
        frames,
        node_id=node.name,
        incarnation=node.incarnation,
        policies=LAST_WRITE_WINS,
        options=OPTIONS,
        nonce=1,
        jitter=lambda: 0.5,
        is_new=False,
    )


@pytest.mark.parametrize("seed", range(10))
def test_writes_that_are_replayed_together_make_what_each_for_itself_makes(seed):
    node = written(seed)
    assert any(len(group) > 1 for group in gathered(node.log))

    engine, records = recovered(node, node.log)

    live, replica = node.engine.replica, engine.replica
    assert records == len(node.log)
    assert replica.entries == live.entries
    assert replica.digest == live.digest
    assert replica.clock == live.clock
    assert list(replica.lost) == list(live.lost)
    assert (len(replica), replica.size_bytes) == (len(live), live.size_bytes)
    assert [list(log.rows()) for log in replica.logs.values()] == [
        list(log.rows()) for log in live.logs.values()
    ]


def write(n: int, size: int = 1) -> Frame:
    return Kind.WRITE, msgpack.packb((n, n << 16, f"k{n}", 1, b"v" * size))


def test_a_group_ends_at_another_record_and_at_its_size():
    other = (Kind.PRUNED, msgpack.packb((1,)))
    large = TOGETHER_BYTES_MAX // 2
    frames = [write(1), write(2), other, write(3, large), write(4, large), write(5), other, other]

    groups = list(gathered(frames))

    assert [frame for group in groups for frame in group] == frames
    assert [len(group) for group in groups] == [2, 1, 1, 2, 1, 1]


def test_writes_whose_numbers_do_not_follow_each_other_are_read_each_for_itself():
    frames = [write(1), write(3)]
    origins = Network("a")["a"].engine.replica.origins

    assert list(decode_together(frames, origins)) == [
        decode_record(kind, payload, origins) for kind, payload in frames
    ]


def test_a_write_that_cannot_be_read_is_refused_with_its_place():
    node = Network("a")["a"]

    with pytest.raises(StoreError, match="one of the records 1 to 3 of the log"):
        recovered(node, [write(1), (Kind.WRITE, b"\xc1"), write(3)])
    with pytest.raises(StoreError, match="record 1 of the log"):
        recovered(node, [(Kind.WRITE, msgpack.packb((1, 2)))])

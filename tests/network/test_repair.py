"""A damaged log is repaired from the command line, and its node goes on among its peers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, WalCorruptionError
from softadastra.inspection import read_log
from softadastra.store.policies import LAST_WRITE_WINS
from softadastra.sync.kinds import Kind
from softadastra.types import Value
from softadastra.wal.salvaging import Frame
from tests.engines import OPTIONS
from tests.eventually import eventually
from tests.network.test_loopback import address

EARLY = range(20)


def opened(stack: ExitStack, node_id: str, folder: Path) -> Client:
    options = ClientOptions.persistent(node_id, folder / f"{node_id}.wal", enable_transport=True)
    node = stack.enter_context(Client(options))
    node.start_transport()
    return node


def is_acknowledged(node: Client) -> bool:
    state = node.sync_state()
    return state.acknowledged_count == state.outbox_size


def frames_of(path: Path, kind: Kind) -> list[Frame]:
    found = read_log(path, policies=LAST_WRITE_WINS, options=OPTIONS)
    return [item for item in found if isinstance(item, Frame) and item.kind == kind]


def flip(path: Path, offsets: Sequence[int]) -> None:
    data = bytearray(path.read_bytes())
    for offset in offsets:
        data[offset] ^= 1
    path.write_bytes(data)


def damage_a_write(path: Path) -> None:
    """A write that peers have; all behind it is intact."""
    flip(path, [frames_of(path, Kind.WRITE)[3].offset + 40])


def damage_a_stretch(path: Path) -> None:
    """Own writes and batches of peers, one sector after the other, with all that is between."""
    start = frames_of(path, Kind.WRITE)[5].offset
    stop = frames_of(path, Kind.ARRIVED)[-1].offset + 30
    data = bytearray(path.read_bytes())
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)


def damage_a_checkpoint(path: Path) -> None:
    """Values of all writers, and what says which of their writes are had."""
    found = [*frames_of(path, Kind.ENTRIES), frames_of(path, Kind.HISTORY)[1]]
    flip(path, [frame.offset + 50 for frame in found])


def repair(path: Path, node_id: str) -> dict[str, Value]:
    """Run the command as people do, and put the new file in the place of the damaged one."""
    names = ["--wal", str(path), "--node-id", node_id]
    command = [sys.executable, "-m", "softadastra", "wal", "repair", *names, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=path.parent)
    path.with_name(f"{path.name}.repaired").replace(path)
    document: dict[str, Value] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("damage", [damage_a_write, damage_a_stretch, damage_a_checkpoint])
def test_a_node_whose_log_was_repaired_and_its_peers_converge_and_lose_nothing_that_is_left(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "node-a.wal"
    with ExitStack() as stack:
        b, c = opened(stack, "node-b", tmp_path), opened(stack, "node-c", tmp_path)
        with ExitStack() as alone:
            a = opened(alone, "node-a", tmp_path)
            b.connect(address(a))
            c.connect(address(b))
            for i in EARLY:
                for node in (a, b, c):
                    node.put(f"{node.options.node_id}/{i}", f"early {i}")
            eventually(lambda: a.digest() == b.digest() == c.digest())
            c.remove("node-a/0")
            b.put("node-a/1", "overwritten")
            eventually(lambda: a.digest() == b.digest() == c.digest())
            if damage is damage_a_checkpoint:
                a.compact()
            a.stop_transport()
            late = {f"late/{i}": i for i in range(20)}
            for key, value in late.items():
                a.put(key, value)
        b.put("while it was away", 1)
        eventually(lambda: b.digest() == c.digest())
        held = dict(b)

        damage(path)
        with pytest.raises(WalCorruptionError):
            Client(ClientOptions.persistent("node-a", path)).open()
        assert repair(path, "node-a")["lost"]
        a = opened(stack, "node-a", tmp_path)
        a.put("after the repair", 1)
        a.connect(address(b))
        c.connect(address(a))

        eventually(lambda: a.digest() == b.digest() == c.digest())
        assert dict(a) == dict(b) == dict(c) == {**held, **late, "after the repair": 1}
        for node in (a, b, c):
            eventually(partial(is_acknowledged, node))
            assert not node.conflicts()
    with Client(ClientOptions.persistent("node-a", path)) as client:
        assert dict(client) == {**held, **late, "after the repair": 1}

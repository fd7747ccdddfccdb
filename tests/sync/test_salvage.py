"""A log of which records are missing gives a state that claims no more than it holds.

Random histories of three nodes: one or more logs lose records, are salvaged and opened, and the
nodes meet.
"""

from __future__ import annotations

import random

import pytest

from softadastra.store.checkpoint import Entries
from softadastra.store.replica import Replica
from softadastra.store.siblings import State, siblings_of
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.kinds import Kind
from softadastra.sync.records import Arrived, RecordEncoder, Writes, decode_record
from softadastra.sync.salvage import Missing, Salvage, Salvaged
from tests.engines import Node
from tests.sync.damaged import History, check_claims, check_lives, check_rows, stamps

OVERHEAD = 32


def lacking(node: Node, lost: set[int], *, known: bool = True) -> Salvaged:
    """Salvage a node's log without the records at these positions."""
    draw = random.Random(f"{node.name}{sorted(lost)}").getrandbits
    salvage = Salvage(
        node.name,
        node.incarnation,
        is_rewritten=bool(node.log) and node.log[0][0] == Kind.HISTORY,
        policies=node.policies,
        options=node.options,
        draw=lambda: draw(64),
    )
    position = 1
    while position <= len(node.log):
        if position in lost:
            last = next(last for first, last in runs(lost) if first == position)
            frames = node.log[position - 1 : last]
            size = sum(OVERHEAD + len(payload) for _, payload in frames)
            salvage.miss(
                Missing(
                    first=position,
                    last=None if last == len(node.log) else last,
                    kinds=[kind for kind, _ in frames] if known else [],
                    unknown=[] if known else [(len(frames), size)],
                    overhead_bytes=OVERHEAD,
                )
            )
            position = last + 1
        else:
            salvage.take(position, *node.log[position - 1])
            position += 1
    return salvage.result(draw(64))


def runs(positions: set[int]) -> list[tuple[int, int]]:
    """Fold positions into ranges."""
    found: list[tuple[int, int]] = []
    for position in sorted(positions):
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def reopen(node: Node, salvaged: Salvaged) -> None:
    """Let a node go on from what was salvaged."""
    origins = salvaged.engine.replica.origins
    encode = RecordEncoder(origins.copy()).encode
    node.log = [encode(record) for record in checkpoint(salvaged.engine)]
    node.incarnation = origins[0].incarnation
    node.restart()


def check_kept(node: Node, lost: set[int], salvaged: Salvaged) -> None:
    """What is in a record that is left stands, or what superseded it does."""
    held = stamps(salvaged.engine.replica)
    unusable = {found.position for found in salvaged.unusable}
    origins = Replica(node.name, node.incarnation).origins
    for position, (kind, payload) in enumerate(node.log, 1):
        record = decode_record(kind, payload, origins)
        if position in lost or position in unusable:
            continue
        found: list[tuple[str, State]] = []
        match record:
            case Writes():
                found += zip(record.keys, record.states, strict=True)
            case Arrived(arrivals=arrivals):
                found += zip(arrivals.keys, [*arrivals.siblings, *arrivals.states], strict=True)
            case Entries(keys, siblings, states):
                found += zip(keys, [*siblings, *states], strict=True)
        for key, state in found:
            assert held[key][0] >= max(s[2] for s in siblings_of(state))


@pytest.mark.parametrize("seed", range(60))
def test_nodes_whose_logs_lost_records_converge_and_keep_what_is_left(seed: int) -> None:
    history = History(seed, collects=seed % 2 == 1)
    rng, network = history.rng, history.network
    history.play(rng.randrange(10, 80))
    for node in network.nodes.values():
        network.cut(node)
    for name in rng.sample(list(network.nodes), rng.choice([1, 1, 2, 3])):
        node = network[name]
        if rng.random() < 0.4:
            if history.collects:
                history.meet()
            node.compact()
            history.play(rng.randrange(8))
            network.cut(node)
        if not node.log:
            continue
        start, share = rng.randrange(len(node.log)), rng.choice([0.02, 0.1, 0.5])
        lost = {i for i in range(1, len(node.log) + 1) if rng.random() < share}
        lost |= set(range(start, min(start + rng.randrange(1, 6), len(node.log) + 1))) - {0}
        salvaged = lacking(node, lost, known=rng.random() < 0.5)
        replica = salvaged.engine.replica
        check_rows(replica)
        check_claims(history, node, replica)
        check_lives(node, replica)
        if not history.collects:
            check_kept(node, lost, salvaged)
        reopen(node, salvaged)
        assert node.engine.replica.digest == replica.digest
        check_rows(node.engine.replica)
    left: dict[str, tuple[int, bytes]] = {}
    for node in network.nodes.values():
        for key, found in stamps(node.engine.replica).items():
            left[key] = max(found, left.get(key, (0, b"")))

    history.meet()

    a, b, c = (node.engine.replica for node in network.nodes.values())
    assert a.digest == b.digest == c.digest
    if not history.collects:
        assert stamps(a) == left

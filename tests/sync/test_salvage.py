"""A log of which records are missing gives a state that claims no more than it holds.

Random histories of three nodes: one or more logs lose records, are salvaged and opened, and the
nodes meet.
"""

from __future__ import annotations

import random

import pytest

from softadastra.store.changes import Write, Writes
from softadastra.store.checkpoint import Entries
from softadastra.store.replica import Replica
from softadastra.store.siblings import State, siblings_of
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.kinds import Kind
from softadastra.sync.records import Arrived, RecordEncoder, decode_record
from softadastra.sync.salvage import Missing, Salvage, Salvaged
from tests.engines import Network, Node
from tests.sync.damaged import History, check_claims, check_lives, check_meeting, check_rows, stamps


def lacking(
    node: Node, lost: set[int], *, known: bool = True, unusable: dict[int, str] | None = None
) -> Salvaged:
    """Salvage a node's log without the records at these positions.

    Args:
        node: whose log.
        lost: the positions, from 1.
        known: whether the kinds of the lost records are known, or else their sizes.
        unusable: gets why a record that is left is of no use.
    """
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
            kinds = [kind for kind, _ in frames]
            size = sum(len(payload) for _, payload in frames)
            salvage.miss(
                Missing(position, kinds, [])
                if known
                else Missing(position, [], [(len(kinds), size)])
            )
            position = last + 1
        else:
            reason = salvage.take(position, *node.log[position - 1])
            if reason is not None and unusable is not None:
                unusable[position] = reason
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


def check_kept(node: Node, gone: set[int], salvaged: Salvaged) -> None:
    """What is in a record that is left and of use stands, or what superseded it does."""
    held = stamps(salvaged.engine.replica)
    origins = Replica(node.name, node.incarnation).origins
    for position, (kind, payload) in enumerate(node.log, 1):
        record = decode_record(kind, payload, origins)
        if position in gone:
            continue
        found: list[tuple[str, State]] = []
        match record:
            case Write() | Writes():
                found += zip(record.keys, record.states, strict=True)
            case Arrived(arrivals=arrivals):
                found += zip(arrivals.keys, [*arrivals.siblings, *arrivals.states], strict=True)
            case Entries(keys, siblings, states):
                found += zip(keys, [*siblings, *states], strict=True)
            case _:
                continue
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
        unusable: dict[int, str] = {}
        salvaged = lacking(node, lost, known=rng.random() < 0.5, unusable=unusable)
        replica = salvaged.engine.replica
        check_rows(replica)
        check_claims(history, node, replica)
        check_lives(node, replica)
        if not history.collects:
            check_kept(node, lost | unusable.keys(), salvaged)
        reopen(node, salvaged)
        assert node.engine.replica.digest == replica.digest
        check_rows(node.engine.replica)
    check_meeting(history)


def position_of(node: Node, kind: Kind) -> int:
    """Give where the last record of a kind is in a node's log."""
    return max(i for i, (found, _) in enumerate(node.log, 1) if found == kind)


def claimed(salvaged: Salvaged) -> dict[str, list[tuple[int, int]]]:
    """Give what is claimed: by node, and "*" behind it for the new incarnation."""
    replica = salvaged.engine.replica
    return {
        replica.origins[number].node_id + "*" * (number == 0): list(log.ranges())
        for number, log in replica.haves()
    }


def test_own_writes_behind_a_lost_write_keep_their_numbers() -> None:
    a = Network("a")["a"]
    for i in range(4):
        a.write((f"a longer key/{i}", i))
    salvaged = lacking(a, {2}, known=False)

    assert claimed(salvaged) == {"a": [(1, 1), (3, 4)]}
    assert salvaged.renamed == 0
    assert salvaged.numbers == [(3, 2, 2)]
    assert [key[-1] for key in salvaged.engine.replica.entries] == ["0", "2", "3"]


def test_own_writes_behind_a_life_that_is_lost_go_on_under_new_numbers() -> None:
    """A peer that knows the life would believe that histories have parted."""
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    a.write(("k0", 0))
    a.restart()
    a.write(("k1", 1))
    network.join("a", "b")
    network.run()
    a.write(("k2", 2))
    lost = position_of(a, Kind.LIVED)
    salvaged = lacking(a, {lost})
    reopen(a, salvaged)

    assert claimed(salvaged) == {"a": [(1, 1)], "a*": [(1, 2)]}
    assert salvaged.renamed == 2
    network.join("a", "b")
    network.run()
    assert a.digest == b.digest
    assert a.items() == b.items() == {"k0": 0, "k1": 1, "k2": 2}
    assert not [n for n in b.engine.notices.take() if n.event == "identity.renewed"]


def test_what_a_renamed_write_replaced_stays_replaced() -> None:
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    a.write(("k", "old"))
    network.join("a", "b")
    network.run()
    network.cut(a)
    a.restart()
    a.write(("k", "new"))
    salvaged = lacking(a, {position_of(a, Kind.LIVED)})
    reopen(a, salvaged)
    network.join("a", "b")
    network.run()

    assert a.items() == b.items() == {"k": "new"}
    assert not a.engine.replica.lost
    assert not b.engine.replica.lost


def test_writes_of_a_peer_behind_a_life_that_is_lost_go_on_under_new_numbers() -> None:
    network = Network("a", "b", "c")
    a, b, c = (network[name] for name in "abc")
    a.write(("k0", 0))
    network.join("a", "c")
    network.run()
    network.cut(c)
    network.join("a", "b")
    network.run()
    for i in (1, 2, 3):
        a.restart()
        a.write((f"k{i}", i))
        network.join("a", "b")
        network.run()
    batches = [i for i, (kind, _) in enumerate(b.log, 1) if kind == Kind.ARRIVED]
    salvaged = lacking(b, set(batches[1:3]))

    assert claimed(salvaged) == {"a": [(1, 1)], "b*": [(1, 1)]}
    reopen(b, salvaged)
    network.join("b", "c")
    network.run()
    assert b.items() == c.items() == {"k0": 0, "k3": 3}
    network.join("a", "c")
    network.join("a", "b")
    network.advance(100_000)
    assert a.items() == b.items() == c.items() == {f"k{i}": i for i in range(4)}
    assert a.digest == b.digest == c.digest


def compacted(writes: int) -> Node:
    """Give a node whose log is a checkpoint with more than one part of entries, and rows."""
    a = Network("a")["a"]
    for i in range(writes):
        a.write((f"k{i}", i), ("often", i))
    a.compact()
    return a


def test_of_a_checkpoint_that_lacks_entries_nothing_is_claimed_beside_what_is_left() -> None:
    a = compacted(200)
    entries = [i for i, (kind, _) in enumerate(a.log, 1) if kind == Kind.ENTRIES]
    assert len(entries) > 1
    salvaged = lacking(a, {entries[0]})
    replica = salvaged.engine.replica
    held = {s[1] for state in replica.entries.values() for s in siblings_of(state)}
    (log,) = [log for number, log in replica.haves() if number]

    assert "often" not in replica.entries
    assert {n for n, _ in log.rows()} == held
    assert not log.collected.top


def test_of_a_checkpoint_that_lacks_rows_no_other_write_is_claimed_for_superseded() -> None:
    a = compacted(50)
    rows = [i for i, (kind, _) in enumerate(a.log, 1) if kind == Kind.ROWS]
    salvaged = lacking(a, set(rows))
    replica = salvaged.engine.replica

    assert len(replica) == 51
    (log,) = [log for number, log in replica.haves() if number]
    assert len(log) == 51


def test_values_whose_writer_is_lost_with_a_history_go_on_under_new_numbers() -> None:
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    b.write(("theirs", 1))
    a.write(("ours", 2))
    network.join("a", "b")
    network.run()
    a.compact()
    salvaged = lacking(a, {2})
    reopen(a, salvaged)

    assert claimed(salvaged) == {"a": [(1, 1)], "a*": [(1, 1)]}
    assert a.items() == {"theirs": 1, "ours": 2}
    network.join("a", "b")
    network.run()
    assert a.digest == b.digest
    assert not a.engine.replica.lost


def test_members_stay_and_have_confirmed_nothing_of_the_new_incarnation() -> None:
    network = Network("a", "b")
    a = network["a"]
    a.write(("k0", 0))
    network.join("a", "b")
    network.run()
    a.write(("k1", 1))
    salvaged = lacking(a, {position_of(a, Kind.WRITE)})

    assert [(m.node_id, m.accepted, m.confirmed) for m in salvaged.engine.members] == [
        ("b", True, 0)
    ]

"""A log of which records are missing gives a state that claims no more than it holds.

Random histories of three nodes: one or more logs lose records, are salvaged and opened, and the
nodes meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from softadastra.store.checkpoint import Entries
from softadastra.store.replica import Replica
from softadastra.store.siblings import State, siblings_of
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.kinds import Kind
from softadastra.sync.records import Arrived, Record, RecordEncoder, Writes, decode_record
from softadastra.sync.salvage import Missing, Salvage, Salvaged
from tests.engines import Network, Node

KEYS = [f"k{i}" for i in range(12)]
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


def stamps(replica: Replica) -> dict[str, tuple[int, bytes]]:
    """Give stamp and value of what stands for each key."""
    return {key: max((s[2], s[4]) for s in siblings_of(state)) for key, state in replica.entries.items()}


def check_rows(replica: Replica) -> None:
    """No write is claimed for a key without a state, and no state stands without its row."""
    for _, log in replica.haves():
        assert all(key in replica.entries for _, key in log.rows())
        for first, last in log.ranges():
            for n in range(first, last + 1):
                assert log.key(n) is not None or n in log.collected
    for state in replica.entries.values():
        assert all(s[1] in replica.logs[s[0]] for s in siblings_of(state))


class History:
    """Random steps of three nodes."""

    def __init__(self, seed: int, *, collects: bool) -> None:
        self.rng = random.Random(seed)
        self.network = Network("a", "b", "c")
        self.collects = collects
        if not collects:
            for node in self.network.nodes.values():
                node.collect = lambda: False  # type: ignore[method-assign]
        self.written: dict[tuple[str, int, int], tuple[str, int]] = {}
        """By node, incarnation and number: the key and the stamp."""
        self.gone: set[tuple[str, str]] = set()
        """Node and key: what left a node with its remove."""
        for node in self.network.nodes.values():
            node.commit = partial(self.commit, node, node.commit)  # type: ignore[method-assign]
        self.values = 0
        self.steps = ["write"] * self.rng.randrange(1, 8) + ["join"] * self.rng.randrange(4)
        self.steps += ["restart"] * self.rng.randrange(4) + ["wait"] * self.rng.randrange(2)
        self.steps += ["compact"] * (self.rng.random() < 0.3)

    def commit(self, node: Node, commit: Callable[[Record], None], record: Record) -> None:
        before = set(node.engine.replica.entries)
        commit(record)
        gone = before.difference(node.engine.replica.entries)
        self.gone.update((node.name, key) for key in gone)

    def write(self, node: Node) -> None:
        node.network.now_ms += self.rng.randrange(1, 50)
        asked = []
        for key in self.rng.sample(KEYS, self.rng.randrange(1, 4)):
            self.values += 1
            asked.append((key, f"v{self.values}"))
        if self.rng.random() < 0.2:
            node.remove(asked[0][0])
        else:
            node.write(*asked)
        replica = node.engine.replica
        for key, state in replica.entries.items():
            for origin, n, stamp, *_ in siblings_of(state):
                self.written[(*replica.origins[origin], n)] = (key, stamp)

    def play(self, steps: int) -> None:
        names = list(self.network.nodes)
        for _ in range(steps):
            node = self.network[self.rng.choice(names)]
            match self.rng.choice(self.steps):
                case "write":
                    self.write(node)
                case "join":
                    pair = self.rng.sample(names, 2)
                    link = self.network.join(*pair)
                    self.network.run()
                    if self.rng.random() < 0.7:
                        self.network.close(link)
                case "restart":
                    node.restart()
                case "compact":
                    node.compact()
                case "wait":
                    self.network.advance(self.rng.randrange(100, 60_000))

    def meet(self) -> None:
        for node in self.network.nodes.values():
            self.network.cut(node)
        for _ in range(4):
            self.network.join("a", "b")
            self.network.join("b", "c")
            self.network.join("a", "c")
            self.network.advance(100_000)


def check_claims(history: History, node: Node, replica: Replica) -> None:
    """What is claimed is held, or what superseded it is; or it was let go with its key."""
    held = stamps(replica)
    for number, log in replica.haves():
        for first, last in log.ranges():
            for n in range(first, last + 1):
                if (found := history.written.get((*replica.origins[number], n))) is not None:
                    key, stamp = found
                    is_gone = (node.name, key) in history.gone
                    assert is_gone or held[key][0] >= stamp, (replica.origins[number], n, key)


def check_lives(node: Node, replica: Replica) -> None:
    """No number is told of whose life is not known: peers would believe that histories parted."""
    truth = node.engine.replica
    for number, _ in replica.haves():
        origin = replica.origins[number]
        known = truth.origins.known(origin)
        if known is not None:
            reach = replica.reach(number)
            ours = [life for life in replica.history(number) if life.first <= reach]
            assert ours == [life for life in truth.history(known) if life.first <= reach]


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

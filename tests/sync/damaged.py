"""Random histories of three nodes whose logs are damaged, and what must hold of what is saved."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from softadastra.store.replica import Replica
from softadastra.store.siblings import siblings_of
from softadastra.sync.records import Record
from tests.engines import Network, Node

KEYS = [f"k{i}" for i in range(12)]


def stamps(replica: Replica) -> dict[str, tuple[int, bytes]]:
    """Give stamp and value of what stands for each key."""
    return {
        key: max((s[2], s[4]) for s in siblings_of(state)) for key, state in replica.entries.items()
    }


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
                case _:
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


def check_meeting(history: History) -> None:
    """All nodes meet and hold the same: of each key the greatest of what was left anywhere."""
    replicas = [node.engine.replica for node in history.network.nodes.values()]
    left: dict[str, tuple[int, bytes]] = {}
    for replica in replicas:
        for key, found in stamps(replica).items():
            left[key] = max(found, left.get(key, (0, b"")))

    history.meet()

    replicas = [node.engine.replica for node in history.network.nodes.values()]
    assert len({replica.digest for replica in replicas}) == 1
    if not history.collects:
        assert stamps(replicas[0]) == left

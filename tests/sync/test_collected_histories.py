"""Random histories with collection, suspension, snapshots and loss, as in the design's model.

Nodes write and remove what they see, meet and part at any moment, are away for so long that
they are suspended, restart, rewrite their logs, and may be lost for good. After healing they agree;
without loss and where siblings are kept, on exactly the writes that nobody superseded.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from softadastra.store.policies import LAST_WRITE_WINS, Policies, Policy
from softadastra.store.siblings import siblings_of
from softadastra.store.values import unpack_value
from softadastra.sync.batches import Limits
from softadastra.sync.notices import Level, each
from tests.described import described
from tests.engines import OPTIONS, Network, Node

MANUAL = Policies(Policy.MANUAL, {}, "manual")
Dot = tuple[str, int]


class History:
    """One random history."""

    def __init__(self, seed: int, *, loses: bool, suspends: bool, policies: Policies) -> None:
        self.random = random.Random(seed)
        self.loses = loses
        self.policies = policies
        entries = self.random.choice([1, 2, 5, 100])
        options = replace(
            OPTIONS,
            batch=Limits(entries, 262_144),
            window=self.random.choice([1, 2, 8]),
            max_offline_ms=240_000 if suspends else 10**12,
        )
        names = "abcde"[: self.random.choice([2, 3, 4, 5])]
        self.network = Network(*names, options=options, policies=policies)
        for node in self.nodes:
            node.skew_ms = self.random.choice([0, 0, -50_000, 50_000])
        self.keys = [f"k{i}" for i in range(self.random.choice([1, 2, 5, 8]))]
        self.writes: dict[Dot, tuple[str, str | None, set[Dot]]] = {}

    @property
    def nodes(self) -> list[Node]:
        return list(self.network.nodes.values())

    def dots(self, node: Node, key: str) -> set[Dot]:
        replica = node.engine.replica
        state = replica.entries.get(key)
        return {(replica.origins[s[0]].node_id, s[1]) for s in siblings_of(state)}

    def write(self, node: Node, step: int) -> None:
        key, value = self.random.choice(self.keys), f"{node.name}{step}"
        saw, top = self.dots(node, key), node.engine.replica.top
        if self.random.random() < 0.4:
            node.remove(key)
            written = None
        else:
            node.write((key, value))
            written = value
        if node.engine.replica.top > top:
            self.writes[node.name, top + 1] = (key, written, saw)

    def step(self, step: int) -> None:
        chance, node = self.random.random(), self.random.choice(self.nodes)
        network = self.network
        if chance < 0.3:
            self.write(node, step)
        elif chance < 0.45 and len(self.nodes) > 1:
            peer = self.random.choice([n for n in self.nodes if n is not node])
            network.join(node.name, peer.name)
        elif chance < 0.55 and network.links:
            network.close(self.random.choice(sorted(network.links)))
        elif chance < 0.57:
            node.restart()
        elif chance < 0.6:
            before = described(node.engine)
            node.compact()
            assert described(node.engine) == before
        elif chance < 0.8:
            for _ in range(self.random.randint(1, 4)):
                for other in self.nodes:
                    other.collect()
                    other.poll()
                network.deliver()
        else:
            network.advance(self.random.choice([100, 1_000, 35_000, 300_000]), step=5_000)

    def heal(self) -> None:
        if self.loses and len(self.nodes) > 2:
            lost = self.random.choice(self.nodes)
            self.network.cut(lost)
            del self.network.nodes[lost.name]
        network = self.network
        for link in list(network.links):
            network.close(link)
        names = list(network.nodes)
        for i, left in enumerate(names):
            for right in names[i + 1 :]:
                network.join(left, right)
        network.run(2_000)
        network.advance(400_000, step=1_000)

    def check(self) -> None:
        first, *others = self.nodes
        shown = {key: self.shown(first, key) for key in self.keys}
        for other in others:
            assert {key: self.shown(other, key) for key in self.keys} == shown
            assert other.digest == first.digest
            assert other.engine.have() == first.engine.have()
        if not self.loses and self.policies is MANUAL:
            assert shown == {key: self.frontier(key) for key in self.keys}

    def shown(self, node: Node, key: str) -> list[str]:
        siblings = siblings_of(node.engine.replica.entries.get(key))
        return sorted(str(unpack_value(s[4])) for s in siblings if s[4])

    def frontier(self, key: str) -> list[str]:
        superseded: set[Dot] = set()
        pending = [dot for _, _, saw in self.writes.values() for dot in saw]
        # A node's own older writes of a key are superseded without being seen as siblings.
        while pending:
            dot = pending.pop()
            if dot not in superseded:
                superseded.add(dot)
                pending.extend(self.writes[dot][2])
        return sorted(
            value
            for dot, (k, value, _) in self.writes.items()
            if k == key and value is not None and dot not in superseded
        )


def play(seed: int, *, loses: bool, suspends: bool, policies: Policies) -> None:
    history = History(seed, loses=loses, suspends=suspends, policies=policies)
    for step in range(60):
        history.step(step)
    history.heal()
    history.check()
    if not (suspends and policies is LAST_WRITE_WINS):
        errors = [
            notice
            for node in history.nodes
            for notice in each(node.engine.notices.waiting)
            if notice.level >= Level.ERROR
        ]
        assert not errors


@pytest.mark.parametrize("policies", [LAST_WRITE_WINS, MANUAL], ids=["lww", "manual"])
@pytest.mark.parametrize("suspends", [False, True], ids=["kept", "suspended"])
@pytest.mark.parametrize("loses", [False, True], ids=["all", "lost"])
@pytest.mark.parametrize("seed", range(6))
def test_nodes_agree_on_what_nobody_superseded(seed, loses, suspends, policies):
    play(seed, loses=loses, suspends=suspends, policies=policies)

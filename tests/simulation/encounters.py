"""Nodes that meet two at a time, and are lost at the wrong moment: what the design's model plays.

Most rules of collection and snapshots are for histories that need several such moments: a member
away while a remove is collected, a link that opens for one message, the loss of the one node that
could have told the rest why. Faults by chance alone seldom make them one after the other.
"""

from __future__ import annotations

from itertools import permutations
from random import Random

from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import NodeState, SimNode

from .faults import is_in_snapshot
from .plan import Plan

__all__ = ["Encounters"]

TURNS = 8
"""Of a meeting."""

LEFT_MIN = 2
"""Nodes that are never lost."""

AHEAD_MS = 90_000
"""Of a clock that is ahead: by more than a stamp moves the clocks of others."""

FRAMES_MAX = 8
"""A short meeting is over before so many frames have gone one way."""

STAY_SECONDS = 6.0
"""How long others stay together at most, when nobody is waited for for a shorter time."""


class Encounters:
    """Decides who can hear whom, and when the nodes do what is done every half minute.

    Args:
        cluster: whose nodes meet.
        plan: how slow frames are, and whether a node may be lost.
        rng: decides who meets whom.
    """

    def __init__(self, cluster: SimCluster, plan: Plan, rng: Random) -> None:
        self._cluster = cluster
        self._plan = plan
        self._rng = rng
        self._length_seconds = 0.0
        """Of this meeting."""
        self._until = 0.0
        """When others meet."""
        self._sites: tuple[list[SimNode], list[SimNode]] = ([], [])
        """Two groups that have little to do with each other."""
        for node in cluster.nodes if plan.is_played else ():
            if rng.random() < plan.ahead_chance:
                node.jump_clock(AHEAD_MS)

    def act(self) -> None:
        """Let others meet when it is time, or let nodes hurry; some may be lost in a snapshot."""
        if self._rng.random() < self._plan.loss_chance:
            self._lose()
        if self._cluster.seconds >= self._until:
            self._meet()
            return
        running = [node for node in self._cluster.everyone if node.is_running]
        if running and self._rng.random() < 0.4:
            running = [self._rng.choice(running)]
        for node in running:
            node.hurry()

    @property
    def pause_seconds(self) -> float:
        """Between two turns on average: a few in each meeting."""
        return max(0.02, self._length_seconds / TURNS)

    def _meet(self) -> None:
        """Choose who meets for how long: at home, then a few times across, and so on."""
        nodes = [node for node in self._cluster.everyone if node.state is not NodeState.LOST]
        if not all(self._sites) or self._rng.random() < 0.1:
            self._rng.shuffle(nodes)
            size = self._rng.choice([1, len(nodes) // 2])
            self._sites = (nodes[:size], nodes[size:])
        stay_seconds = min(STAY_SECONDS, self._plan.max_offline_seconds) * self._rng.uniform(0.5, 2)
        short_seconds = self._plan.delay_seconds * self._rng.randrange(1, FRAMES_MAX)
        one, other = self._sites
        at_home = [*permutations(one, 2), *permutations(other, 2)]
        chance = self._rng.random()
        if self._rng.random() < self._plan.together_chance:
            self._connect([*permutations(nodes, 2)], stay_seconds)
        elif chance < 0.4:
            self._connect(at_home, stay_seconds)
        elif chance < 0.7:
            across = self._pair(self._rng.choice(one), self._rng.choice(other))
            self._connect([*at_home, *across] if chance < 0.55 else across, short_seconds)
        else:
            self._connect(self._pair(*self._rng.sample(nodes, 2)), short_seconds)

    def _pair(self, one: SimNode, other: SimNode) -> list[tuple[SimNode, SimNode]]:
        """Let two hear each other, or one of them the other."""
        return [[(one, other)], [(other, one)], [(one, other), (other, one)]][
            self._rng.randrange(3)
        ]

    def _connect(self, pairs: list[tuple[SimNode, SimNode]], seconds: float) -> None:
        """Let frames pass for so long from the first to the second of these, and no others."""
        self._length_seconds = seconds
        self._until = self._cluster.seconds + seconds
        meeting = {(sender.machine, receiver.machine) for sender, receiver in pairs}
        for sender, receiver in permutations([n.machine for n in self._cluster.everyone], 2):
            is_blocked = self._cluster.network.conditions(sender, receiver).is_blocked
            if (sender, receiver) not in meeting:
                if not is_blocked:
                    self._cluster.partition(sender, receiver, one_way=True)
                continue
            if is_blocked:
                self._cluster.rejoin(sender, receiver, one_way=True)
            self._cluster.delay(sender, receiver, 0.001, self._plan.delay_seconds)
            self._cluster.drop(sender, receiver, self._plan.drop_chance)

    def _lose(self) -> None:
        """Lose a node for good that gives or takes a snapshot, or all that are with it."""
        left = [node for node in self._cluster.nodes if node.state is not NodeState.LOST]
        busy = [node for node in left if node.is_running and is_in_snapshot(node)]
        if not busy:
            return
        victim = self._rng.choice(busy)
        site = next((site for site in self._sites if victim in site), [victim])
        victims = site if self._rng.random() < 0.5 else [victim]
        for node in [victim, *(node for node in victims if node is not victim and node in left)]:
            if len(left) > LEFT_MIN:
                left.remove(node)
                node.lose()
        self._sites = ([], [])

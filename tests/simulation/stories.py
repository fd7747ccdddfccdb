"""Histories that a rule of collection or of snapshots is for, each told with other chance.

They are those in which the design's model loses or brings back a write when it makes one of its
mistakes. Each takes five or six moments in one order: among random faults not one of a thousand
seeds has them. So the order is written down here, and the seed chooses who plays which part, how
slow frames are, what else is written, and all that is left open. What must hold is what must hold
of every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations
from random import Random
from typing import NamedTuple

from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import SimNode

__all__ = ["STORIES", "Story", "Telling"]

PATIENCE_SECONDS = 60
"""A step of a story that has not come after so long does not come."""

AHEAD_MS = 90_000
"""Of a clock that is ahead: by more than a stamp moves the clocks of others."""


class Story:
    """Four nodes of a cluster, and what stories have in common.

    Args:
        cluster: of at least four nodes.
        rng: decides who is who.
    """

    def __init__(self, cluster: SimCluster, rng: Random) -> None:
        self.cluster = cluster
        self.rng = rng
        nodes = [*cluster.nodes]
        rng.shuffle(nodes)
        self.one, self.two, self.three, self.four = nodes[:4]
        self.key = "key/0"
        """What it is about; the first of all keys."""
        self._values = 0
        for sender, receiver in permutations(nodes, 2):
            greatest = rng.choice([0.003, 0.05, 0.2])
            cluster.delay(sender.machine, receiver.machine, 0.001, greatest)

    def begin(self) -> None:
        """Let everybody have the key, and some more."""
        self.put(self.rng.choice([self.one, self.two, self.three, self.four]))
        for number in range(1, self.rng.randint(3, 5)):
            self.put(self.rng.choice(self.cluster.nodes), f"key/{number}")
        self.wait(lambda: len({node.digest() for node in self.cluster.nodes}) == 1)

    def put(self, node: SimNode, key: str | None = None) -> None:
        """Write a value that nobody has written before."""
        self._values += 1
        node.put(self.key if key is None else key, [self._values, "."])

    def hear(self, *pairs: tuple[SimNode, SimNode]) -> None:
        """Let frames pass from the first to the second of these, and no others."""
        hearing = {(sender.machine, receiver.machine) for sender, receiver in pairs}
        for sender, receiver in permutations([n.machine for n in self.cluster.everyone], 2):
            if (sender, receiver) in hearing:
                self.cluster.rejoin(sender, receiver, one_way=True)
            else:
                self.cluster.partition(sender, receiver, one_way=True)

    def meet(self, *groups: Iterable[SimNode]) -> None:
        """Let the nodes of each group hear each other, and nobody else."""
        self.hear(*(pair for group in groups for pair in permutations(group, 2)))

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Let time pass until something has happened; give whether it has."""
        return self.cluster.wait_until(condition, PATIENCE_SECONDS)

    def hurry(self, *nodes: SimNode, seconds: float = 4) -> None:
        """Let some nodes collect what they may: they tell what they have, and look, a few times."""
        end = self.cluster.seconds + seconds
        while self.cluster.seconds < end:
            for node in nodes:
                node.hurry()
            self.cluster.run(min(1, seconds))

    def outwait(self, *nodes: SimNode) -> None:
        """Let some nodes wait for those that they cannot hear until they do so no more."""
        self.cluster.run(self.one.options.max_offline + self.rng.uniform(0.1, 3))
        self.hurry(*nodes)


def a_snapshot_ends_with_its_sender(story: Story) -> None:
    """A site collects what it removed, begins to tell another one, and is lost with all it knew."""
    sender, partner, receiver, other = story.one, story.two, story.three, story.four
    story.begin()
    story.meet((sender, partner), (receiver, other))
    sender.remove(story.key)
    story.outwait(sender, partner)
    story.cluster.delay(sender.machine, receiver.machine, 0.3, 0.5)
    story.meet((sender, receiver))
    story.wait(lambda: has_taken(receiver, sender, story.key))
    sender.lose()
    partner.lose()
    story.meet((receiver, other))
    story.hurry(receiver, other)


def a_snapshot_meets_what_it_is_about(story: Story) -> None:
    """What a range of a snapshot showed to be gone comes from a third node before its end."""
    sender, partner, receiver, third = story.one, story.two, story.three, story.four
    story.begin()
    story.meet((sender, partner, third))
    story.put(third)
    story.wait(lambda: sender.digest() == third.digest() == partner.digest())
    story.meet((sender, partner))
    sender.remove(story.key)
    story.outwait(sender, partner)
    story.cluster.delay(sender.machine, receiver.machine, 0.3, 0.5)
    story.meet((sender, receiver))
    story.wait(lambda: has_taken(receiver, sender, story.key))
    story.hear((third, receiver), (receiver, third), (receiver, sender))
    story.wait(lambda: receiver.get(story.key) == third.get(story.key))
    story.meet((sender, receiver))
    story.wait(lambda: not receiver.running().engine.delivery.snapshots.incoming)


def a_remove_goes_ahead_of_what_it_removes(story: Story) -> None:
    """A site has a remove, and lacks the write that it removed, which comes when all is over."""
    first, second, remover, writer = story.one, story.two, story.three, story.four
    story.begin()
    story.meet((remover, writer))
    story.put(writer)
    story.wait(lambda: remover.get(story.key) == writer.get(story.key))
    remover.remove(story.key)
    story.cluster.delay(first.machine, remover.machine, 0.3, 0.5)
    story.hear((remover, first), (first, remover))
    story.wait(lambda: first.get(story.key) is None)
    story.meet((first, second))
    story.wait(lambda: second.get(story.key) is None)
    story.outwait(first, second)
    story.meet((first, second), (first, writer))
    story.cluster.run(5)


def more_is_removed_while_a_snapshot_is_served(story: Story) -> None:
    """What a snapshot began with lacks a remove that is made before its end.

    The sender is lost when it is over, with all who know of that remove.
    """
    sender, partner, receiver, other = story.one, story.two, story.three, story.four
    story.begin()
    last_key = max(sender.items())
    story.meet((sender, partner), (receiver, other))
    sender.remove(story.key)
    story.outwait(sender, partner)
    story.cluster.delay(sender.machine, receiver.machine, 0.3, 0.5)
    story.meet((sender, partner), (sender, receiver))
    story.wait(lambda: has_taken(receiver, sender, story.key))
    story.meet((sender, partner), (receiver, other))
    sender.remove(last_key)
    story.outwait(sender, partner)
    story.meet((sender, receiver))
    story.wait(lambda: not receiver.running().engine.delivery.snapshots.incoming)
    sender.lose()
    partner.lose()
    story.meet((receiver, other))
    story.hurry(receiver, other)


def a_write_is_on_its_way_to_a_remove(story: Story) -> None:
    """A batch is lost, and sent again when all have a remove which is later than what is in it."""
    late, remover, writer = story.one, story.two, story.three
    story.begin()
    story.hear((writer, late), (late, writer))
    story.cluster.drop(writer.machine, late.machine, 1.0)
    story.put(writer)
    story.cluster.run(0.5)
    story.cluster.drop(writer.machine, late.machine, 0.0)
    remover.remove(story.key)
    everybody = [*story.cluster.nodes]
    others = [node for node in everybody if node is not writer]
    story.meet(others, (late, writer))
    story.wait(lambda: all(node.get(story.key) is None for node in everybody))
    for _ in range(story.rng.randrange(4)):
        # They look at what they know, also before the writer has told all that it has.
        story.hurry(*others, seconds=0.1)
    story.hurry(*everybody)
    story.meet(everybody)
    story.cluster.run(10)


def a_remove_comes_from_the_future(story: Story) -> None:
    """A clock is ahead, and what is written over its remove has to be later than the remove."""
    remover, writer = story.one, story.two
    remover.jump_clock(AHEAD_MS)
    story.begin()
    remover.remove(story.key)
    story.wait(lambda: all(node.get(story.key) is None for node in story.cluster.nodes))
    story.hurry(*story.cluster.nodes)
    story.put(writer)


def a_write_comes_for_a_key_that_is_gone(story: Story) -> None:
    """A write that lost to a remove reaches a node that has collected it, and is passed on."""
    first, second, remover, writer = story.one, story.two, story.three, story.four
    story.begin()
    story.meet((first, second, remover))
    story.put(writer)
    story.cluster.run(1)
    remover.remove(story.key)
    story.wait(lambda: first.get(story.key) is None and second.get(story.key) is None)
    story.hear(*permutations((first, second, remover), 2), (first, writer))
    story.wait(lambda: writer.get(story.key) is None)
    story.meet((first, second, remover))
    story.cluster.cut(first.machine, writer.machine)
    story.outwait(first, second, remover)
    story.meet((first, second, remover), (first, writer))
    story.cluster.run(5)


class Telling(NamedTuple):
    """A story, and in which clusters it is worth telling."""

    tell: Callable[[Story], None]
    is_patient: bool
    """Whether everybody is waited for, however long that takes."""
    policies: tuple[str, ...]


SIBLINGS_KEPT = ("manual", "manual", "manual", "keep_local", "keep_remote")
LAST_WRITE_WINS = ("last_write_wins",)

STORIES = (
    Telling(a_snapshot_ends_with_its_sender, False, SIBLINGS_KEPT),
    Telling(a_snapshot_meets_what_it_is_about, False, SIBLINGS_KEPT),
    Telling(more_is_removed_while_a_snapshot_is_served, False, SIBLINGS_KEPT),
    Telling(a_remove_goes_ahead_of_what_it_removes, False, SIBLINGS_KEPT),
    Telling(a_write_is_on_its_way_to_a_remove, True, LAST_WRITE_WINS),
    Telling(a_write_is_on_its_way_to_a_remove, True, LAST_WRITE_WINS),
    Telling(a_remove_comes_from_the_future, True, LAST_WRITE_WINS),
    Telling(a_write_comes_for_a_key_that_is_gone, False, LAST_WRITE_WINS),
)


def has_taken(receiver: SimNode, sender: SimNode, key: str) -> bool:
    """Whether a range of a snapshot has come that a key is in."""
    incoming = receiver.running().engine.delivery.snapshots.incoming.get(sender.node_id)
    return incoming is not None and incoming.is_finished(key)

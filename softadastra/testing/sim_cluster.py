"""A cluster in one thread and in its own time: real nodes over simulated disks and network.

Engine, driver, committer and write-ahead log are the product's own; disks, network and clocks
are twins that fail on request. A run is a function of its seed. An hour of it takes seconds, and
every promise that can be checked from outside is checked at every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from softadastra.errors import InvalidArgumentError, InvalidStateError, NotFoundError
from softadastra.options import ClientOptions
from softadastra.testing.checkers import Checks
from softadastra.testing.checkers.collection import REST_SECONDS, is_collected
from softadastra.testing.checkers.progress import await_rest
from softadastra.testing.roster import node_names, node_options, refuse_own, topology_of
from softadastra.testing.sim_liar import SimLiar
from softadastra.testing.sim_network import SimNetwork
from softadastra.testing.sim_node import NodeState, SimNode
from softadastra.testing.sim_schedule import Schedule, Trace, chance
from softadastra.testing.sim_topology import SimTopology, links

__all__ = ["SimCluster"]

LOOK_MS = 100
"""Between two looks at a condition."""

OWN_OPTIONS = frozenset(
    {"node_id", "wal_path", "enable_wal", "enable_transport", "transport_host", "transport_port"}
    | {"peers", "enable_discovery", "security", "insecure"}
)
"""The options of `ClientOptions` that differ between the nodes, or that a simulation replaces."""


class SimCluster:
    """Several simulated nodes, with every fault that machines and networks of them have.

        with SimCluster(3, seed=7, topology="line") as cluster:
            a, b, c = cluster.nodes
            a.put("message/1", "hello")
            cluster.partition("node-a", "node-b")
            a.crash()
            cluster.run(60)
            a.restart()
            cluster.heal()
            assert cluster.wait_converged(timeout=120)
            assert c.get("message/1") == "hello"

    Faults of one node are verbs on it (`cluster.node("node-a").crash()`): power cuts, full and
    damaged disks, old copies of its log, clocks that jump. Those of the network are verbs here,
    and so is `clone`, a second node of a name. A node that is paused or cut off for longer than
    the option `max_offline` is suspended: the others collect without it. One that is lost for good
    has to be forgotten by the others, or what they write waits for it. A fault of a name that is
    not in the cluster is refused (NotFoundError).

    Times are seconds of simulated time, and nothing happens but in `run` and the
    waits. Not thread-safe. Leaving the block frees nothing but memory.

    Args:
        nodes_count: how many nodes, 1 to 26, named node-a, node-b and so on.
        seed: decides everything that chance decides.
        topology: who dials whom at the start.
        trace: takes a line for each event; None: none are made.
        allocation_bytes_max: what the disks reserve at a time for a growing file.
        slack_bytes: how much of a log may be obsolete before it is rewritten, beside as much as is
            not.
        options: fields of `ClientOptions` for all nodes, as `auto_flush=False`.

    Raises:
        InvalidArgumentError: an argument is out of range, or an option is not for all nodes.
    """

    def __init__(
        self,
        nodes_count: int,
        *,
        seed: int = 0,
        topology: SimTopology | str = SimTopology.MESH,
        trace: Callable[[str], object] | None = None,
        allocation_bytes_max: int = 65_536,
        slack_bytes: int = 65_536,
        **options: object,
    ) -> None:
        names = node_names("simulated", nodes_count)
        topology = topology_of(SimTopology, topology)
        refuse_own(options.keys(), OWN_OPTIONS)
        self.schedule = Schedule()
        self.trace = Trace(self.schedule, trace)
        self.checks = Checks(self.trace, nodes_count)
        self.network = SimNetwork(self.schedule, chance(seed, "network"), self.trace)
        self._seed = seed
        self._allocation_bytes_max = allocation_bytes_max
        self._slack_bytes = slack_bytes
        self._clones_made: Counter[str] = Counter()
        self.clones: list[SimNode] = []
        """Second nodes of a name, in the order in which they were made; some may be lost by now."""
        self.nodes = tuple(self._make(node_options(name, options), name) for name in names)
        """The nodes, node-a first; no clones."""
        self._links = links(
            topology,
            [node.node_id for node in self.nodes],
            chance(seed, "topology"),
        )

    def _make(self, options: ClientOptions, machine: str) -> SimNode:
        return SimNode(
            options,
            machine=machine,
            schedule=self.schedule,
            network=self.network,
            checks=self.checks,
            rng=chance(self._seed, machine),
            allocation_bytes_max=self._allocation_bytes_max,
            slack_bytes=self._slack_bytes,
        )

    def open(self) -> None:
        """Start all nodes, and let them dial each other.

        Raises:
            InvalidStateError: a node was started before.
        """
        for node in self.nodes:
            node.restart()
        for one, other in self._links:
            self.node(one).connect(self.node(other))

    def close(self) -> None:
        """End all nodes, as they are."""
        for node in self.everyone:
            if node.life is not None:
                node.kill()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def everyone(self) -> tuple[SimNode, ...]:
        """The nodes, and the clones."""
        return (*self.nodes, *self.clones)

    def node(self, name: str) -> SimNode:
        """Give a node by its name, or a clone by that of its machine, as "node-a.2".

        Raises:
            NotFoundError: there is none of this name.
        """
        for node in self.everyone:
            if node.machine == name:
                return node
        raise NotFoundError(f"there is no node {name!r} in this cluster", node_id=name)

    def clone(self, name: str, image: bytes | None = None) -> SimNode:
        """Start a second node of the same name on another machine, from a copy of the log.

        It dials whom the first one dials, and those that dial the first one.

        Args:
            name: of the node.
            image: the copy; by default, of what the log holds now.

        Raises:
            InvalidStateError: the node has no log.
        """
        node = self.node(name)
        self._clones_made[name] += 1
        clone = self._make(node.options, f"{name}.{self._clones_made[name] + 1}")
        clone.restore(node.copy() if image is None else image, in_place=False)
        self.clones.append(clone)
        clone.restart()
        for other in self.nodes:
            if other.node_id in node.peers_dialled or name in other.peers_dialled:
                clone.connect(other)
        return clone

    def suspend(self, name: str) -> None:
        """Pause a node for so long that the others wait for it no more; `resume` brings it back.

        That takes the option `max_offline` of simulated time, which is 30 days where nothing else
        is asked for: a minute is enough for most tests.

        Raises:
            InvalidStateError: the node does not run.
        """
        node = self.node(name)
        node.pause()
        self.run(node.options.max_offline + 1)

    def add_liar(self, node_id: str) -> SimLiar:
        """Let somebody in who says what it likes; it is none of `nodes`, and dials when it is told.

        From now on nothing is checked that rests on every member telling the truth: a liar can
        invent writes, and what nodes hold is no longer only what was written through them.
        """
        self.checks.liars.add(node_id)
        return SimLiar(node_id, network=self.network, schedule=self.schedule, like=self.nodes[0])

    # Time.

    @property
    def seconds(self) -> float:
        """How much time has passed."""
        return self.schedule.now_ms / 1000

    def run(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            BrokenPromiseError: a promise was broken.
        """
        self.schedule.run(round(seconds * 1000))

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Let time pass until a condition holds, looked at every 100 ms.

        Returns:
            Whether it held; False when the seconds ran out.
        """
        end_ms = self.schedule.now_ms + round(timeout * 1000)
        while not condition():
            if self.schedule.now_ms >= end_ms:
                return False
            self.schedule.run(LOOK_MS)
        return True

    def wait_converged(self, timeout: float) -> bool:
        """Let time pass until the nodes that run have the same writes, then check them all.

        Exact when nothing is written meanwhile.

        Returns:
            Whether they have; False when the seconds ran out.

        Raises:
            BrokenPromiseError: they say so, and a write is lost, invented, or shown wrongly.
        """
        running = [node for node in self.everyone if node.is_running]
        if not running:
            raise InvalidStateError("no node is running: restart one before waiting")

        def is_converged() -> bool:
            first, *others = [node.running().engine for node in running]
            return all(
                other.replica.digest == first.replica.digest and other.have() == first.have()
                for other in others
            )

        if not self.wait_until(is_converged, timeout):
            return False
        self.checks.settled(running)
        return True

    def wait_settled(self) -> None:
        """Let the nodes that run do all that is left to do, and check everything.

        For clusters whose faults have ended, as by `recover`. It ticks and releases for nodes that
        do not do so themselves. At most six minutes.

        Raises:
            BrokenPromiseError: they do not converge within four minutes, or send on though nobody
                lacks anything, or a write stays unconfirmed; or as `wait_converged`.
        """
        running = [node for node in self.everyone if node.is_running]
        await_rest(self, running)
        self.checks.settled(running)

    def wait_collected(self) -> None:
        """Let time pass until the nodes that run have let go all tombstones and index rows.

        For nodes that have converged, and when nothing is written meanwhile. Not those of removes
        that were made by a clock which is ahead: they stay until that time has come.

        Raises:
            BrokenPromiseError: something is left after ten minutes.
        """
        running = [node for node in self.everyone if node.is_running]
        self.wait_until(lambda: all(map(is_collected, running)), REST_SECONDS)
        self.checks.rested(running)

    # Faults of the network.

    def partition(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing arrive between two nodes, or with `one_way` nothing from the first."""
        self._check_names(one, other)
        arrow = "to" if one_way else "and"
        self.trace.tell("network", f"is cut: {one} {arrow} {other}")
        self.network.block(one, other)
        if not one_way:
            self.network.block(other, one)

    def rejoin(self, one: str, other: str, *, one_way: bool = False) -> None:
        """End what `partition` did, both ways or from the first; what waited arrives."""
        self._check_names(one, other)
        arrow = "to" if one_way else "and"
        self.trace.tell("network", f"is whole: {one} {arrow} {other}")
        self.network.unblock(one, other)
        if not one_way:
            self.network.unblock(other, one)

    def heal(self) -> None:
        """End every fault of the network."""
        self.trace.tell("network", "heals")
        for one in self.everyone:
            for other in self.everyone:
                if one is not other:
                    self.network.unblock(one.machine, other.machine)
                    self.network.calm(one.machine, other.machine)

    def cut(self, one: str, other: str) -> None:
        """End the links between two nodes, with what is on its way; they dial again."""
        self._check_names(one, other)
        self.trace.tell("network", f"loses the links between {one} and {other}")
        self.network.cut(one, other)

    def delay(self, sender: str, receiver: str, least: float, greatest: float) -> None:
        """Let frames take so many seconds, each its own; frames of other links overtake them."""
        self._check_names(sender, receiver)
        if not 0 <= least <= greatest:
            raise InvalidArgumentError(
                f"a delay is 0 or more, then no less, got {least}, {greatest}"
            )
        self.trace.tell("network", f"delays {sender} to {receiver}: {least} to {greatest} s")
        delay_ms = (max(1, round(least * 1000)), max(1, round(greatest * 1000)))
        self.network.conditions(sender, receiver).delay_ms = delay_ms

    def drop(self, sender: str, receiver: str, chance: float) -> None:
        """Let this part of the frames be lost, each for itself."""
        self._check_names(sender, receiver)
        check_chance(chance)
        self.trace.tell("network", f"drops {chance:.0%} of {sender} to {receiver}")
        self.network.conditions(sender, receiver).drop_chance = chance

    def duplicate(self, sender: str, receiver: str, chance: float) -> None:
        """Let this part of the frames come twice."""
        self._check_names(sender, receiver)
        check_chance(chance)
        self.trace.tell("network", f"doubles {chance:.0%} of {sender} to {receiver}")
        self.network.conditions(sender, receiver).duplicate_chance = chance

    def reorder(self, sender: str, receiver: str, chance: float) -> None:
        """Let this part of the frames come up to a second later than those behind them."""
        self._check_names(sender, receiver)
        check_chance(chance)
        self.trace.tell("network", f"reorders {chance:.0%} of {sender} to {receiver}")
        self.network.conditions(sender, receiver).reorder_chance = chance

    def replay(self, sender: str, receiver: str) -> bool:
        """Let an earlier frame come again, also one of an earlier link.

        Returns:
            Whether there was a frame, and a link for it.
        """
        self._check_names(sender, receiver)
        is_done = self.network.replay(sender, receiver)
        if is_done:
            self.trace.tell("network", f"replays a frame of {sender} to {receiver}")
        return is_done

    def _check_names(self, *names: str) -> None:
        for name in names:
            if name not in self.checks.liars:
                self.node(name)

    # The end of all faults.

    def recover(self) -> None:
        """Heal the network, free the disks, and bring back all nodes but those lost for good.

        Clones end: of two nodes of one name only one is let in.
        """
        self.heal()
        for clone in self.clones:
            if clone.state is not NodeState.LOST:
                clone.lose()
        for node in self.nodes:
            node.free_disk()
            node.disk.fails_next_sync = False
            if node.state is NodeState.PAUSED:
                node.resume()
            if node.is_poisoned:
                node.kill()
            if node.state is NodeState.DOWN:
                node.restart()


def check_chance(chance: float) -> None:
    """Refuse what is no part of all frames.

    Raises:
        InvalidArgumentError: it is none.
    """
    if not 0 <= chance <= 1:
        raise InvalidArgumentError(f"a chance is from 0 to 1, got {chance}")

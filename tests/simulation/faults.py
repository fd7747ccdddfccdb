"""Faults by chance: which kinds are armed is the seed's choice, when they strike is chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from enum import Enum
from random import Random

from softadastra.errors import StorageError, StoreError
from softadastra.testing.checkers import BrokenPromiseError
from softadastra.testing.sim_cluster import SimCluster
from softadastra.testing.sim_node import NodeState, SimNode

__all__ = ["Fault", "Nemesis"]

BUSY_CHANCE = 0.7
"""That a fault strikes a node which gives or takes a snapshot, when there is one."""

COPIES_MAX = 3
"""Old copies of one log that are kept to be restored."""

AWAY_PARTS_MAX = 5
"""A node stays away in runs whose hostile phase is so many times as long as `max_offline`."""

MEND_CHANCE = 0.4
"""At each turn, of each node and pair that is not as it should be."""


class Fault(Enum):
    """A kind of fault that a seed may arm."""

    CRASH = "crash"
    KILL = "kill"
    CLOSE = "close"
    PAUSE = "pause"
    PARTITION = "partition"
    ONE_WAY = "one way"
    CUT = "cut"
    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REPLAY = "replay"
    CLOCK_JUMP = "clock jump"
    CLOCK_DRIFT = "clock drift"
    DISK_FULL = "disk full"
    FAIL_SYNC = "fail sync"
    FLIP_BIT = "flip bit"
    WIPE = "wipe"
    LOSE = "lose"
    RESTORE = "restore an old copy"
    CLONE = "clone"
    STAY_AWAY = "stay away"
    REORDER = "reorder"


class Nemesis:
    """Strikes a cluster and mends it again.

    Args:
        cluster: the victim.
        armed: the kinds of faults it may use.
        rng: decides what happens when, to whom.
        hostile_seconds: how long all that goes on.
    """

    def __init__(
        self,
        cluster: SimCluster,
        armed: tuple[Fault, ...],
        rng: Random,
        *,
        hostile_seconds: float,
    ) -> None:
        self._hostile_seconds = hostile_seconds
        self.struck: Counter[Fault] = Counter()
        """How often each kind of fault was used."""
        self._cluster = cluster
        self._armed = armed
        self._rng = rng
        self._strikes: dict[Fault, Callable[[SimNode, SimNode], bool]] = {
            Fault.CRASH: self._crash,
            Fault.KILL: self._kill,
            Fault.CLOSE: self._close,
            Fault.PAUSE: self._pause,
            Fault.PARTITION: self._partition,
            Fault.ONE_WAY: self._one_way,
            Fault.CUT: self._cut,
            Fault.DROP: self._drop,
            Fault.DELAY: self._delay,
            Fault.DUPLICATE: self._duplicate,
            Fault.REPLAY: self._replay,
            Fault.CLOCK_JUMP: self._jump_clock,
            Fault.CLOCK_DRIFT: self._drift_clock,
            Fault.DISK_FULL: self._fill_disk,
            Fault.FAIL_SYNC: self._fail_sync,
            Fault.FLIP_BIT: self._flip_bit,
            Fault.WIPE: self._wipe,
            Fault.LOSE: self._lose,
            Fault.RESTORE: self._restore,
            Fault.CLONE: self._clone,
            Fault.STAY_AWAY: self._stay_away,
            Fault.REORDER: self._reorder,
        }
        self._copies: defaultdict[str, list[bytes]] = defaultdict(list)
        self._back_at: dict[str, float] = {}
        """When who stays away comes back."""

    def act(self) -> None:
        """Mend something, or strike, or neither."""
        self._mend()
        if self._armed and self._rng.random() < 0.5:
            fault = self._rng.choice(self._armed)
            node, other = self._rng.sample(self._present, 2)
            busy = [n for n in self._present if n.is_running and is_in_snapshot(n)]
            if busy and self._rng.random() < BUSY_CHANCE:
                node = self._rng.choice(busy)
                other = self._rng.choice([n for n in self._present if n is not node])
            if node.state is not NodeState.LOST and self._strikes[fault](node, other):
                self.struck[fault] += 1

    @property
    def _present(self) -> list[SimNode]:
        clones = [clone for clone in self._cluster.clones if clone.state is not NodeState.LOST]
        return [*self._cluster.nodes, *clones]

    def _mend(self) -> None:
        for node in self._present:
            is_back = self._back_at.get(node.machine, 0) <= self._cluster.seconds
            if self._rng.random() < MEND_CHANCE and is_back:
                self._mend_node(node)
        if self._rng.random() < MEND_CHANCE / 2:
            self._cluster.heal()

    def _mend_node(self, node: SimNode) -> None:
        if node.disk.is_full:
            node.free_disk()
        if node.state is NodeState.PAUSED:
            node.resume()
        elif node.is_poisoned:
            node.kill() if self._rng.random() < 0.5 else node.crash()
        elif node.state is NodeState.DOWN:
            node.restart()

    # One strike each; they return whether it could be done.

    def _crash(self, node: SimNode, other: SimNode) -> bool:
        is_up = node.life is not None
        if is_up:
            node.crash()
        return is_up

    def _kill(self, node: SimNode, other: SimNode) -> bool:
        is_up = node.life is not None
        if is_up:
            node.kill()
        return is_up

    def _close(self, node: SimNode, other: SimNode) -> bool:
        if not node.is_running or node.is_poisoned:
            return False
        will_fail = node.disk.fails_next_sync
        try:
            node.close()
        except StorageError:
            if not (will_fail or node.disk.is_full):
                raise
        return True

    def _pause(self, node: SimNode, other: SimNode) -> bool:
        is_running = node.is_running
        if is_running:
            node.pause()
        return is_running

    def _partition(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.partition(node.machine, other.machine)
        return True

    def _one_way(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.partition(node.machine, other.machine, one_way=True)
        return True

    def _cut(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.cut(node.machine, other.machine)
        return True

    def _drop(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.drop(node.machine, other.machine, self._rng.choice([0.05, 0.5]))
        return True

    def _delay(self, node: SimNode, other: SimNode) -> bool:
        greatest = self._rng.choice([0.05, 0.5, 3.0])
        self._cluster.delay(node.machine, other.machine, 0.001, greatest)
        return True

    def _duplicate(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.duplicate(node.machine, other.machine, self._rng.choice([0.1, 1.0]))
        return True

    def _reorder(self, node: SimNode, other: SimNode) -> bool:
        self._cluster.reorder(node.machine, other.machine, self._rng.choice([0.05, 0.3]))
        return True

    def _replay(self, node: SimNode, other: SimNode) -> bool:
        return self._cluster.replay(node.machine, other.machine)

    def _jump_clock(self, node: SimNode, other: SimNode) -> bool:
        node.jump_clock(self._rng.choice([-1, 1]) * self._rng.choice([500, 90_000, 86_400_000]))
        return True

    def _drift_clock(self, node: SimNode, other: SimNode) -> bool:
        node.drift_clock(self._rng.choice([-100_000, -100, 0, 100, 100_000]))
        return True

    def _fill_disk(self, node: SimNode, other: SimNode) -> bool:
        node.fill_disk(free_bytes=self._rng.randrange(500))
        return True

    def _fail_sync(self, node: SimNode, other: SimNode) -> bool:
        is_running = node.is_running and not node.is_poisoned
        if is_running:
            node.fail_sync()
        return is_running

    def _flip_bit(self, node: SimNode, other: SimNode) -> bool:
        """Damage a log: the node refuses it, or takes it for a torn tail. Then it is wiped.

        What is cut off as a torn tail was synced, so the node would give its numbers again.
        """
        if node.state is NodeState.PAUSED:
            return False
        if node.life is not None:
            node.crash()
        if not node.disk.durable(node.path) or node.disk.is_full:
            return False
        node.flip_bit()
        try:
            node.restart()
        except StoreError:
            pass
        else:
            if node.running().log.torn_tail is None:
                raise BrokenPromiseError(
                    "damage", f"{node.machine} opened a damaged log as if it were whole"
                )
        node.wipe()
        return True

    def _restore(self, node: SimNode, other: SimNode) -> bool:
        """Copy a log, or bring an old copy back."""
        copies = self._copies[node.machine]
        if not copies or self._rng.random() < 0.3:
            if node.disk.durable(node.path):
                copies.append(node.copy())
                del copies[:-COPIES_MAX]
            return False
        if node.disk.is_full:
            return False
        node.restore(self._rng.choice(copies), in_place=self._rng.random() < 0.7)
        return True

    def _clone(self, node: SimNode, other: SimNode) -> bool:
        """Start a second node of a name, beside the first one or in its absence, or end it."""
        clones = [
            c for c in self._present if c.node_id == node.node_id and c not in self._cluster.nodes
        ]
        if clones:
            clones[0].lose()
            return False
        if not node.disk.durable(node.path):
            return False
        if node.life is not None and self._rng.random() < 0.7:
            node.kill()
        self._cluster.clone(node.node_id)
        return True

    def _stay_away(self, node: SimNode, other: SimNode) -> bool:
        """Let a node be silent for longer than it is waited for."""
        away_seconds = node.options.max_offline * (1 + self._rng.random())
        if not node.is_running or away_seconds * AWAY_PARTS_MAX > self._hostile_seconds:
            return False
        node.pause() if self._rng.random() < 0.5 else node.kill()
        self._back_at[node.machine] = self._cluster.seconds + away_seconds
        return True

    def _wipe(self, node: SimNode, other: SimNode) -> bool:
        node.wipe()
        return True

    def _lose(self, node: SimNode, other: SimNode) -> bool:
        left = [n for n in self._cluster.nodes if n.state is not NodeState.LOST]
        if len(left) <= 2:
            return False
        node.lose()
        return True


def is_in_snapshot(node: SimNode) -> bool:
    """Whether a node gives or takes a snapshot."""
    snapshots = node.running().engine.delivery.snapshots
    return bool(snapshots.serving or snapshots.incoming)

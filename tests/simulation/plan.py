"""What one seed stands for: the cluster, what is written to it, and which faults it may meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from softadastra.testing.sim_schedule import chance
from softadastra.testing.sim_topology import SimTopology
from softadastra.types import ConflictingValue

from .faults import Fault
from .stories import STORIES, Telling

__all__ = ["Plan"]

ARMED_CHANCE = 0.25
"""Of each kind of fault, for a seed: runs with few kinds of faults go deeper into each of them
than runs with all (FoundationDB arms its fault points the same way)."""


def union(key: str, writes: Sequence[ConflictingValue]) -> list[object]:
    """Merge: all numbers that were put, and the greatest of what is put with them."""
    values = [write.value for write in writes if isinstance(write.value, list)]
    numbers = {number for value in values for number in value[:-1] if isinstance(number, int)}
    return [*sorted(numbers), max((str(value[-1]) for value in values), default="")]


POLICIES: list[object] = [
    *["last_write_wins"] * 4,
    *["manual"] * 2,
    "keep_local",
    "keep_remote",
    *[union] * 2,
]

COLLECTING_CHANCE = 0.25
"""Of a seed, to be about collection and snapshots: elsewhere nearly nobody lacks what is gone."""

COLLECTING_FAULTS = (
    Fault.DELAY,
    Fault.PARTITION,
    Fault.CUT,
    Fault.KILL,
    Fault.WIPE,
    Fault.LOSE,
    Fault.RESTORE,
    Fault.CLONE,
    Fault.STAY_AWAY,
    Fault.CLOCK_JUMP,
    Fault.REORDER,
)

PLAYED_CHANCE = 0.1
"""Of a seed, to be what the model plays: nodes meet two at a time, and for a moment."""

STORY_CHANCE = 0.18
"""Of a seed, to tell a story. It takes half the time of others."""

WHOLE_FAULTS = (
    Fault.DROP,
    Fault.DUPLICATE,
    Fault.REPLAY,
    Fault.CUT,
    Fault.KILL,
    Fault.CLOCK_JUMP,
    Fault.CLOCK_DRIFT,
)
PLAYED_FAULTS = (
    *WHOLE_FAULTS,
    Fault.CRASH,
    Fault.PAUSE,
    Fault.STAY_AWAY,
    Fault.WIPE,
    Fault.LOSE,
)
PLAYED_MS = (30_000, 60_000, 120_000)

TURNS_MAX = 2_500
"""About what is spent on the longest hostile phase: many nodes get minutes, two get 20 of them."""

HOSTILE_SHARES = (0.02, 0.05, 0.05, 0.1, 0.1, 0.2, 0.3, 1)
BURSTS = (20, 50, 50, 100)
"""How long the hostile phase is, in shares of the longest, and how much happens in it. Most
mistakes show early or not at all, so many short seeds find more in a minute than few long ones. A
few long ones stay, because backoff and collection take minutes. Compared with 50 to 300 bursts
over a tenth of the longest to all of it, a minute of CPU runs 2.2 times as many seeds, and 1.5
times as many of them catch one of the mutants that few seeds catch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One seed's cluster, load and faults."""

    seed: int
    nodes_count: int
    topology: SimTopology
    options: dict[str, object]
    allocation_bytes_max: int
    slack_bytes: int
    keys_count: int
    remove_chance: float
    is_rested: bool
    """Whether it ends with a rest, after which nothing is left of what was removed."""
    value_bytes_max: int
    pause_ms: int
    """Between two bursts of writes or faults, on average."""
    armed: tuple[Fault, ...]
    hostile_ms: int
    story: Telling | None = None
    """What happens before the hostile phase, in this order."""
    is_played: bool = False
    """Whether nodes meet two at a time, as in the design's model."""
    write_chance: float = 0.7
    """That a turn is a write."""
    delay_seconds: float = 0.0
    """How slow a frame is at most, between nodes that meet so."""
    drop_chance: float = 0.0
    """That a frame between them is lost."""
    ahead_chance: float = 0.0
    """Of each node, that its clock is ahead."""
    together_chance: float = 0.0
    """That all of them meet."""
    loss_chance: float = 0.0
    """At each of those turns, that a node which gives or takes a snapshot is lost for good."""

    @property
    def max_offline_seconds(self) -> float:
        """How long a silent member is waited for."""
        seconds = self.options["max_offline"]
        assert isinstance(seconds, float)
        return seconds

    @classmethod
    def of(cls, seed: int) -> Plan:
        """Make the plan of a seed."""
        rng = chance(seed, "plan")
        nodes_count = rng.choice([2, 2, 3, 3, 3, 4, 4, 5, 6])
        topology = rng.choice([t for t in SimTopology if t is not SimTopology.APART])
        pairs = nodes_count * (nodes_count - 1) // 2
        links = pairs if topology is SimTopology.MESH else nodes_count
        kind = rng.random()
        if kind < PLAYED_CHANCE:
            return cls.played(seed, rng)
        if kind < PLAYED_CHANCE + STORY_CHANCE:
            return cls.telling(seed, rng)
        if kind < PLAYED_CHANCE + STORY_CHANCE + COLLECTING_CHANCE:
            return cls.collecting(seed, rng)
        hostile_ms = min(3_600_000, round(TURNS_MAX * 1000 / links * rng.choice(HOSTILE_SHARES)))
        return cls(
            seed=seed,
            nodes_count=nodes_count,
            topology=topology,
            options=options(rng),
            allocation_bytes_max=rng.choice([0, 4_096, 65_536]),
            slack_bytes=slack_bytes(seed),
            keys_count=rng.choice([1, 2, 5, 20, 200]),
            remove_chance=rng.choice([0.15, 0.15, 0.5]),
            is_rested=rng.random() < 0.3,
            value_bytes_max=rng.choice([10, 10, 100, 2_000]),
            pause_ms=max(20, hostile_ms // rng.choice(BURSTS)),
            armed=tuple(fault for fault in Fault if rng.random() < ARMED_CHANCE),
            hostile_ms=hostile_ms,
        )

    @classmethod
    def collecting(cls, seed: int, rng: Random) -> Plan:
        """Make a plan in which much is removed and collected, and few keys go over slowly.

        So nodes that lack what is collected get snapshots, and something happens meanwhile.
        """
        hostile_ms = rng.choice([200_000, 400_000, 800_000])
        collecting_options = options(rng) | {
            "auto_tick": True,
            "auto_queue": True,
            "sync_batch_size": rng.choice([1, 2]),
            "sync_window": rng.choice([1, 2]),
            "retry_interval": 0.5,
        }
        return cls(
            seed=seed,
            nodes_count=rng.choice([2, 3, 3, 3, 4]),
            topology=rng.choice([SimTopology.MESH, SimTopology.LINE, SimTopology.RANDOM]),
            options=collecting_options,
            allocation_bytes_max=0,
            slack_bytes=slack_bytes(seed),
            keys_count=rng.choice([2, 5, 10]),
            remove_chance=0.5,
            is_rested=rng.random() < 0.3,
            value_bytes_max=10,
            pause_ms=hostile_ms // rng.choice([50, 100]),
            armed=tuple(fault for fault in COLLECTING_FAULTS if rng.random() < 0.5),
            hostile_ms=hostile_ms,
        )

    @classmethod
    def played(cls, seed: int, rng: Random) -> Plan:
        """Make a plan in which few nodes meet two at a time, as the design's model plays it.

        In every other one no member falls back behind what others know of it, so that under
        last_write_wins nothing is excused.
        """
        is_whole = rng.random() < 0.5
        played_options = options(rng) | {
            "auto_tick": True,
            "auto_queue": True,
            "sync_batch_size": rng.choice([1, 1, 1, 3]),
            "sync_window": rng.choice([1, 1, 1, 4]),
            "retry_interval": rng.choice([0.5, 2.0, 5.0]),
            "conflict_policy": rng.choice([*POLICIES, "last_write_wins" if is_whole else "manual"]),
            "max_offline": 2_592_000.0 if is_whole else rng.choice([3.0, 3.0, 6.0]),
        }
        faults = WHOLE_FAULTS if is_whole else PLAYED_FAULTS
        return cls(
            seed=seed,
            nodes_count=rng.choice([2, 3, 3, 4, 4, 4, 5]),
            topology=SimTopology.MESH,
            options=played_options,
            allocation_bytes_max=0,
            slack_bytes=slack_bytes(seed),
            keys_count=rng.choice([1, 2, 4]),
            remove_chance=rng.choice([0.3, 0.5]),
            is_rested=rng.random() < 0.2,
            value_bytes_max=10,
            pause_ms=0,
            armed=tuple(fault for fault in faults if rng.random() < 0.4),
            hostile_ms=rng.choice(PLAYED_MS),
            is_played=True,
            write_chance=rng.choice([0.1, 0.2, 0.4]),
            delay_seconds=rng.choice([0.01, 0.1, 0.2]),
            drop_chance=rng.choice([0.0, 0.3]) if is_whole else rng.choice([0.0, 0.0, 0.1]),
            ahead_chance=rng.choice([0.0, 0.4]),
            together_chance=rng.choice([0.1, 0.4]) if is_whole else 0.05,
            loss_chance=0.0 if is_whole else rng.choice([0.0, 0.1, 0.3]),
        )

    @classmethod
    def telling(cls, seed: int, rng: Random) -> Plan:
        """Make a plan that tells a story."""
        story = rng.choice(STORIES)
        story_options = options(rng) | {
            "auto_tick": True,
            "auto_queue": True,
            "require_ack": True,
            "sync_batch_size": 1,
            "sync_window": 1,
            # A batch that is lost comes again when something has happened meanwhile.
            "retry_interval": rng.choice([5.0, 10.0]),
            "ack_timeout": 10.0,
            "conflict_policy": rng.choice(story.policies),
            "max_offline": 2_592_000.0 if story.is_patient else rng.choice([4.0, 8.0]),
        }
        return cls(
            seed=seed,
            nodes_count=rng.choice([4, 4, 5]) if story.is_patient else 4,
            topology=SimTopology.MESH,
            options=story_options,
            allocation_bytes_max=0,
            slack_bytes=slack_bytes(seed),
            keys_count=1,
            remove_chance=0.0,
            is_rested=rng.random() < 0.2,
            value_bytes_max=10,
            pause_ms=0,
            armed=(),
            hostile_ms=0,
            story=story,
        )


def slack_bytes(seed: int) -> int:
    """Choose when logs are rewritten: often, now and then, or never."""
    return chance(seed, "slack").choice([*[65_536] * 4, 2_000, 0, 0, -2_000])


def options(rng: Random) -> dict[str, object]:
    """Choose the options of all nodes."""
    return {
        "auto_flush": rng.random() < 0.7,
        "auto_tick": rng.random() < 0.9,
        "auto_queue": rng.random() < 0.85,
        "require_ack": rng.random() < 0.9,
        "sync_batch_size": rng.choice([1, 2, 3, 16, 1_024]),
        "sync_batch_bytes": rng.choice([1_024, 262_144]),
        "sync_window": rng.choice([1, 2, 4, 8]),
        "max_sync_retries": rng.choice([1, 2, 5]),
        "retry_interval": rng.choice([0.5, 5.0]),
        "conflict_policy": rng.choice(POLICIES),
        "max_offline": rng.choice([2_592_000.0, 2_592_000.0, 30.0, 120.0]),
    }

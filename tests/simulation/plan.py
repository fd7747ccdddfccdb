"""What one seed stands for: the cluster, what is written to it, and which faults it may meet."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from softadastra.testing.sim_schedule import chance
from softadastra.testing.sim_topology import SimTopology

from .faults import Fault

__all__ = ["Plan"]

ARMED_CHANCE = 0.25
"""Of each kind of fault, for a seed: runs with few kinds of faults go deeper into each of them
than runs with all (FoundationDB arms its fault points the same way)."""

POLICIES = [*["last_write_wins"] * 4, "manual", "manual", "keep_local", "keep_remote"]

COLLECTING_CHANCE = 0.3
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
)

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

    @classmethod
    def of(cls, seed: int) -> Plan:
        """Make the plan of a seed."""
        rng = chance(seed, "plan")
        nodes_count = rng.choice([2, 2, 3, 3, 3, 4, 4, 5, 6])
        topology = rng.choice([t for t in SimTopology if t is not SimTopology.APART])
        pairs = nodes_count * (nodes_count - 1) // 2
        links = pairs if topology is SimTopology.MESH else nodes_count
        if rng.random() < COLLECTING_CHANCE:
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

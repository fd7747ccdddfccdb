"""What is done by columns is what is done one by one, as it is while somebody observes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from softadastra.store.changes import OWN, Arrivals, Claim, Writes
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import State


def contents(replica: Replica) -> tuple[Any, ...]:
    """Give all that writes change."""
    rows = {number: list(log.rows()) for number, log in replica.haves()}
    return (
        replica.entries,
        replica.digest,
        len(replica),
        replica.size_bytes,
        replica.tombstones,
        replica.page(prefix="", after=None, limit=10_000),
        rows,
        list(rows),
        replica.clock,
        replica.last_remote,
    )


def pair() -> tuple[Replica, Replica]:
    """Make two replicas that have been scanned; the second is observed."""
    replicas = Replica("a", 1), Replica("a", 1)
    for replica in replicas:
        replica.origins.number(Origin("b", 2))
        replica.origins.number(Origin("c", 3))
        replica.page(prefix="", after=None, limit=1)
    return replicas


def some_keys(rng: random.Random, count: int) -> list[str]:
    """Give keys that are new, nearly always."""
    return [f"ключ/{rng.randrange(2**40 if rng.random() < 0.98 else 60)}" for _ in range(count)]


def a_value(rng: random.Random) -> bytes:
    """Give a packed value, seldom that of a remove."""
    return b"" if rng.random() < 0.002 else bytes([rng.randrange(128)])


@pytest.mark.parametrize("seed", range(20))
def test_own_writes_of_new_keys_are_done_alike(seed: int) -> None:
    rng = random.Random(seed)
    alone, observed = pair()

    for _ in range(30):
        keys = some_keys(rng, rng.randrange(1, 80))
        states: list[State] = [
            (OWN, n, 7, rng.choice((1, 2**64 - 1)), a_value(rng), 0)
            for n, _ in enumerate(keys, alone.top + 1)
        ]
        for replica in (alone, observed):
            replica.observed = None if replica is alone else []
            replica.evolve_writes(Writes(replica.top + 1, 7, keys, states))

    assert contents(alone) == contents(observed)


@pytest.mark.parametrize("seed", range(20))
def test_a_peers_batch_of_new_keys_is_merged_alike(seed: int) -> None:
    rng = random.Random(seed)
    alone, observed = pair()
    tops = {1: 0, 2: 0}

    for _ in range(40):
        origin = rng.choice((1, 2))
        keys = list(dict.fromkeys(some_keys(rng, rng.randrange(1, 80))))
        # Seldom a batch that comes again, or with a gap before it.
        first = max(1, tops[origin] + 1 + rng.choice((0, 0, 0, 0, 3, -2)))
        writers = [origin if rng.random() < 0.999 else 3 - origin for _ in keys]
        siblings = [(writer, n, n, 1, a_value(rng), 0) for n, writer in enumerate(writers, first)]
        runs = [(len(keys), 0, 1)]
        if rng.random() < 0.2:
            runs.append((2, 0, 0))
        tops[origin] = max(tops[origin], first + sum(run[0] for run in runs) - 1)
        arrivals = Arrivals([Claim(origin, first, runs)], keys, siblings, [])
        found = []
        for replica in (alone, observed):
            replica.observed = None if replica is alone else []
            merged = replica.evolve_arrivals(arrivals)
            found.append((merged.lost, merged.known, sorted(merged.keys)))
        assert found[0] == found[1]

    assert contents(alone) == contents(observed)

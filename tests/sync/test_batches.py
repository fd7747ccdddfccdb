"""What goes into a batch."""

from __future__ import annotations

import gc
from collections import defaultdict
from random import Random

import pytest

from softadastra.store.changes import Arrivals, Claim, Writes
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies, Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import TOMBSTONE, State
from softadastra.store.writes import decide_writes
from softadastra.sync import batches
from softadastra.sync.batches import STRETCH, Limits, Load, build_batch


class Newcomer:
    """It has nothing."""

    number_told = 1

    def __init__(self) -> None:
        self.known: defaultdict[int, DotSet] = defaultdict(DotSet)


def of_own_writes(count: int) -> Replica:
    replica = Replica("a", 1)
    keys = [f"key/{n}" for n in range(1, count + 1)]
    siblings: list[State] = [(0, n, n << 20, 1, b"\x01", 0) for n in range(1, count + 1)]
    replica.evolve_writes(Writes(1, count << 20, keys, siblings))
    return replica


def with_everything(seed: int) -> Replica:
    """New, overwritten and removed keys, conflicts, a peer's over our own; some are not ASCII."""
    random = Random(seed)
    policy = Policy.MANUAL if seed % 2 else Policy.LAST_WRITE_WINS
    replica = Replica("a", 1, Policies(policy, {}, policy.value))
    for n in range(600):
        number = random.choices([n, n - 1, n // 2], [90, 5, 5])[0]
        key = f"{'ä' if random.random() < 0.01 else 'k'}{number}"
        value = TOMBSTONE if random.random() < 0.02 else random.randbytes(random.randrange(1, 90))
        writes, _ = decide_writes(replica, [(key, value, 0)], wall_ms=n)
        if writes is not None:
            replica.evolve_writes(writes)
        if random.random() < 0.05:
            b = replica.origins.number(Origin("b", 7))
            n_of_b = replica.top_of(b) + 1
            sibling = (b, n_of_b, n << 21, 1, b"\x05", 0)
            replica.evolve_arrivals(Arrivals([Claim(b, n_of_b, [(1, 0, 0)])], [key], [sibling], []))
    return replica


def loads_of(replica: Replica, limits: Limits, withheld) -> list[Load]:
    found: list[Load] = []
    sent: defaultdict[int, DotSet] = defaultdict(DotSet)
    while True:
        wanted = [
            (number, (first, log.base))
            for number, log in replica.haves()
            if (first := sent[number].base + 1) <= log.base
        ]
        load = build_batch(
            replica, wanted, batch_id=1, receiver=Newcomer(), limits=limits, withheld=withheld
        )
        if load is None:
            return found
        found.append(load)
        for number, (first, last) in load.covers:
            sent[number].add(first, last)


@pytest.mark.parametrize(
    "limits", [Limits(1024, 1 << 20), Limits(50, 1 << 20), Limits(200, 900), Limits(1, 1)]
)
@pytest.mark.parametrize("seed", range(8))
def test_writes_that_are_taken_together_make_the_same_batches_as_one_by_one(
    seed, limits, monkeypatch
):
    monkeypatch.setattr(batches, "STRETCH", 4)
    replica = with_everything(seed)

    together = loads_of(replica, limits, None)

    assert together == loads_of(replica, limits, lambda key: False)
    assert sum(load.writes for load in together) > 500


def test_a_batch_of_new_keys_is_made_without_looking_for_garbage():
    """In a store of 300,000 keys that takes 30 ms, and everybody waits."""
    replica = of_own_writes(8 * STRETCH)
    gc.collect()
    began: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        began.append(info["generation"])

    gc.callbacks.append(note)
    try:
        load = build_batch(
            replica,
            [(0, (1, 8 * STRETCH))],
            batch_id=1,
            receiver=Newcomer(),
            limits=Limits(8 * STRETCH, 1 << 20),
            withheld=None,
        )
    finally:
        gc.callbacks.remove(note)

    assert load is not None
    assert load.writes == 8 * STRETCH
    assert began == []

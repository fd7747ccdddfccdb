"""What goes into a batch, however it is gathered."""

from __future__ import annotations

import gc
import random
from collections import defaultdict
from collections.abc import Callable

import pytest

from softadastra.packing import pack_value
from softadastra.store.changes import Arrivals, Claim, Writes
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import KeyState, State
from softadastra.store.writes import decide_writes
from softadastra.sync.batches import PART_WRITES, Limits, Load, build_batch, covered, missing

WRITES = 3_000


class Receiver:
    """One that knows nothing."""

    def __init__(self) -> None:
        self.number_told = 0
        self.known: defaultdict[int, DotSet] = defaultdict(DotSet)


def filled(rng: random.Random) -> Replica:
    """Make a replica with keys of every kind: long ones, hot ones, those of two writers."""
    replica = Replica("a", 1)
    other = replica.origins.number(Origin("b", 2))
    for n in range(1, 20):
        key = f"shared/{rng.randrange(400)}"
        if key not in replica.entries:
            sibling = (other, n, n, 1, b"\x01", 0)
            states = [KeyState((sibling,), {0: 0})] if n % 2 else []
            plain = [] if n % 2 else [sibling]
            replica.evolve_arrivals(Arrivals([Claim(other, n, [(1, 0, 1)])], [key], plain, states))
    kinds: list[Callable[[int], str]] = [
        lambda i: f"new/{i}",
        lambda i: f"new/{i}",
        lambda i: f"new/{i}",
        lambda _: f"hot/{rng.randrange(3)}",
        lambda _: f"shared/{rng.randrange(400)}",
        lambda i: f"ключ/{i}",
    ]
    written = 0
    while written < WRITES:
        # Stretches of one kind, as applications write them, and those of all kinds.
        few = rng.sample(kinds, rng.choice((1, 1, len(kinds))))
        for written in range(written + 1, written + rng.randrange(2, 700)):  # noqa: B020
            value = pack_value("x" * rng.choice((1, 50, 50, 900)), 1_024)
            record, _ = decide_writes(replica, [(rng.choice(few)(written), value, 0)], written)
            if record is not None:
                replica.evolve_writes(record)
    return replica


def loads(replica: Replica, limits: Limits, withheld: Callable[[str], bool] | None) -> list[Load]:
    """Give all batches that a peer without anything gets."""
    sent: defaultdict[int, DotSet] = defaultdict(DotSet)
    found: list[Load] = []
    while True:
        wanted = [(o, r) for o, log in replica.haves() for r in missing(log, sent[o], None)]
        load = build_batch(
            replica,
            wanted,
            batch_id=len(found) + 1,
            receiver=Receiver(),
            limits=limits,
            withheld=withheld,
        )
        if load is None:
            return found
        found.append(load)
        for origin, (first, last) in load.covers:
            sent[origin].add(first, last)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limits", [Limits(64, 2**18), Limits(1024, 2**18), Limits(2000, 9_000)])
def test_a_batch_is_the_same_whether_its_writes_are_loaded_together_or_one_by_one(
    seed: int, limits: Limits
) -> None:
    replica = filled(random.Random(seed))

    together = loads(replica, limits, withheld=None)

    assert together == loads(replica, limits, withheld=lambda _: False)


@pytest.mark.parametrize("seed", range(3))
def test_batches_say_of_each_what_they_cover_and_together_bring_all_there_is(seed: int) -> None:
    replica, brought = filled(random.Random(seed)), Replica("c", 3)

    for load in loads(replica, Limits(1024, 2**18), withheld=None):
        arrivals = load.batch.arrivals(brought.origins)
        said: defaultdict[str, DotSet] = defaultdict(DotSet)
        for number, (first, last) in load.covers:
            said[replica.origins[number].node_id].add(first, last)
        assert said == {
            brought.origins[number].node_id: dots for number, dots in covered(arrivals).items()
        }
        brought.evolve_arrivals(arrivals)

    assert brought.digest == replica.digest
    assert {brought.origins[n].node_id: log.base for n, log in brought.haves()} == {
        replica.origins[n].node_id: log.base for n, log in replica.haves()
    }


def test_a_batch_of_new_keys_is_made_without_looking_for_garbage() -> None:
    """In a store of 300,000 keys that takes 30 ms, and everybody waits."""
    replica, count = Replica("a", 1), 4 * PART_WRITES
    keys = [f"key/{n}" for n in range(1, count + 1)]
    states: list[State] = [(0, n, n, 1, b"\x01", 0) for n in range(1, count + 1)]
    replica.evolve_writes(Writes(1, count, keys, states))
    gc.collect()
    began: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        began.append(phase)

    gc.callbacks.append(note)
    try:
        load = build_batch(
            replica,
            [(0, (1, count))],
            batch_id=1,
            receiver=Receiver(),
            limits=Limits(count, 2**20),
            withheld=None,
        )
    finally:
        gc.callbacks.remove(note)

    assert load is not None
    assert load.writes == count
    assert began == []

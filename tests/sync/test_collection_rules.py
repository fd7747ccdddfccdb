"""The rules of collection one by one, where it takes a rare history to see what each is for."""

from __future__ import annotations

from softadastra.store.changes import Committed
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.siblings import TOMBSTONE, KeyState, Sibling
from softadastra.sync import collection
from softadastra.sync.snapshots import Incoming, Snapshots

LATER_MS = 1 << 40
STAMP = 1_000 << 16


def replica_with(*held: tuple[str, int, Sibling | KeyState]) -> tuple[Replica, int, int]:
    """A replica of a with states, and the rows of the first write of each; and the origins b, c."""
    replica = Replica("a", 1)
    b, c = (replica.origins.number(Origin(name, 1)) for name in "bc")
    for key, number, state in held:
        replica.replace([(key, state)])
        replica.logs[number].add(1, key)
    return replica, b, c


def test_nothing_is_collected_before_all_that_members_had_is_here():
    """A write that did not know of a remove may be on its way, and must meet it."""
    remove = (1, 1, STAMP, 1, TOMBSTONE, 0)
    replica, b, c = replica_with(("k", 1, remove))
    collector = collection.Collector()
    collector.hear("b", {b: DotSet(1), c: DotSet(1)})

    decided = [collector.decide(replica, ["b"], LATER_MS) for _ in range(4)]
    replica.logs[c].add(1, "other")
    after = collector.decide(replica, ["b"], LATER_MS)

    assert decided == [None] * 4
    assert after is not None
    assert after.keys == ["k"]


def test_a_tombstone_stays_while_it_names_what_is_not_here():
    """It may still come, and nothing else tells that it is obsolete."""
    state = KeyState(((2, 1, STAMP, 1, TOMBSTONE, 0),), {1: 5})
    replica, b, c = replica_with(("k", 2, state))
    replica.logs[b].add(1, "k")

    found = collection.collectable(replica, {b: DotSet(1), c: DotSet(1)}, LATER_MS)

    assert found is not None
    assert found.keys == []


def test_a_tombstone_stays_until_the_clock_has_passed_its_stamp():
    """Else what is written here over it would be older than it elsewhere."""
    replica, b, _ = replica_with(("k", 1, (1, 1, STAMP, 1, TOMBSTONE, 0)))

    early = collection.collectable(replica, {b: DotSet(1)}, 1_000)
    late = collection.collectable(replica, {b: DotSet(1)}, 1_001)

    assert early is not None
    assert late is not None
    assert (early.keys, late.keys) == ([], ["k"])


def test_a_key_that_vanishes_takes_its_rows_along():
    """Else they would be claimed without a state."""
    replica, b, _ = replica_with(("k", 1, (1, 1, STAMP, 1, b"\x01", 0)))

    replica.evolve_committed(Committed({b: DotSet(2)}, [("k", b, 1)]))

    assert "k" not in replica.entries
    assert list(replica.logs[b].rows()) == []
    assert replica.logs[b].base == 2


def test_what_others_bring_for_a_finished_range_of_a_snapshot_is_looked_at_when_it_ends():
    """Its sender had it, and no longer held it."""
    incoming = Incoming(1, {1: DotSet(5)}, {})
    incoming.finish("m", is_end=False)

    incoming.arrived([("a", 1, 3), ("b", 1, 6), ("z", 1, 4)])

    assert incoming.candidates == {("a", 1, 3)}


def test_what_a_range_of_a_snapshot_lacks_is_dropped_at_its_end_and_not_before():
    """Its sender may be lost before the end, with the only record of why."""
    replica, b, _ = replica_with(("k", 1, (1, 1, STAMP, 1, b"\x01", 0)))
    incoming = Incoming(1, {b: DotSet(5)}, {})

    incoming.expect(replica, ["k"], set())

    assert "k" in replica.entries
    assert incoming.drops(replica) == [("k", b, 1)]


def test_a_snapshot_that_began_is_not_forgotten_when_its_sender_greets_again():
    """It may go on over another connection; what cannot be resumed is replaced when one begins."""
    snapshots = Snapshots(1)
    snapshots.incoming["b"] = Incoming(5, {}, {})

    assert snapshots.resume("b") is None
    assert snapshots.incoming["b"].id == 5

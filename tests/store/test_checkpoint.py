"""A checkpoint is of the moment when it was begun, whatever changes while its records are made."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softadastra.store import checkpoint
from softadastra.store.changes import OWN, Arrivals, Claim, Collected
from softadastra.store.checkpoint import Checkpoint, Entries, Rows, restore
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies, Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import TOMBSTONE
from softadastra.store.splitting import Split, split
from softadastra.store.writes import decide_writes

KEYS = [f"k{i}" for i in range(8)]
ALL_KEPT = Policies(Policy.MANUAL, {}, "manual")

Change = tuple[str, str]
changes = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "arrive", "collect", "split"]),
        st.sampled_from(KEYS),
    ),
    max_size=30,
)


class Node:
    """A replica that changes as a log would have it change."""

    def __init__(self) -> None:
        self.replica = Replica("a", 1, ALL_KEPT)
        self.count = 0

    def do(self, change: Change) -> None:
        kind, key = change
        replica = self.replica
        self.count += 1
        if kind in ("put", "remove"):
            value = TOMBSTONE if kind == "remove" else b"\x01" + bytes([self.count])
            writes, _ = decide_writes(replica, [(key, value, 0)], wall_ms=self.count)
            if writes is not None:
                replica.evolve_writes(writes)
        elif kind == "arrive":
            b = replica.origins.number(Origin("b", 7))
            n = replica.top_of(b) + 1
            sibling = (b, n, self.count << 20, 1, b"\x02" + bytes([self.count]), 0)
            replica.evolve_arrivals(Arrivals([Claim(b, n, [(1, 0, 0)])], [key], [sibling], []))
        elif kind == "collect":
            ranges = {number: [(1, log.base)] for number, log in replica.haves() if log.base}
            replica.evolve_collected(Collected(ranges, list(replica.tombstones)))
        elif replica.top > 1:
            split(replica, Split(replica.origins[OWN], replica.top - 1, self.count))


def state_of(replica: Replica) -> object:
    name = replica.origins

    def named(state):
        siblings = getattr(state, "siblings", (state,))
        context = getattr(state, "context", {})
        return (
            sorted((name[s[0]], *s[1:]) for s in siblings),
            sorted((name[o], n) for o, n in context.items()),
        )

    return (
        {key: named(state) for key, state in replica.entries.items()},
        {
            name[number]: (dict(log.rows()), list(log.ranges()), list(log.collected.ranges()))
            for number, log in replica.haves()
        },
        (replica.digest, len(replica), replica.size_bytes, replica.clock),
        set(replica.tombstones),
        set(replica.conflicted),
    )


@settings(max_examples=300, deadline=None)
@given(before=changes, meanwhile=changes)
def test_what_changes_while_it_is_made_is_not_in_it(before, meanwhile):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "PART_KEYS", 1)
        patch.setattr(checkpoint, "LISTED_KEYS", 2)
        patch.setattr(checkpoint, "ROWS_MAX", 1)
        patch.setattr("softadastra.store.keys.GONE_PART", 1)
        node = Node()
        for change in before:
            node.do(change)
        then = state_of(node.replica)
        names = node.replica.origins.copy()
        changing = iter(meanwhile)
        parts = []

        for part in Checkpoint(node.replica).parts():
            parts.append(part)
            for change in [next(changing, None), next(changing, None)]:
                if change is not None:
                    node.do(change)

    again = Replica("a", names[OWN].incarnation, ALL_KEPT)
    for part in parts:
        restore(again, part)
    assert state_of(again) == then
    assert node.replica.kept is None


def test_who_takes_the_records_of_many_rows_gets_a_turn_in_between(monkeypatch):
    """Also when there is nothing in them, as in a store whose keys were written once each."""
    monkeypatch.setattr(checkpoint, "ROWS_MAX", 10)
    node = Node()
    for n in range(35):
        node.do(("put", f"k{n}"))

    parts = list(Checkpoint(node.replica).parts())

    assert [part for part in parts if isinstance(part, Rows)] == [Rows(0, [], [])] * 3


@pytest.mark.parametrize("others", [[], ["new"]])
def test_a_key_that_had_left_and_comes_back_meanwhile_is_not_in_it(others):
    """It is listed still: only many that have left are struck off."""
    node = Node()
    for key in ("k0", "k1", "k2", "k3", "k4"):
        node.do(("put", key))
    node.do(("remove", "k1"))
    node.do(("collect", ""))
    assert "k1" in node.replica.ordered.listed.keys

    parts = Checkpoint(node.replica).parts()
    asked = [(key, b"\x01", 0) for key in ("k1", *others)]
    writes, _ = decide_writes(node.replica, asked, wall_ms=1_000)
    assert writes is not None
    node.replica.evolve_writes(writes)

    keys = [key for part in parts if isinstance(part, Entries) for key in part.keys]
    assert keys == ["k0", "k2", "k3", "k4"]


def test_nothing_is_kept_for_a_checkpoint_that_was_given_up():
    node = Node()
    node.do(("put", "k"))
    parts = Checkpoint(node.replica).parts()
    next(parts)
    node.do(("put", "k"))
    assert node.replica.kept

    node.replica.end_checkpoint()
    node.do(("put", "k"))

    assert node.replica.kept is None

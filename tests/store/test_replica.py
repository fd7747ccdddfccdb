"""Entries, digest and index together."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.packing import pack_value
from softadastra.store.changes import OWN, Arrivals
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies, Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import RESOLUTION, TOMBSTONE, KeyState, siblings_of
from softadastra.store.writes import decide_writes
from softadastra.types import PutResult


def write(replica: Replica, *asked: tuple[str, object], wall_ms: int = 1_000):
    """Values are packed; None removes."""
    assignments = [
        (k, TOMBSTONE if v is None else pack_value(v, max_bytes=100), 0) for k, v in asked
    ]
    writes, results = decide_writes(replica, assignments, wall_ms=wall_ms)
    if writes is not None:
        replica.evolve_writes(writes)
    return [None if row is None else PutResult._make(row) for row in results]


def test_deciding_changes_nothing():
    replica = Replica("a", 1)

    decide_writes(replica, [("k", b"\x01", 0)], wall_ms=1)

    assert (len(replica), replica.top, replica.clock) == (0, 0, 0)


def test_statuses_and_versions():
    replica = Replica("a", 1)

    assert write(replica, ("k", 1))[0][1:3] == (1, "created")
    assert write(replica, ("k", 2))[0][1:3] == (2, "updated")
    assert write(replica, ("k", 2))[0][1:3] == (2, "unchanged")
    assert write(replica, ("k", None))[0] is not None
    assert write(replica, ("k", None)) == [None]
    assert write(replica, ("k", 2))[0][1:3] == (4, "created")
    assert replica.top == 4


def test_several_writes_of_a_key_in_one_record_get_a_number_each():
    replica = Replica("a", 1)

    results = write(replica, ("k", 1), ("k", 2), ("k", None), ("k", None), ("k", 3))

    assert [r and r.sync_id for r in results] == ["a-1", "a-2", "a-3", None, "a-4"]
    assert replica.value("k") == b"\x03"
    assert [key for _, key in replica.logs[replica.me].rows()] == ["k"] * 4


def test_values_that_a_remove_has_settled_leave_the_digest_before_they_are_collected_with_it():
    """Else nodes with equal writes, of which one has collected them, would take it for damage."""
    replica = Replica("a", 1, Policies(Policy.MANUAL, {}, "manual"))
    b, c = (replica.origins.number(Origin(name, 1)) for name in "bc")
    settled = ((b, 1, 10, 1, b"\x01", RESOLUTION), (c, 1, 11, 1, TOMBSTONE, RESOLUTION))

    replica.replace([("k", KeyState(settled, {}))])

    assert (replica.digest, len(replica)) == (bytes(16), 0)
    assert "k" in replica.tombstones


def test_one_is_not_true_and_not_one_point_zero():
    replica = Replica("a", 1)
    write(replica, ("k", 1))

    assert write(replica, ("k", True))[0].status == "updated"
    assert write(replica, ("k", 1.0))[0].status == "updated"


def test_the_digest_is_that_of_the_live_state():
    left, right = Replica("a", 1), Replica("b", 2)
    empty = left.digest

    write(left, ("x", 1), ("y", 2))
    write(right, ("y", 2))
    write(right, ("x", 1))
    assert left.digest == right.digest != empty

    write(right, ("x", 3))
    assert left.digest != right.digest

    write(left, ("x", None), ("y", None))
    assert left.digest == empty


def test_a_version_counts_for_the_digest():
    left, right = Replica("a", 1), Replica("b", 2)
    write(left, ("x", 1))
    write(right, ("x", 0))
    write(right, ("x", 1))

    assert left.digest != right.digest


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "ab", "abc", "é", "b/1"]), st.none() | st.integers(0, 3)
        )
    )
)
def test_a_replica_is_a_dict_with_ordered_pages(asked):
    replica = Replica("a", 1)
    plain: dict[str, object] = {}
    for key, value in asked:
        write(replica, (key, value))
        if value is None:
            plain.pop(key, None)
        else:
            plain[key] = value
        if len(plain) % 2:
            replica.page(prefix="", after=None, limit=1)  # the order is built now and then

    assert len(replica) == len(plain)
    for prefix in ("", "a", "ab", "b", "zz"):
        found, after = [], None
        while page := replica.page(prefix=prefix, after=after, limit=2):
            found += [k for k in page if replica.value(k) is not None]
            after = page[-1]
        assert found == sorted(k for k in plain if k.startswith(prefix))


def test_stamps_are_above_a_sibling_from_the_future_and_leave_the_clock_alone():
    from softadastra.store.changes import Arrivals, Claim
    from softadastra.store.origins import Origin

    replica = Replica("a", 1)
    far = replica.origins.number(Origin("b", 2))
    future = 2**47 << 16
    replica.evolve_arrivals(
        Arrivals([Claim(far, 1, [(1, 0, 1)])], ["k"], [(far, 1, future, 1, b"\x01", 0)], [])
    )

    write(replica, ("k", 2), ("other", 3), wall_ms=1_000)

    stamps = [sibling[2] for key in ("k", "other") if (sibling := replica.sibling(key))]
    assert stamps == [future + 1, 1_000 << 16]
    assert replica.clock == 1_000 << 16


def test_looking_whether_a_write_is_here_adds_no_origin():
    """The order of origins is that of batches: it must follow from what came, not from looks."""
    from softadastra.store.changes import Arrivals
    from softadastra.store.origins import Origin

    replica = Replica("a", 1)
    far = replica.origins.number(Origin("b", 2))

    visitors = replica.visitors(Arrivals([], ["k"], [(far, 1, 1, 1, b"\x01", 0)], []))

    assert visitors == [("k", far, 1)]
    assert list(replica.logs) == [replica.me]


@pytest.mark.parametrize("value", [None, 1, 2])
@pytest.mark.parametrize("key", ["new", "own", "removed", "theirs", "ahead", "several", "last"])
def test_writes_that_are_decided_by_columns_are_what_they_are_one_by_one(key, value):
    """Usual ones in a record are decided together; a mistake there would be in every batch."""
    replica = Replica("a", 1, Policies(Policy.MANUAL, {}, "manual"))
    far = replica.origins.number(Origin("b", 2))
    write(replica, ("own", 1), ("removed", 1), ("several", 1))
    write(replica, ("removed", None))
    theirs = [(far, n, stamp, 1, b"\x01", 0) for n, stamp in ((1, 1), (2, 9 << 60), (3, 1))]
    replica.evolve_arrivals(Arrivals([], ["theirs", "ahead", "several"], theirs, []))
    write(replica, ("ahead", 3))
    replica.replace([("ahead", siblings_of(replica.entries["ahead"])[0])])
    replica.replace([("last", (OWN, 5, 1, 2**64 - 1, b"\x01", 0))])
    packed = TOMBSTONE if value is None else pack_value(value, max_bytes=9)
    asked = [("usual", b"\x01", 0), (key, packed, 0), ("another", b"\x02", 0)]

    together = decide_writes(replica, asked, wall_ms=1_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softadastra.store.writes.usual_writes", lambda *_: None)
        assert together == decide_writes(replica, asked, wall_ms=1_000)


def test_a_key_that_comes_twice_in_a_record_is_decided_one_by_one():
    replica = Replica("a", 1)

    results = write(replica, ("a", 1), ("b", 1), ("a", 2))

    assert [r and (r.version, r.status) for r in results] == [
        (1, "created"),
        (1, "created"),
        (2, "updated"),
    ]


@pytest.mark.parametrize("count", [1, 300])
def test_a_search_for_young_garbage_does_not_go_through_all_entries(count):
    """It comes every few hundred writes, and through 300,000 keys it takes 7 ms."""
    replica = Replica("a", 1)
    write(replica, *((f"k{number}", number) for number in range(count)))
    gc.collect()

    write(replica, ("new", 1))

    young = (found for generation in (0, 1) for found in gc.get_objects(generation))
    assert not any(found is replica.entries for found in young)

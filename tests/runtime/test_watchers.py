"""What watchers are told: every change, in its order, once; and after any gap the newest values."""

from __future__ import annotations

from threading import Lock
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError, PositionLostError, WatchOverflowError
from softadastra.runtime import watcher as watcher_module
from softadastra.runtime.watcher import PAGE_KEYS, Limits
from softadastra.runtime.watchers import PASS_MAX_SECONDS
from softadastra.store.changes import OWN, Committed
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.policies import LAST_WRITE_WINS, Policies, Policy
from softadastra.store.positions import vector_of
from softadastra.store.replica import Replica
from softadastra.store.siblings import TOMBSTONE, Sibling, siblings_of
from softadastra.store.sightings import Observer
from softadastra.store.splitting import Split
from softadastra.sync.messages import Batch
from softadastra.sync.records import Forgotten
from softadastra.types import BEGINNING
from tests.engines import Network
from tests.watched import Reader, taken, watched, watched_network

MANUAL = Policies(Policy.MANUAL, {}, "manual")


def shown(rows: list[tuple[str, Sibling, str]]) -> list[tuple[str, bytes]]:
    return [(key, sibling[4]) for key, sibling, _ in rows]


def test_each_own_write_is_told_once_and_in_order():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch()

    node.write(("k", 1), ("l", 2), ("k", 3))
    node.write(("k", 3))
    node.remove("l")
    node.remove("l")

    assert shown(taken(watcher)) == [("k", b"\1"), ("l", b"\2"), ("k", b"\3"), ("l", b"")]
    assert taken(watcher) == []


def test_another_node_s_writes_are_told_as_they_become_visible():
    network = watched_network("a", "b")
    node = watched(network)
    network.join("b", "a")
    network.run()
    watcher = node.watch()

    network["b"].write(("k", 1))
    network.run()
    network["b"].write(("k", 2), ("l", 1))
    network.run()

    assert shown(taken(watcher)) == [("k", b"\1"), ("k", b"\2"), ("l", b"\1")]


def test_a_write_that_loses_a_conflict_is_no_change():
    network = watched_network("a", "b")
    node = watched(network)
    network["b"].write(("k", 1))
    network.now_ms += 10
    node.write(("k", 2))
    watcher = node.watch()
    network.join("b", "a")
    network.passes = lambda sender, _, message: not (sender is node and isinstance(message, Batch))

    network.run()

    assert node.engine.replica.lost
    assert taken(watcher) == []


def test_a_conflict_is_told_where_another_value_is_shown():
    network = watched_network("a", "b", policies=MANUAL)
    node = watched(network)
    node.write(("k", 1), ("l", 1))
    network.now_ms += 10
    network["b"].write(("k", 2))
    watcher = node.watch()
    network.join("b", "a")

    network.run()

    assert "k" in node.engine.replica.conflicted
    assert shown(taken(watcher)) == [("k", b"\2")]


def test_a_key_that_came_and_went_elsewhere_shows_nothing():
    network = watched_network("a", "b")
    node = watched(network)
    network["b"].write(("k", 1))
    network["b"].remove("k")
    watcher = node.watch()
    network.join("b", "a")

    network.run()

    assert "k" in node.engine.replica.tombstones
    assert taken(watcher) == []


def test_a_conflict_is_told_once_to_who_resumes():
    network = watched_network("a", "b", policies=MANUAL)
    node = watched(network)
    position = node.watch().place().position
    node.write(("k", 1))
    network.now_ms += 10
    network["b"].write(("k", 2))
    network.join("b", "a")
    network.run()

    rows = taken(node.watch(position))

    assert shown(rows) == [("k", b"\2")]
    assert taken(node.watch(rows[0][2])) == []


def test_only_keys_with_the_prefix_are_told():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch(prefix="b/")

    node.write(("a/1", 1), ("b/1", 2), ("c/1", 3))

    assert shown(taken(watcher)) == [("b/1", b"\2")]


def test_from_the_beginning_there_is_what_is_present_and_then_every_change():
    network = watched_network("a")
    node = watched(network)
    node.write(*((f"k{i:04}", 1) for i in range(PAGE_KEYS + 10)))
    node.remove("k0000")
    watcher = node.watch(BEGINNING)

    first = watcher.take()
    node.write(("k0001", 2), ("k0521", 2), ("new", 1))
    rest = taken(watcher)

    assert first is not None
    told = [first[0].key, *(key for key, _, _ in rest)]
    assert sorted(told) == sorted(
        [f"k{i:04}" for i in range(1, PAGE_KEYS + 10)] + ["k0001", "new"]
    ), "behind the page a change is seen by the next page, and not told twice"
    last = {first[0].key: first[0].sibling[4]} | {key: s[4] for key, s, _ in rest}
    assert last == node.packed()


def test_until_all_that_is_present_was_given_the_position_is_the_beginning():
    network = watched_network("a")
    node = watched(network)
    node.write(("k", 1), ("l", 1))
    watcher = node.watch(BEGINNING)

    places = [position for _, _, position in taken(watcher)]

    assert places == [BEGINNING, BEGINNING]
    assert watcher.place().position != BEGINNING


def test_what_changes_among_them_meanwhile_has_the_same_position(monkeypatch):
    """Who went on behind it would miss the keys of the next pages."""
    monkeypatch.setattr(watcher_module, "PAGE_KEYS", 1)
    network = watched_network("a")
    node = watched(network)
    node.write(("a", 1), ("b", 1))
    watcher = node.watch(BEGINNING)
    watcher.take()
    node.write(("a", 2))

    changed = watcher.take()

    assert changed is not None
    assert (changed[0].sibling[4], changed[1].position) == (b"\2", BEGINNING)


def test_resuming_gives_the_newest_value_of_each_key_that_changed_since():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch()
    node.write(("k", 1), ("l", 1), ("m", 1))
    rows = taken(watcher)
    node.write(("l", 2), ("l", 3))
    node.remove("m")

    assert shown(taken(node.watch(rows[0][2]))) == [("l", b"\3"), ("m", b"")]
    assert shown(taken(node.watch(rows[2][2]))) == [("l", b"\3"), ("m", b"")]


def test_each_change_of_another_node_s_batch_has_a_place_of_its_own():
    network = watched_network("a", "b")
    node = watched(network)
    network["b"].write(*((f"k{i}", i) for i in range(5)))
    network["b"].write(("k1", 9))
    watcher = node.watch()
    network.join("b", "a")
    network.run()

    rows = taken(watcher)

    assert len(rows) == 5
    for i, (_, _, position) in enumerate(rows):
        left = shown(taken(node.watch(position)))
        assert sorted(left) == sorted(shown(rows[i + 1 :]))


def test_a_position_outlives_a_restart_and_compaction():
    network = watched_network("a", "b")
    node = watched(network)
    network.join("b", "a")
    watcher = node.watch()
    node.write(("k", 1))
    network["b"].write(("l", 1))
    network.run()
    position = taken(watcher)[-1][2]
    network["b"].write(("m", 1))
    network.join("b", "a")
    network.run()

    node.compact()
    node.write(("n", 1))

    assert sorted(shown(taken(node.watch(position)))) == [("m", b"\1"), ("n", b"\1")]


def test_a_position_is_good_at_another_node_that_has_all_of_it():
    network = watched_network("a", "b")
    network.join("b", "a")
    network["b"].write(("k", 1))
    network.run()
    position = watched(network).watch().place().position
    network["b"].write(("l", 1))
    other = watched_network("c")
    other.nodes["b"] = network["b"]
    network["b"].network = other
    other.join("b", "c")

    with pytest.raises(PositionLostError, match="does not have"):
        watched(other).watch(position)
    other.run()

    assert shown(taken(watched(other).watch(position))) == [("l", b"\1")]


def test_a_reader_that_falls_behind_is_told_so_and_then_the_newest_values():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch(limits=Limits(3, 1 << 20))
    node.write(*((f"k{i % 4}", i) for i in range(10)))

    kept = [watcher.take() for _ in range(3)]
    with pytest.raises(WatchOverflowError) as raised:
        watcher.take()
    rest = taken(watcher)

    assert [one[0].key for one in kept if one] == ["k0", "k1", "k2"]
    assert kept[-1] is not None
    assert raised.value.position == kept[-1][1].position
    assert shown(rest) == [("k2", b"\6"), ("k3", b"\7"), ("k0", b"\x08"), ("k1", b"\x09")]
    assert shown(taken(node.watch(raised.value.position))) == shown(rest)
    node.write(("k0", 1), ("k0", 2))
    assert shown(taken(watcher)) == [("k0", b"\1"), ("k0", b"\2")], "then every change again"


def test_what_waits_is_bounded_by_its_size_too_and_one_change_always_fits():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch(limits=Limits(100, 1_000))
    node.write(("k", b"x" * 5_000), ("l", 1))

    assert watcher.take() is not None
    with pytest.raises(WatchOverflowError):
        watcher.take()
    assert shown(taken(watcher)) == [("l", b"\1")]


@pytest.mark.parametrize("since", [BEGINNING, "1.kA"])
def test_what_is_taken_at_a_time_is_bounded_by_its_size(since: str):
    network = watched_network("a")
    node = watched(network)
    for i in range(10):
        node.write((f"k{i}", b"x" * 600))
    watcher = node.watch(since, limits=Limits(100, 2_000))

    watcher.take()

    assert len(watcher._taken) == 2
    assert len(taken(watcher)) == 9


def test_a_key_that_changes_all_the_time_does_not_keep_the_others_back(monkeypatch):
    monkeypatch.setattr(watcher_module, "PAGE_KEYS", 1)
    network = watched_network("a")
    node = watched(network)
    node.write(("a", 1), ("b", 1), ("c", 1))
    watcher = node.watch(BEGINNING)
    told = []

    for i in range(6):
        one = watcher.take()
        told.append(one and one[0].key)
        node.write(("a", i + 2))

    assert told == ["a", "a", "b", "a", "a", "c"]


def test_a_queue_that_is_full_takes_nothing_more():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch(limits=Limits(3, 1 << 20))

    for i in range(1_000):
        node.write(("k", i))

    assert len(watcher._queue) == 3
    assert not node.engine.replica.observed


def test_a_reader_that_falls_behind_among_what_is_present_misses_nothing():
    network = watched_network("a")
    node = watched(network)
    node.write(*((f"k{i:04}", 1) for i in range(PAGE_KEYS * 2)))
    reader = Reader(network, limits=Limits(3, 1 << 20))
    reader.read(5)

    node.write(*((f"k{i:04}", 2) for i in range(5)))
    node.remove("k0001")
    node.remove("k0600")
    reader.read()

    assert reader.copy == node.packed()
    assert reader.position != BEGINNING
    assert reader.begun_anew == 0


def test_when_nothing_waits_the_position_is_behind_what_other_keys_brought():
    """Else a reader whose keys rest would have a place that is collected one day."""
    network = watched_network("a", "b")
    node = watched(network)
    network.join("b", "a")
    watcher = node.watch(prefix="rare/")
    node.write(("often", 1))
    network.run()
    position = watcher.place().position
    network.advance(300_000)

    assert node.engine.replica.logs[OWN].collected.base == 1
    assert taken(node.watch(position)) == []


def test_when_something_waits_the_position_is_right_before_it():
    network = watched_network("a", "b")
    node = watched(network)
    network.join("b", "a")
    watcher = node.watch(prefix="rare/")
    node.write(("often", 1))
    network.advance(300_000)
    assert node.engine.replica.logs[OWN].collected.base == 1

    node.write(("rare/1", 1))

    assert shown(taken(node.watch(watcher.place().position))) == [("rare/1", b"\1")]


def test_what_was_collected_since_a_position_cannot_be_told_and_that_is_said():
    network = watched_network("a", "b")
    node = watched(network)
    network.join("b", "a")
    position = node.watch().place().position
    node.write(("k", 1))
    node.remove("k")
    network.run()
    network.advance(300_000)
    assert "k" not in node.engine.replica.entries

    with pytest.raises(PositionLostError, match="collected"):
        node.watch(position)


def test_numbers_that_were_given_out_twice_are_told_apart_by_their_lives():
    """A log that lost its end with the power writes other values under the same numbers."""
    network = watched_network("a")
    node = watched(network)
    node.write(("k", 1))
    saved = list(node.log)
    node.write(("k", 2))
    position = node.watch().place().position
    node.log = saved
    node.restart()

    with pytest.raises(PositionLostError, match="older copy"):
        node.watch(position)
    node.write(("l", 3), ("l", 4))
    with pytest.raises(PositionLostError, match="older copy"):
        node.watch(position)


def test_a_position_from_before_a_new_life_is_still_good():
    network = watched_network("a")
    node = watched(network)
    node.write(("k", 1))
    position = node.watch().place().position
    node.restart()
    node.write(("l", 2))

    rows = taken(node.watch(position))

    assert shown(rows) == [("l", b"\2")]
    assert taken(node.watch(rows[0][2])) == []


@pytest.mark.parametrize("text", ["", "x", "1.", "1.!!", "2.kA", "1.kZA", "1.gA", "é", "1.wA"])
def test_what_is_no_position_is_refused(text: str):
    with pytest.raises(InvalidArgumentError, match="not a position"):
        watched(watched_network("a")).watch(text)


@given(st.text(alphabet="1.kZWmbm9-_zAo", max_size=40))
def test_no_text_breaks_the_reader_of_positions(text: str):
    node = watched(watched_network("a"))

    with pytest.raises((InvalidArgumentError, PositionLostError)):
        node.watch("1." + text + "!")


def test_who_is_not_watched_observes_nothing():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch()
    watcher.close()

    node.write(("k", 1))

    assert node.engine.replica.observed is None
    assert not node.watchers.is_any
    assert watcher.take() is None


# What no write explains: a snapshot shows that keys were removed.


def test_what_a_snapshot_shows_to_be_removed_is_told_and_was_written_by_nobody():
    network = watched_network("c", "a", "b")
    node = watched(network)
    for other in ("a", "b"):
        network.join(other, "c")
    network.join("a", "b")
    network["a"].write(("k", 1), ("l", 1))
    network.run()
    watcher = node.watch()
    position = watcher.place().position
    network.cut(node)
    for other in ("a", "b"):
        network[other].commit(Forgotten("c"))
    network["a"].remove("k")
    network.advance(300_000)
    assert "k" not in network["a"].engine.replica.entries

    network.join("a", "c")
    network.run()

    rows = taken(watcher)
    assert shown(rows) == [("k", b"")]
    assert rows[0][1][1:4] == (0, 0, 0)
    assert taken(node.watch(rows[0][2])) == []
    with pytest.raises(PositionLostError, match="collected"):
        node.watch(position)


def dropping(network: Network, *keys: str, b: int = 0) -> Committed:
    """The end of a snapshot of a node that holds fewer writes, and has so many of another one."""
    replica = watched(network).engine.replica
    drops = [(key, *siblings_of(replica.entries[key])[0][:2]) for key in keys]
    return Committed({replica.origins.number(Origin("b", 1)): DotSet(b)} if b else {}, drops)


def test_a_reader_who_looks_back_while_a_key_changes_without_a_write_must_begin_anew():
    network = watched_network("a")
    node = watched(network)
    start = node.watch().place().position
    node.write(("k", 1), *((f"k{i:04}", 1) for i in range(PAGE_KEYS)))
    reader = node.watch(start)
    assert reader.take() is not None

    node.commit(dropping(network, "k"))

    with pytest.raises(PositionLostError, match="snapshot"):
        taken(reader)
    assert reader.is_closed


def test_a_reader_who_fell_behind_where_a_key_changed_without_a_write_must_begin_anew():
    network = watched_network("a")
    node = watched(network)
    node.write(("k", 1))
    watcher = node.watch(limits=Limits(1, 1 << 20))
    node.write(("l", 1), ("m", 1))

    node.commit(dropping(network, "k"))

    assert watcher.take() is not None
    with pytest.raises(WatchOverflowError):
        watcher.take()
    with pytest.raises(PositionLostError, match="snapshot"):
        watcher.take()


def test_a_reader_who_was_told_of_some_removes_of_a_snapshot_cannot_go_on_from_between():
    network = watched_network("a")
    node = watched(network)
    node.write(("k", 1), ("l", 1))
    watcher = node.watch()
    before = watcher.place().position
    node.commit(dropping(network, "k", "l", b=5))

    rows = taken(watcher)

    assert shown(rows) == [("k", b""), ("l", b"")]
    assert rows[0][2] == before
    assert taken(node.watch(rows[1][2])) == []


def test_what_no_write_explains_is_told_before_what_a_batch_brings_with_it():
    replica = Replica("a", 1)
    b = replica.origins.number(Origin("b", 1))
    replica.replace([("old", (b, 1, 5, 1, b"\1", 0))])
    replica.logs[b].add(1, "old")
    observer = Observer(replica)
    replica.logs[b].add(2, "new")
    replica.replace([("new", (b, 2, 6, 1, b"\2", 0)), ("old", (OWN, 0, 0, 0, TOMBSTONE, 0))])

    sightings, is_indexed = observer.others()

    assert [sighting.key for sighting in sightings] == ["old", "new"]
    assert [sighting.moment.has()[Origin("b", 1)].base for sighting in sightings] == [1, 2]
    assert not is_indexed


def test_a_reader_who_looks_back_while_a_history_gets_another_name_must_begin_anew():
    network = watched_network("a")
    node = watched(network)
    start = node.watch().place().position
    node.write(*((f"k{i:04}", 1) for i in range(PAGE_KEYS + 1)))
    reader = node.watch(start)
    live = node.watch()
    assert reader.take() is not None

    node.commit(Split(node.engine.replica.origins[OWN], 0, 77))

    with pytest.raises(PositionLostError, match="names"):
        taken(reader)
    node.write(("k0000", 2))
    assert shown(taken(live)) == [("k0000", b"\2")], "a new name is no change"


# Any history, any reader.

KEYS = st.sampled_from(["a", "b", "b1", "c"])
NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.lists(st.tuples(KEYS, st.integers(0, 9)), max_size=4)),
    st.tuples(st.just("remove"), NAMES, KEYS),
    st.tuples(st.just("read"), st.integers(1, 4)),
    st.tuples(st.just("read")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("place")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("compact")),
    st.tuples(st.just("join"), NAMES, NAMES),
    st.tuples(st.just("run")),
    st.tuples(st.just("cut"), NAMES),
    st.tuples(st.just("advance"), st.sampled_from([100, 40_000])),
)


def step(network: Network, reader: Reader, move: tuple[Any, ...]) -> None:
    match move:
        case ("write", name, asked) if asked:
            network[name].write(*asked)
        case ("remove", name, key):
            network[name].remove(key)
        case ("read", count):
            reader.read(count)
        case ("read",):
            reader.read()
        case ("crash",):
            reader.watcher.close()
            reader.open()
        case ("place",):
            reader.position = reader.watcher.place().position
        case ("restart" | "compact",):
            node = watched(network)
            node.restart() if move == ("restart",) else node.compact()
            reader.open()
        case ("join", one, other) if one != other:
            network.join(one, other)
        case ("run",):
            network.run()
        case ("cut", name):
            network.cut(network[name])
        case ("advance", milliseconds):
            network.advance(milliseconds, step=milliseconds)
        case _:
            pass


@pytest.mark.parametrize("policies", [LAST_WRITE_WINS, MANUAL], ids=["last_write_wins", "manual"])
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    moves=st.lists(STEPS, max_size=30),
    prefix=st.sampled_from(["", "b"]),
    limits=st.sampled_from([(1, 1 << 20), (3, 1 << 20), (100, 600), (1_000, 1 << 20)]),
    resumes=st.booleans(),
    page_keys=st.sampled_from([1, 2, PAGE_KEYS]),
)
def test_a_reader_ends_with_what_reads_show_wherever_it_resumes(
    policies, moves, prefix, limits, resumes, page_keys
):
    network = watched_network("a", "b", "c", policies=policies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher_module, "PAGE_KEYS", page_keys)
        reader = Reader(network, prefix, Limits(*limits), resumes=resumes)

        for move in moves:
            step(network, reader, move)
        reader.read()

    assert watched(network).packed(prefix) == reader.copy


def test_what_others_wrote_since_is_in_a_place_that_is_made_of_the_one_before():
    network = watched_network("a", "b", "c")
    node = watched(network)
    node.watch()
    network.join("b", "a")
    network.join("c", "a")
    network.run()

    def is_whole() -> bool:
        return node.watchers.now().vector == vector_of(node.engine.replica)

    network["c"].write(("c's", 1))
    network["b"].write(("b's", 1))
    network.run()
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    network["b"].write(("first", 1))
    network.run()
    network.passes = lambda *_: True
    network["b"].write(("second", 1))
    network.run()
    assert any(log.beyond for log in node.engine.replica.logs.values()), "the first one is missing"
    assert is_whole()

    network.advance(10_000, step=500)
    assert node.packed().keys() == {"c's", "b's", "first", "second"}
    assert is_whole()

    network["b"].restart()
    network["b"].write(("third", 1))
    network.join("b", "a")
    network.run()
    assert "third" in node.packed()
    assert len(node.watchers.now().vector.had[node.engine.replica.origins[1]].lives) > 1
    assert is_whole()


def test_a_reader_that_was_woken_is_waited_for_once():
    network = watched_network("a")
    node = watched(network)
    watcher = node.watch()
    order: list[str] = []

    class Passed:
        def acquire(self, timeout: float) -> None:
            order.append(f"waits for {timeout} s")

    watcher.arm(lambda: order.append("woken"), cast(Lock, Passed()))
    node.write(("k", 1))
    node.write(("l", 1))
    node.watchers.let_pass()
    node.watchers.let_pass()

    assert order == ["woken", f"waits for {PASS_MAX_SECONDS} s"]

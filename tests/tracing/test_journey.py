"""The journey of a write: each stage is told, in an order that keeps to cause and effect."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from softadastra.store.changes import OWN, Committed
from softadastra.store.policies import Policies, Policy
from softadastra.sync.messages import Ack, Batch
from softadastra.sync.records import Pruned, Released
from softadastra.tracing.journey import Journey, Stage, Step
from tests.engines import OPTIONS, Network, Node
from tests.tracing.logged import Recorder, journey, told

YEAR_MS = 365 * 86_400_000


def line_of_three() -> Recorder:
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("b", "c")
    recorder = Recorder(network)
    recorder.run()
    return recorder


def step_of(found: Journey, node_id: str, stage: Stage) -> Step:
    (step,) = (s for s in found.steps if (s.node_id, s.stage) == (node_id, stage))
    return step


def test_a_write_that_is_relayed_is_followed_through_the_node_in_the_middle() -> None:
    recorder = line_of_three()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()

    found = journey(recorder.lines, sync_id)

    assert found.key == "k"
    assert [node.node_id for node in found.nodes] == ["a", "b", "c"]
    assert told(found)[:4] == [
        ("a", "accepted"),
        ("a", "sent"),
        ("b", "received"),
        ("b", "merged"),
    ]
    order = told(found)
    assert (
        order.index(("b", "sent"))
        < order.index(("c", "merged"))
        < order.index(("b", "acknowledged"))
    )
    assert order.index(("b", "merged")) < order.index(("a", "acknowledged"))
    assert all(step.has_arrived for step in found.steps if step.stage is Stage.SENT)
    assert found.remarks == ()


def test_a_batch_is_paired_with_its_reception_by_connection_and_number() -> None:
    recorder = line_of_three()
    recorder.write("a", "earlier", "v")
    recorder.run()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()

    found = journey(recorder.lines, sync_id)
    sent, merged = step_of(found, "a", Stage.SENT), step_of(found, "b", Stage.MERGED)

    assert (sent.peer, merged.peer) == ("b", "a")
    assert sent.batches == merged.batches == (2,)
    assert sent.connection == merged.connection != ""
    received = step_of(found, "b", Stage.RECEIVED)
    assert found.steps.index(sent) in received.causes


def test_a_connection_has_another_name_than_the_one_before_it() -> None:
    network = Network("a", "b")
    recorder = Recorder(network)
    first = recorder.write("a", "k", "v")
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    link = network.join("a", "b")
    recorder.run()
    network.close(link)
    network.passes = lambda _from, _to, _message: True
    network.join("a", "b")
    recorder.run()

    found = journey(recorder.lines, first)

    lost, again = (s for s in found.steps if s.stage is Stage.SENT)
    assert lost.batches == again.batches == (1,)
    assert lost.connection != again.connection
    assert (lost.has_arrived, again.has_arrived) == (False, True)
    cut = step_of(found, "a", Stage.CUT)
    assert found.steps.index(lost) < found.steps.index(cut) < found.steps.index(again)


def test_a_batch_that_is_sent_again_is_told_as_such_and_merged_once() -> None:
    recorder = line_of_three()
    network = recorder.network
    network.passes = lambda _from, _to, message: not isinstance(message, Ack)
    sync_id = recorder.write("a", "k", "v")
    recorder.run()
    network.passes = lambda _from, _to, _message: True
    network.now_ms += 5_500
    recorder.run()

    found = journey({"a": recorder.lines["a"], "b": recorder.lines["b"]}, sync_id)

    retried = step_of(found, "a", Stage.RETRIED)
    assert (retried.peer, retried.batches, retried.attempts) == ("b", (1,), 2)
    assert step_of(found, "a", Stage.SENT).batches == (1,)
    assert step_of(found, "b", Stage.MERGED).batches == (1,)
    assert step_of(found, "b", Stage.REPEATED).batches == (1,)
    order = told(found)
    assert order.index(("b", "merged")) < order.index(("a", "acknowledged"))


def test_what_a_peer_has_by_its_own_word_is_confirmed_without_an_acknowledgement() -> None:
    recorder = line_of_three()
    network = recorder.network
    network.passes = lambda _from, _to, message: not isinstance(message, Ack)
    sync_id = recorder.write("a", "k", "v")
    for _ in range(20):
        network.now_ms += 2_000
        recorder.run()

    found = journey(recorder.lines, sync_id)

    order = told(found)
    assert ("a", "acknowledged") not in order
    assert order.index(("b", "merged")) < order.index(("a", "confirmed"))


def test_a_write_that_lost_a_conflict_says_to_which_and_the_other_one_says_so_too() -> None:
    network = Network("a", "b")
    recorder = Recorder(network)
    loser = recorder.write("a", "k", "first")
    network.now_ms += 10
    winner = recorder.write("b", "k", "second")
    network.join("a", "b")
    recorder.run()

    lost, won = journey(recorder.lines, loser), journey(recorder.lines, winner)

    assert step_of(lost, "a", Stage.LOST).others == (winner,)
    # To b it comes with the write that it lost to, which b has.
    assert step_of(lost, "b", Stage.MERGED).is_superseded
    assert step_of(won, "a", Stage.WON).others == (loser,)


def test_a_conflict_that_is_kept_names_the_other_write() -> None:
    network = Network("a", "b", policies=Policies(Policy.MANUAL, {}, "manual"))
    recorder = Recorder(network)
    mine, theirs = recorder.write("a", "k", "first"), recorder.write("b", "k", "second")
    network.join("a", "b")
    recorder.run()

    assert step_of(journey(recorder.lines, mine), "b", Stage.CONFLICTED).others == (theirs,)


def test_a_write_that_comes_as_superseded_says_so() -> None:
    network = Network("a", "b")
    recorder = Recorder(network)
    old, new = recorder.write("a", "k", "old"), recorder.write("a", "k", "new")
    network.join("a", "b")
    recorder.run()

    assert step_of(journey(recorder.lines, old), "b", Stage.MERGED).is_superseded
    assert not step_of(journey(recorder.lines, new), "b", Stage.MERGED).is_superseded


def collected() -> tuple[Recorder, str]:
    recorder = line_of_three()
    sync_id = recorder.write("a", "k", "v")
    collect(recorder)
    return recorder, sync_id


def collect(recorder: Recorder) -> None:
    """Let time pass until nobody has to ask for what was written."""
    for _ in range(100):
        recorder.network.now_ms += 2_000
        for node in recorder.network.nodes.values():
            node.collect()
        recorder.run()


def test_a_write_is_collected_behind_the_last_node_that_merges_it() -> None:
    recorder, sync_id = collected()

    order = told(journey(recorder.lines, sync_id))

    assert order.index(("c", "merged")) < min(
        order.index((name, "collected")) for name in ("a", "b", "c")
    )


def test_what_is_collected_comes_to_a_new_node_in_a_snapshot() -> None:
    recorder, sync_id = collected()
    network = recorder.network
    network.nodes["d"] = Node(network, "d", network["a"].options, network["a"].policies)
    network.join("d", "c")
    recorder.run()

    found = journey(recorder.lines, sync_id)

    assert step_of(found, "c", Stage.SENT).peer == "d"
    order = told(found)
    assert order.index(("c", "collected")) < order.index(("d", "merged"))


def test_clocks_that_are_a_year_apart_change_nothing_but_what_is_told_of_them() -> None:
    network = Network("a", "b", "c")
    network["b"].skew_ms, network["c"].skew_ms = YEAR_MS, -YEAR_MS
    network.join("a", "b")
    network.join("b", "c")
    recorder = Recorder(network)
    recorder.run()
    sync_id = recorder.write("c", "k", "v")
    recorder.run()

    found = journey(recorder.lines, sync_id)

    order = told(found)
    assert order[0] == ("c", "accepted")
    assert order.index(("b", "merged")) < order.index(("a", "merged"))
    skews = {node.node_id: node.skew_ms for node in found.nodes}
    assert skews == {"c": 0, "b": 2 * YEAR_MS, "a": YEAR_MS}
    assert all(step.at_ms == 0 for step in found.steps)


def test_where_a_log_is_missing_the_journey_says_so() -> None:
    recorder = line_of_three()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()

    without_b = journey({name: recorder.lines[name] for name in ("a", "c")}, sync_id)
    without_a = journey({name: recorder.lines[name] for name in ("b", "c")}, sync_id)

    assert without_b.remarks == ("no log of b was read",)
    assert step_of(without_b, "a", Stage.SENT).has_arrived  # by its acknowledgement
    assert told(without_b)[0] == ("a", "accepted")
    assert without_a.remarks == (
        f"no log shows where {sync_id} was accepted",
        "no log of a was read",
    )
    assert [node.node_id for node in without_a.nodes] == ["a", "b", "c"]


def test_a_log_without_debug_events_is_remarked_on() -> None:
    recorder = line_of_three()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()
    quiet = [line for line in recorder.lines["b"] if json.loads(line)["level"] != "debug"]
    assert quiet

    found = journey(recorder.lines | {"b": quiet}, sync_id)

    assert found.remarks == ("the log of b has no debug events, so most of its steps are missing",)


def test_two_lives_of_one_name_are_remarked_on() -> None:
    recorder = line_of_three()
    sync_id = recorder.write("a", "k", "v")
    recorder.run()
    other = Recorder(Network("a"))
    other.write("a", "other", "v")
    other.take()

    found = journey(recorder.lines | {"wiped": other.lines["a"]}, sync_id)

    assert len(found.remarks) == 1
    assert "accepted 2 times" in found.remarks[0]


def test_a_write_that_no_log_names_has_no_steps() -> None:
    assert journey(line_of_three().lines, "a-99").steps == ()


@pytest.mark.parametrize("names", [("a.log.2", "a.log.1", "a.log"), ("a.log-20260101", "a.log")])
def test_rotated_files_are_put_in_their_order_also_when_the_clock_was_set_back(
    names: tuple[str, ...],
) -> None:
    recorder = line_of_three()
    recorder.lines["a"].clear()
    recorder.network["a"].skew_ms = YEAR_MS
    sync_id = recorder.write("a", "k", "v")
    recorder.step()
    recorder.network["a"].skew_ms = 0
    recorder.run()
    lines = recorder.lines.pop("a")
    share = -(-len(lines) // len(names))
    parts = {name: lines[i * share : (i + 1) * share] for i, name in enumerate(names)}

    found = journey(dict(reversed(parts.items())) | recorder.lines, sync_id)

    stages = [stage for node, stage in told(found) if node == "a"]
    assert stages == ["accepted", "sent", "acknowledged"]


def test_each_word_that_is_heard_was_told_by_its_peer_under_the_same_number() -> None:
    recorder, _ = collected()
    events = [json.loads(line) for lines in recorder.lines.values() for line in lines]

    told_by = [(e["node_id"], e["number"]) for e in events if e["event"] == "have.told"]
    heard_of = [(e["peer"], e["number"]) for e in events if e["event"] == "have.heard"]

    assert len(told_by) == len(set(told_by)) > 4
    assert set(heard_of) <= set(told_by)
    assert heard_of


def test_what_is_held_back_released_and_pruned_is_told() -> None:
    network = Network("a", "b", options=replace(OPTIONS, auto_queue=False))
    recorder = Recorder(network)
    network.join("a", "b")
    sync_id = recorder.write("a", "k", "v")
    recorder.run()
    assert told(journey(recorder.lines, sync_id)) == [("a", "accepted")]
    network["a"].commit(Released(1))
    recorder.run()
    network["a"].commit(Pruned(1))
    recorder.take()

    stages = [stage for node, stage in told(journey(recorder.lines, sync_id)) if node == "a"]
    assert stages == ["accepted", "released", "sent", "acknowledged", "pruned"]


def test_what_a_snapshot_leaves_out_is_known_as_obsolete_at_its_end() -> None:
    recorder = line_of_three()
    old = recorder.write("a", "k", "old")
    new = recorder.write("a", "k", "new")
    collect(recorder)
    network = recorder.network
    network.nodes["d"] = Node(network, "d", network["a"].options, network["a"].policies)
    network.join("d", "c")
    recorder.run()

    assert step_of(journey(recorder.lines, new), "d", Stage.MERGED).peer == "c"
    assert step_of(journey(recorder.lines, old), "d", Stage.JOINED).peer == "c"


def test_what_a_snapshot_shows_to_be_obsolete_is_told_as_dropped() -> None:
    recorder = line_of_three()
    sync_id = recorder.write("b", "k", "v")
    recorder.run()
    engine = recorder.network["b"].engine
    session = engine.connections.of_peer("a")
    assert session is not None
    engine.traces.joined(session, Committed({}, [("k", OWN, 1)]))
    recorder.take()

    assert step_of(journey(recorder.lines, sync_id), "b", Stage.DROPPED).peer == "a"

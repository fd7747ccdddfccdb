"""Why a key or a peer is not in step: each cause is found where it holds, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import replace

import click
import pytest

from softadastra.cli.main import cli
from softadastra.findings import Cause, Finding
from softadastra.sentences import ADVICE, SENTENCES, advice_on, sentence
from softadastra.store.policies import Policies, Policy
from softadastra.sync.batches import Limits
from softadastra.sync.exclusions import BAD_MESSAGES_MAX, EXCLUSION_MIN_MS, Culprit, Known
from softadastra.sync.messages import Ack, Batch, Have, SnapshotBegin
from softadastra.sync.records import Forgotten, Pruned, Released
from softadastra.types import Peer, PeerSource, PeerState
from softadastra.vitals import LogRefusal, RefusalKind
from tests.engines import OPTIONS, WALL_MS, Filter, Network, Node
from tests.health.looking import causes, finding, moment_of, of_key, of_peer

SMALL = replace(OPTIONS, batch=Limits(3, 262_144), max_offline_ms=600_000)


def mesh() -> Network:
    """Connect three nodes to each other, and let each hear of that."""
    network = Network("a", "b", "c")
    for left, right in (("a", "b"), ("b", "c"), ("a", "c")):
        network.join(left, right)
    network.advance(31_000)
    return network


def pair(options=OPTIONS, policies: Policies | None = None) -> Network:
    network = Network("a", "b", options=options, **({"policies": policies} if policies else {}))
    network.join("a", "b")
    network.run()
    return network


def drop(*kinds: type) -> Filter:
    return lambda _from, _to, message: not isinstance(message, kinds)


def dial(node: Node, peer: str, port: int = 4042) -> int:
    """Have an address dialled, as the driver does; give the connection that is tried."""
    record = node.engine.register(Peer(peer, "127.0.0.1", port), PeerSource.MANUAL, node.now)
    if record is not None:
        node.commit(record)
    (attempt,) = node.engine.dialer.due(node.now.mono_ms, node.engine.connections.active)
    attempt.link = 1_000
    return attempt.link


def test_a_key_that_is_everywhere_is_said_to_be():
    network = pair()
    network["a"].write(("key", 1))
    network.run()

    found = of_key(network["a"], "key")
    assert causes(found) == [(Cause.PRESENT, ""), (Cause.HAVE_IT, "")]
    assert finding(found, Cause.HAVE_IT).peers == ("b",)
    assert found.advice == []
    assert found.writes[0].sync_id == "a-1"


def test_a_key_that_is_nowhere_is_said_to_be_absent():
    network = pair()

    assert causes(of_key(network["a"], "key")) == [(Cause.ABSENT, "")]


def test_an_absent_key_may_be_among_what_a_peer_has_and_is_not_here():
    network = pair()
    network.passes = drop(Batch)
    network["b"].write(("key", 1), ("other", 2))
    network.advance(31_000)

    found = of_key(network["a"], "key")
    assert causes(found) == [(Cause.ABSENT, ""), (Cause.IS_AHEAD, "b")]
    assert finding(found, Cause.IS_AHEAD).writes == 2


def test_a_removed_key_is_told_from_an_absent_one():
    network = pair()
    network["a"].write(("key", 1))
    network.run()
    network["a"].remove("key")

    found = of_key(network["a"], "key")
    assert causes(found)[0] == (Cause.REMOVED, "")
    assert [w.is_removed for w in found.writes] == [True]
    assert found.writes[0].lacked_by == ("b",)


def test_a_node_without_peers_says_that_it_is_alone():
    network = Network("a")
    network["a"].write(("key", 1))

    assert causes(of_key(network["a"], "key")) == [(Cause.PRESENT, ""), (Cause.ALONE, "")]


def test_what_was_superseded_is_not_missed_by_a_peer_that_has_what_took_its_place():
    network = pair()
    a = network["a"]
    a.write(("key", 1), ("other", 1))
    network.run()
    network.cut(a)
    a.write(("other", 2))

    assert (Cause.LACKS_KEY, "b") not in causes(of_key(a, "key"))
    assert (Cause.LACKS_KEY, "b") in causes(of_key(a, "other"))


def test_a_peer_that_cannot_be_reached_is_told_with_the_reason_and_the_next_attempt():
    network = pair()
    a = network["a"]
    network.now_ms = 5_000
    network.cut(a)
    dial(a, "b")
    a.engine.connections.down(1_000, "connection refused", a.now)
    a.write(("key", 1))
    network.now_ms += 50

    found = finding(of_key(a, "key"), Cause.DISCONNECTED)
    assert found.since_ms == WALL_MS + 5_000
    assert found.next_ms is not None
    assert found.next_ms > a.now.wall_ms
    assert found.detail == "connection refused"
    assert causes(of_key(a, "key"))[1:3] == [(Cause.LACKS_KEY, "b"), (Cause.DISCONNECTED, "b")]
    assert "b was lost 50 ms ago (2023-11-14 22:13:25Z): connection refused; tried again in" in (
        " ".join(of_key(a, "key").sentences)
    )


def test_a_peer_that_is_being_dialled_is_told_so():
    network = Network("a")
    a = network["a"]
    a.write(("key", 1))
    dial(a, "b")

    assert (Cause.CONNECTING, "b") in causes(of_key(a, "key"))


def test_a_peer_without_an_address_has_to_come_by_itself():
    network = pair()
    network.cut(network["a"])
    network["a"].write(("key", 1))

    assert (Cause.NO_ADDRESS, "b") in causes(of_key(network["a"], "key"))


def test_a_peer_that_people_have_disconnected_is_told_so():
    network = pair()
    a = network["a"]
    a.engine.connections.disconnect("b", a.now)
    network.run()
    a.write(("key", 1))

    assert (Cause.LEFT_ALONE, "b") in causes(of_key(a, "key"))


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("rejected: different_cluster: another one", Cause.DIFFERENT_CLUSTER),
        ("rejected: protocol: it speaks 2", Cause.PROTOCOL),
        ("refused: unauthorized: another name", Cause.UNAUTHORIZED),
        ("rejected: duplicate_identity: it is here", Cause.DUPLICATE_IDENTITY),
        ("refused: policy_mismatch: by another", Cause.POLICY_MISMATCH),
        ("rejected: busy: later", Cause.BUSY),
        ("auth_failed: 'b' does not trust this node's key", Cause.AUTH_FAILED),
        ("rejected: unheard_of: by a newer node", Cause.DISCONNECTED),
        ("connection refused", Cause.DISCONNECTED),
        ("timed out", Cause.DISCONNECTED),
    ],
)
def test_why_a_connection_was_refused_is_named(words, cause):
    network = Network("a")
    a = network["a"]
    dial(a, "b")
    a.engine.connections.down(1_000, words, a.now)
    a.write(("key", 1))

    assert causes(of_peer(a, "b"))[:2] == [(Cause.LACKS, "b"), (cause, "b")]
    assert finding(of_peer(a, "b"), cause).detail == words
    assert of_peer(a, "b").advice or cause is Cause.BUSY


def test_a_known_peer_that_dials_from_another_cluster_is_told_to_be_refused():
    network = pair()
    a, b = network["a"], network["b"]
    network.now_ms = 3_000
    network.cut(a)
    b.options = replace(OPTIONS, cluster="other")
    b.start()
    network.now_ms = 9_000
    network.join("b", "a")
    network.run()
    a.write(("key", 1))

    found = finding(of_peer(a, "b"), Cause.DIFFERENT_CLUSTER)
    assert found.since_ms == WALL_MS + 3_000
    assert "'other'" in found.detail


def test_that_a_peer_was_refused_says_more_than_that_it_cannot_be_reached():
    network = pair()
    a, b = network["a"], network["b"]
    network.cut(a)
    b.options = replace(OPTIONS, cluster="other")
    b.start()
    network.join("b", "a")
    network.run()
    dial(a, "b")
    a.engine.connections.down(1_000, "timed out", a.now)

    assert causes(of_peer(a, "b")) == [(Cause.DIFFERENT_CLUSTER, "b")]


def test_a_peer_that_is_shut_out_is_told_with_what_it_sent_and_until_when():
    network = pair()
    a = network["a"]
    network.cut(a)
    for _ in range(BAD_MESSAGES_MAX):
        culprit = Culprit(Known.CLAIMED, "b", "10.0.0.1")
        a.engine.admission.exclusions.offend(culprit, "no message", a.now.mono_ms, None)
    a.write(("key", 1))

    found = finding(of_key(a, "key"), Cause.SHUT_OUT)
    assert (found.peer, found.detail) == ("b", "no message")
    assert found.next_ms == a.now.wall_ms + EXCLUSION_MIN_MS
    assert of_peer(a, "b").peer.state is PeerState.FAULTED


def test_who_is_unknown_and_refused_is_not_remembered():
    network = Network("a", "b")
    network["b"].options = replace(OPTIONS, cluster="other")
    network["b"].start()
    network.join("b", "a")
    network.run()

    assert network["a"].engine.connections.ends == {}


def test_what_is_on_its_way_is_told_with_its_attempts():
    network = pair()
    network.passes = drop(Ack, Have)
    a = network["a"]
    a.write(("key", 1))
    network.run()
    network.now_ms += 700

    found = finding(of_key(a, "key"), Cause.IN_FLIGHT)
    assert (found.since_ms, found.attempts) == (WALL_MS, 1)
    assert found.next_ms == WALL_MS + 5_000
    network.advance(5_000)
    assert finding(of_key(a, "key"), Cause.IN_FLIGHT).attempts == 2


def test_a_peer_that_acknowledges_nothing_is_told_to_be_silent_and_then_faulted():
    network = pair()
    network.passes = drop(Batch)
    a = network["a"]
    a.write(("key", 1))
    network.advance(11_000)
    assert (Cause.UNANSWERED, "b") in causes(of_key(a, "key"))
    assert (Cause.FAULTED, "b") not in causes(of_key(a, "key"))

    network.advance(300_000)
    found = finding(of_key(a, "key"), Cause.FAULTED)
    assert found.attempts > OPTIONS.max_retries
    assert (Cause.UNANSWERED, "b") not in causes(of_key(a, "key"))


def test_a_full_disk_is_why_what_peers_have_is_not_here():
    network = pair()
    network.passes = drop(Batch)
    network["b"].write(("key", 1))
    network.advance(31_000)
    a = network["a"]
    full = LogRefusal(kind=RefusalKind.FULL, since_ms=WALL_MS, detail="no space left")
    moment = moment_of(a, refusal=full)

    for found in (of_key(a, "key", moment), of_peer(a, "b", moment)):
        assert {Cause.IS_AHEAD, Cause.DISK_FULL} <= {each.cause for each in found.findings}
        assert finding(found, Cause.DISK_FULL).detail == "no space left"
        assert found.advice == ["Free space for the log: then writes work again by themselves."]


def test_a_peer_in_step_with_a_node_whose_disk_is_full_is_told_to_be_so():
    network = pair()
    full = LogRefusal(kind=RefusalKind.FULL, since_ms=WALL_MS, detail="no space left")

    found = of_peer(network["a"], "b", moment_of(network["a"], refusal=full))
    assert causes(found) == [(Cause.IN_STEP, "b"), (Cause.DISK_FULL, "")]


def test_what_auto_queue_holds_back_is_told_until_it_is_released():
    network = pair(replace(OPTIONS, auto_queue=False))
    a = network["a"]
    a.write(("key", 1), ("other", 2))
    network.run()

    found = of_key(a, "key")
    assert finding(found, Cause.HELD).writes == 2
    assert found.advice == ["Let them go with queue_pending()."]
    a.commit(Released(2))
    network.run()
    assert causes(of_key(a, "key")) == [(Cause.PRESENT, ""), (Cause.HAVE_IT, "")]


def test_what_waits_for_a_tick_is_told_so():
    network = pair()
    a = network["a"]
    a.write(("key", 1))

    assert (Cause.UNTICKED, "") in causes(of_key(a, "key", moment_of(a, auto_tick=False)))
    assert (Cause.QUEUED, "b") in causes(of_key(a, "key"))


def test_a_full_window_is_told_with_its_oldest_batch():
    network = pair(replace(SMALL, window=2))
    network.passes = drop(Ack)
    a = network["a"]
    a.write(*((f"key {n}", n) for n in range(10)))
    network.run()

    found = finding(of_key(a, "key 9"), Cause.WINDOW_FULL)
    assert (found.batches, found.since_ms) == (2, WALL_MS)
    assert (Cause.WINDOW_FULL, "b") not in causes(of_key(a, "key 0"))


def test_a_full_connection_is_told_so():
    network = pair()
    a = network["a"]
    session = a.engine.connections.of_peer("b")
    assert session is not None
    a.write(("key", 1))
    session.withdraw(99, a.now.mono_ms)

    assert finding(of_key(a, "key"), Cause.CONNECTION_FULL).next_ms == WALL_MS + 20


def test_a_write_that_a_peer_gets_from_its_writer_is_left_to_that():
    network = mesh()
    network.passes = lambda left, right, message: (
        not (isinstance(message, Batch) and (left.name, right.name) == ("c", "b"))
    )
    network["c"].write(("key", 1))
    network.run()

    found = finding(of_key(network["a"], "key"), Cause.LEFT_TO_OTHERS)
    assert (found.peer, found.detail) == ("b", "c")
    assert found.next_ms is not None


def test_a_write_waits_for_a_peer_to_answer_what_left_before():
    """Nobody knows when that is: until then it may have told that it got the write."""
    network = mesh()
    network.passes = lambda left, right, message: (
        left.name != "b" and not (isinstance(message, Batch) and right.name == "b")
    )
    network["a"].write(("own", 1))
    network["c"].write(("key", 1))
    network.advance(2_000)

    found = finding(of_key(network["a"], "key"), Cause.LEFT_TO_OTHERS)

    assert (found.peer, found.detail, found.next_ms) == ("b", "c", None)


def test_a_peer_that_needs_a_snapshot_is_told_so_before_and_while_it_gets_one():
    network = Network("a", "b", "c", options=SMALL)
    network.join("a", "b")
    network.run()
    a = network["a"]
    a.write(*((f"key {n}", n) for n in range(20)))
    network.advance(120_000)
    assert a.engine.replica.logs[0].collected.base
    network.passes = drop(SnapshotBegin)
    network.join("a", "c")
    network.run()

    assert (Cause.SNAPSHOT, "c") in causes(of_peer(a, "c"))
    a.engine.delivery.snapshots.serving.clear()
    assert (Cause.SNAPSHOT_DUE, "c") in causes(of_peer(a, "c"))


def test_parted_histories_are_told_first():
    network = pair()
    a = network["a"]
    session = a.engine.connections.of_peer("b")
    assert session is not None
    a.write(("key", 1))
    session.parted_ms = a.now.mono_ms

    assert causes(of_key(a, "key"))[2] == (Cause.PARTED, "b")


def test_a_node_that_is_offline_says_so_once_and_blames_no_peer():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("a", "c")
    network.run()
    a = network["a"]
    network.cut(a)
    a.write(("key", 1))

    found = of_key(a, "key", moment_of(a, is_online=False))
    assert [cause for cause, _ in causes(found)].count(Cause.OFFLINE) == 1
    assert (Cause.NO_ADDRESS, "b") not in causes(found)


def test_a_node_whose_disk_failed_says_so():
    network = pair()
    a = network["a"]
    a.write(("key", 1))

    silent = moment_of(a, is_writing=False)
    assert (Cause.NOT_WRITING, "") in causes(of_key(a, "key", silent))
    assert (Cause.NOT_WRITING, "") in causes(of_peer(a, "b", silent))
    network.run()
    assert (Cause.NOT_WRITING, "") in causes(of_peer(a, "b", moment_of(a, is_writing=False)))


def test_after_a_restart_what_others_have_of_others_is_said_to_be_unknown():
    network = pair()
    a, b = network["a"], network["b"]
    a.write(("own", 1))
    b.write(("theirs", 2))
    network.run()
    a.restart()

    assert (Cause.HAVE_IT, "") in causes(of_key(a, "own"))
    found = of_key(a, "theirs")
    assert causes(found)[1] == (Cause.UNHEARD, "b")
    assert found.writes[0].unknown_of == ("b",)
    assert found.writes[0].lacked_by == ()
    assert (Cause.UNHEARD, "b") in causes(of_peer(a, "b"))


def test_a_conflict_is_told_with_its_policy_and_all_its_writes():
    network = Network("a", "b", policies=Policies(Policy.MANUAL, {}, "manual"))
    a, b = network["a"], network["b"]
    a.write(("key", 1))
    b.write(("key", 2))
    network.join("a", "b")
    network.run()

    found = of_key(a, "key")
    conflict = finding(found, Cause.CONFLICT)
    assert (conflict.writes, conflict.detail) == (2, "manual")
    assert {write.sync_id for write in found.writes} == {"a-1", "b-1"}
    assert found.advice == ["Choose a value with resolve(key, value)."]


def test_a_write_that_lost_is_named():
    network = Network("a", "b")
    network["a"].write(("key", 1))
    network.now_ms += 10
    network["b"].write(("key", 2))
    network.join("a", "b")
    network.run()

    assert finding(of_key(network["a"], "key"), Cause.LOST).detail == "a-1"
    assert (Cause.CONFLICT, "") not in causes(of_key(network["a"], "key"))


def test_a_peer_in_step_is_said_to_be():
    network = pair()
    network["a"].write(("key", 1))
    network.run()

    assert causes(of_peer(network["a"], "b")) == [(Cause.IN_STEP, "b")]


def test_what_a_peer_lacks_comes_first_and_then_why():
    network = pair()
    a = network["a"]
    network.cut(a)
    network.now_ms += 1_000
    a.write(("one", 1))
    network.now_ms += 1_000
    a.write(("two", 2))

    found = of_peer(a, "b")
    assert causes(found)[:2] == [(Cause.LACKS, "b"), (Cause.NO_ADDRESS, "b")]
    assert finding(found, Cause.LACKS) == Finding(
        cause=Cause.LACKS, peer="b", writes=2, since_ms=WALL_MS + 1_000
    )
    assert found.peer.lag_ms == 1_000


def test_a_peer_that_is_away_and_lacks_nothing_is_told_to_be_away():
    network = pair()
    network["a"].write(("key", 1))
    network.run()
    network.cut(network["a"])

    assert causes(of_peer(network["a"], "b")) == [(Cause.NO_ADDRESS, "b")]


def test_what_a_peer_lacks_of_others_is_explained_too():
    network = Network("a", "b", "c")
    network.join("a", "c")
    network.run()
    network["c"].write(("key", 1))
    network.run()
    network.passes = drop(Batch)
    network.join("a", "b")
    network.run()

    assert causes(of_peer(network["a"], "b")) == [
        (Cause.LACKS_OTHERS, "b"),
        (Cause.IN_FLIGHT, "b"),
    ]


def test_a_peer_that_holds_tombstones_back_is_told_with_their_number_and_age():
    network = pair()
    a = network["a"]
    a.write(("one", 1), ("two", 2))
    network.run()
    network.cut(a)
    network.now_ms += 1_000
    a.remove("one")
    network.now_ms += 1_000
    a.remove("two")

    found = finding(of_peer(a, "b"), Cause.HOLDS_TOMBSTONES)
    assert (found.writes, found.since_ms) == (2, WALL_MS + 1_000)
    assert "forget" in " ".join(of_peer(a, "b").advice)


def test_a_suspended_peer_is_told_so_and_holds_nothing_back():
    network = pair(SMALL)
    a = network["a"]
    a.write(("one", 1))
    network.run()
    network.cut(a)
    a.remove("one")
    network.now_ms += 700_000

    found = causes(of_peer(a, "b"))
    assert (Cause.SUSPENDED, "b") in found
    assert (Cause.HOLDS_TOMBSTONES, "b") not in found
    assert (Cause.SUSPENDED, "b") in causes(of_key(a, "one"))


def test_who_can_relay_to_an_absent_peer_is_named():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("b", "c")
    network.advance(31_000)

    assert finding(of_peer(network["a"], "c"), Cause.RELAYED).peers == ("b",)


def test_a_clock_is_mentioned_when_it_is_more_than_a_minute_off():
    network = Network("a", "b", "c")
    network["b"].skew_ms = -61_000
    network["c"].skew_ms = 60_000
    network.join("a", "b")
    network.join("a", "c")
    network.run()

    assert finding(of_peer(network["a"], "b"), Cause.CLOCK_SKEWED).skew_ms == -61_000
    assert causes(of_peer(network["a"], "c")) == [(Cause.IN_STEP, "c")]


def test_unequal_digests_are_told():
    network = pair()
    network["a"].engine.delivery.snapshots.unequal.add("b")

    assert (Cause.DIGEST_DIFFERED, "b") in causes(of_peer(network["a"], "b"))


def test_who_was_forgotten_is_nobody():
    network = pair()
    a = network["a"]
    network.cut(a)
    a.commit(Forgotten("b"))
    a.write(("key", 1))

    assert causes(of_key(a, "key")) == [(Cause.PRESENT, ""), (Cause.ALONE, "")]


def test_what_was_pruned_from_the_outbox_is_still_explained():
    network = pair()
    a = network["a"]
    a.write(("key", 1))
    network.run()
    a.commit(Pruned(1))

    assert causes(of_peer(a, "b")) == [(Cause.IN_STEP, "b")]


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_one_sentence_whatever_is_known(cause):
    bare = sentence(Finding(cause=cause, peer="b", detail="why", peers=("c",)), WALL_MS)
    full = sentence(
        Finding(
            cause=cause,
            peer="b",
            since_ms=WALL_MS - 5_000,
            next_ms=WALL_MS + 3_000,
            writes=2,
            batches=3,
            attempts=4,
            skew_ms=-70_000,
            detail="why {not}",
            peers=("c", "d"),
        ),
        WALL_MS,
    )

    for words in (bare, full):
        assert words.endswith(".")
        assert words[0].isupper() or words.startswith(("b ", "c "))
        assert "  " not in words
        assert "None" not in words


def test_sentences_and_advice_are_about_causes_that_exist():
    assert set(SENTENCES) == set(Cause)
    assert set(ADVICE) <= set(Cause)


def test_the_same_advice_is_given_once():
    findings = [Finding(cause=Cause.OFFLINE), Finding(cause=Cause.OFFLINE, peer="b")]

    assert len(advice_on(findings)) == 1


def test_commands_that_are_advised_exist():
    said = " ".join(ADVICE.values())
    named = re.findall(r"softadastra ([a-z ]+)", said)

    assert named
    for words in named:
        command: click.Command = cli
        for word in words.split():
            found = command.get_command(click.Context(command), word)  # type: ignore[attr-defined]  # groups
            assert found is not None, f"softadastra {words}"
            command = found

"""A member that lies can invent data. It cannot crash, block or part those that tell the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from softadastra.store.changes import Claim
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState
from softadastra.sync.fields import MEMBERS_MAX
from softadastra.sync.identity import EMPTY_SPLITS_MAX
from softadastra.sync.messages import (
    Ack,
    Batch,
    Bye,
    Have,
    Message,
    Ping,
    Pong,
    Reject,
    RejectReason,
    Report,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from tests.simulation.lies import LIAR, ONE, U64_MAX, batch, origin_of, world

GHOST = Origin("ghost", 7)
DIGEST = bytes(16)


def test_a_member_that_tells_the_truth_is_served_beside_the_others():
    """The liar's own protocol is right: what follows is refused for the lies in it."""
    with world() as here:
        a, b = here.nodes
        here.liar.say(a, batch(claims=[Claim(0, 1, [(1, 0, 0)])]))
        here.cluster.run(1)

        assert here.goes_on()
        assert a.get("lie") == b.get("lie") == 1
        assert here.liar.told(a, Ack)
        assert here.liar.told(a, Batch)


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        ({"cluster": "another"}, RejectReason.DIFFERENT_CLUSTER),
        ({"policies": "manual"}, RejectReason.POLICY_MISMATCH),
        ({"node_id": "node-a"}, RejectReason.DUPLICATE_IDENTITY),
    ],
    ids=lambda value: str(value),
)
def test_a_greeting_under_a_wrong_name_is_refused_with_words_on_both_sides(lies, reason):
    with world() as here:
        a, _ = here.nodes
        here.liar.meet(a, **lies)
        here.cluster.run(1)

        assert here.told("peer.refused")
        assert [m.reason for m in here.liar.told(a, Reject) if isinstance(m, Reject)] == [reason]
        assert here.goes_on()


def test_a_greeting_with_more_of_the_receivers_writes_than_it_made_is_believed_a_few_times():
    """A restored node hears so, once, and takes a new incarnation. Again and again it is a lie."""
    with world() as here:
        a, b = here.nodes
        a.put("key", 1)
        for _ in range(2 * EMPTY_SPLITS_MAX):
            here.liar.meet(a, have={origin_of(a): DotSet(1, [(5, U64_MAX)])})
            here.cluster.run(10)
            assert here.goes_on()

        assert 0 < len(here.told("identity.renewed")) <= EMPTY_SPLITS_MAX
        assert a.get("key") == b.get("key") == 1


def test_a_greeting_may_have_writes_that_were_never_made():
    with world() as here:
        a, b = here.nodes
        far = DotSet(0, [(5, 9), (11, U64_MAX)])
        here.liar.meet(a, have={GHOST: DotSet(U64_MAX), origin_of(b): far})
        here.cluster.run(1)

        assert here.goes_on()
        assert GHOST not in a.running().engine.have()


def test_a_resume_of_a_snapshot_that_nobody_serves_begins_nothing():
    with world() as here:
        a, _ = here.nodes
        here.liar.meet(a, resume=(U64_MAX, "somewhere"))
        here.cluster.run(5)

        assert here.liar.told(a, SnapshotRange) == []
        assert here.goes_on()


def test_an_acknowledgement_of_what_was_never_sent_completes_nothing_for_others():
    with world() as here:
        a, b = here.nodes
        here.cluster.partition("node-a", "node-b")
        a.put("key", 1)
        everything = {origin_of(a): DotSet(U64_MAX), GHOST: DotSet(U64_MAX)}
        here.liar.say(a, Ack([1, 2, U64_MAX], everything, 1024))
        here.cluster.run(1)

        state = a.sync_state()
        assert state.acknowledged_count == 0
        assert state.per_peer["node-b"].lag == 1
        here.cluster.heal()
        assert here.goes_on()
        assert b.get("key") == 1


def test_a_have_that_claims_everything_or_changes_at_each_message_costs_only_its_sender():
    with world() as here:
        a, _ = here.nodes
        for number in range(100):
            have = {origin_of(a): DotSet(number % 3 * 10**6), GHOST: DotSet(number)}
            here.liar.say(a, Have(1, have, {}, {}, bytes([number]) * 16, frozenset({"node-b"}), {}))
            here.cluster.run(0.1)

        assert here.goes_on()


def test_neighbours_that_are_claimed_delay_no_delivery_for_ever():
    """Who says to be connected to a writer gets its writes from there, or after a while from us."""
    with world(3, topology="line") as here:
        a, b, c = here.nodes
        everybody = frozenset({"node-a", "node-b", "node-c"})
        here.liar.meet(b, neighbours=everybody)
        here.cluster.run(1)
        c.put("from-c", 1)

        assert here.cluster.wait_until(lambda: a.get("from-c") == 1, timeout=10)
        assert here.cluster.wait_until(lambda: bool(here.liar.told(b, Batch)), timeout=10)
        assert here.goes_on()


@pytest.mark.parametrize("is_named", [False, True])
def test_writes_of_the_receiver_that_it_never_made_are_refused(is_named):
    """Also one that a context only names: what the receiver writes there would be superseded."""
    with world() as here:
        a, _ = here.nodes
        a.put("key", 1)
        brought = batch(origins=[origin_of(a)], siblings=[(0, U64_MAX, 10, 1, ONE, 0)])
        over_it = KeyState(((1, 1, 10, 1, ONE, 0),), {0: U64_MAX})
        named = batch(origins=[origin_of(a), LIAR], states=[over_it])
        here.liar.say(a, named if is_named else brought)
        here.cluster.run(1)

        assert f"names write {U64_MAX} of this node, which made 1" in here.told("peer.refused")[0]
        assert "mallory" not in a.running().engine.connections.active
        assert a.running().engine.replica.top == 1
        assert here.goes_on()


def test_own_writes_that_come_back_with_other_contents_are_a_second_write_and_lose_nothing():
    """A number that stands for two writes stands for none: both get names of their own."""
    with world() as here:
        a, b = here.nodes
        a.put("key", "mine")
        forged = (0, 1, U64_MAX, 9, ONE, 0)
        here.liar.say(a, batch(origins=[origin_of(a)], keys=["key"], siblings=[forged]))
        here.cluster.run(1)

        assert here.told("write.doubled")
        assert here.goes_on()
        assert a.get("key") == b.get("key") == 1
        (conflict,) = a.conflicts()
        assert [value.value for value in conflict.values] == [1, "mine"]


def test_endless_batches_hold_up_nobody_and_keep_nothing_but_the_last_state():
    with world() as here:
        a, b = here.nodes
        for number in range(1, 501):
            here.liar.say(a, batch(number, claims=[Claim(0, number, [(1, 0, 0)])]))
            here.cluster.run(0.01)

        assert here.goes_on()
        assert len(a.running().engine.replica.entries) == 1 + len(here.nodes)
        assert all(not s.acks_due for s in a.running().engine.connections.sessions.values())
        assert b.get("lie") == 1


def test_snapshots_that_begin_without_end_are_kept_one_at_a_time():
    with world() as here:
        a, _ = here.nodes
        a.put("key", 1)
        for number in range(1, 200):
            here.liar.say(
                a,
                SnapshotBegin(number, number, {LIAR: DotSet(10**15)}, {}),
                SnapshotRange(number, None, "m", False, batch(number, keys=["lie"])),
            )
            here.cluster.run(0.05)

        snapshots = a.running().engine.delivery.snapshots
        assert list(snapshots.incoming) == ["mallory"]
        assert here.goes_on()
        assert a.get("key") == 1


def test_ranges_that_never_come_to_an_end_make_no_more_of_what_is_kept():
    with world() as here:
        a, _ = here.nodes
        for number in range(20):
            a.put(f"key/{number}", number)
        here.liar.say(a, SnapshotBegin(1, 1, {origin_of(a): DotSet(20)}, {}))
        for number in range(2, 200):
            after = None if number == 2 else "z"
            here.liar.say(a, SnapshotRange(1, after, "z", False, batch(number, keys=["lie"])))
            here.liar.say(a, SnapshotRange(1, "z", "z", False, batch(number, keys=[])))
            here.cluster.run(0.05)

        incoming = a.running().engine.delivery.snapshots.incoming["mallory"]
        assert len(incoming.candidates) <= 20
        assert here.goes_on()
        assert a.get("key/7") == 7


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([SnapshotCommit(1, 1)], id="commit of nothing"),
        pytest.param(
            [SnapshotBegin(1, 1, {LIAR: DotSet(9)}, {}), SnapshotCommit(1, 2)],
            id="commit before ranges",
        ),
        pytest.param(
            [SnapshotBegin(1, 1, {LIAR: DotSet(9)}, {}), SnapshotCommit(2, 2)],
            id="commit of another",
        ),
        pytest.param(
            [SnapshotRange(1, None, "z", True, batch(keys=[]))], id="range before the beginning"
        ),
        pytest.param(
            [
                SnapshotBegin(1, 1, {LIAR: DotSet(9)}, {}),
                SnapshotRange(1, "q", "z", True, batch(keys=[])),
                SnapshotCommit(1, 3),
            ],
            id="range in the middle",
        ),
        pytest.param(
            [
                SnapshotBegin(1, 1, {LIAR: DotSet(9)}, {}),
                SnapshotRange(1, None, "z", True, batch(2, keys=["lie"])),
                SnapshotCommit(1, 3),
                SnapshotCommit(1, 4),
                SnapshotRange(1, "z", "zz", True, batch(5, keys=["z~"])),
            ],
            id="commit twice",
        ),
    ],
)
def test_parts_of_a_snapshot_in_a_wrong_order_end_nothing(messages):
    with world() as here:
        a, b = here.nodes
        a.put("key", 1)
        here.liar.say(a, *messages)
        here.cluster.run(1)

        assert here.goes_on()
        assert a.get("key") == b.get("key") == 1


def test_stamps_at_the_end_of_time_leave_the_clock_where_it_is():
    with world() as here:
        a, b = here.nodes
        here.liar.say(a, batch(siblings=[(0, 1, U64_MAX, U64_MAX, ONE, 0)]))
        here.cluster.run(1)

        assert a.get("lie") == b.get("lie") == 1
        year_ms = 365 * 86_400_000
        ahead_ms = (a.running().engine.replica.clock >> 16) - a.clock.now().wall_ms
        assert ahead_ms < year_ms
        assert here.goes_on()


def test_reports_of_invented_members_are_kept_up_to_a_limit_and_passed_on_within_one_message():
    with world() as here:
        a, b = here.nodes
        for number in range(4):
            ghosts = {f"ghost-{number}-{n}": Report(0, {GHOST: DotSet(n)}) for n in range(1_000)}
            here.liar.say(a, Have(1, {}, {}, {}, DIGEST, frozenset(), ghosts))
            here.cluster.run(1)
        here.cluster.run(120)

        assert len(a.peers()) == len(b.peers()) == MEMBERS_MAX
        assert here.told("peer.refused") == []
        assert here.goes_on()


def test_reports_that_fill_messages_are_told_in_parts():
    """What an honest node passes on must never be too large for an honest one to take."""
    with world() as here:
        a, _ = here.nodes
        for number in range(8):
            names = [Origin("g" * 200, 1_000 * number + n) for n in range(1_000)]
            ghosts = {f"ghost-{number}-{part}": {o: DotSet(1) for o in names} for part in range(4)}
            reports = {name: Report(0, have) for name, have in ghosts.items()}
            here.liar.say(a, Have(1, {}, {}, {}, DIGEST, frozenset(), reports))
            here.cluster.run(1)
        here.cluster.run(300)

        assert here.told("message.oversized") == []
        assert here.told("peer.refused") == []
        assert here.goes_on()


def test_a_greeting_that_comes_again_changes_nothing():
    with world() as here:
        a, _ = here.nodes
        here.liar.say(a, *[replace(here.liar.greeting, nonce=n) for n in range(50)])
        here.cluster.run(1)

        assert sorted(a.running().engine.connections.active) == ["mallory", "node-b"]
        assert here.goes_on()


@pytest.mark.parametrize(
    "message",
    [
        Ack([], {}, 1),
        batch(),
        Have(1, {}, {}, {}, DIGEST, frozenset(), {}),
        Ping(1),
        Pong(1),
        Bye(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_who_speaks_before_its_greeting_is_refused(message: Message):
    with world() as here:
        a, _ = here.nodes
        here.liar.is_silent = True
        here.liar.meet(a)
        here.cluster.run(0.1)
        here.liar.say(a, message)
        here.cluster.run(1)

        assert "before the greeting" in here.told("peer.refused")[0]
        assert here.goes_on()


def test_pings_and_farewells_without_end_are_answered_and_no_more():
    with world() as here:
        a, _ = here.nodes
        for _ in range(20):
            here.liar.say(a, *[Ping(n) for n in range(10)])
            here.cluster.run(0.1)
        assert 0 < len(here.liar.told(a, Pong)) <= 200
        here.liar.say(a, Bye(), Bye(), Ping(1))
        here.cluster.run(1)

        assert here.goes_on()

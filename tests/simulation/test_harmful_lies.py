"""Lies that did harm once: what each of them led to, and that it does so no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.siblings import KeyState
from softadastra.sync.messages import (
    Bye,
    Have,
    Reject,
    RejectReason,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.session import SILENCE_MAX_MS
from tests.simulation.lies import LIAR, ONE, U64_MAX, batch, origin_of, world

DIGEST = bytes(16)


def ghosts(first: int, count: int) -> list[Origin]:
    return [Origin("ghost", first + n) for n in range(count)]


def test_a_write_over_the_last_stamp_and_version_is_taken_and_arrives():
    """It raised OverflowError out of `put`, for ever."""
    with world() as here:
        a, b = here.nodes
        here.liar.say(a, batch(siblings=[(0, 1, U64_MAX, U64_MAX, ONE, 0)]))
        here.cluster.run(1)
        here.liar.say(a, Bye())
        a.put("lie", "corrected")
        here.cluster.run(1)
        b.put("lie", "again")

        assert here.goes_on()
        assert a.get("lie") == b.get("lie") == "again"


@pytest.mark.parametrize(
    "have",
    [
        pytest.param(DotSet(10**12), id="from the first on"),
        pytest.param(DotSet(0, [(5, 10**12)]), id="above a gap"),
        pytest.param(DotSet(U64_MAX), id="to the last"),
    ],
)
def test_a_snapshot_that_claims_more_than_memory_holds_ends_no_node(have):
    """Its commit was made durable, then ran out of memory: at each start again."""
    with world() as here:
        a, _ = here.nodes
        here.liar.say(
            a,
            SnapshotBegin(1, 1, {LIAR: have}, {}),
            SnapshotRange(1, None, "z", True, batch(2)),
            SnapshotCommit(1, 3),
        )
        here.cluster.run(1)

        assert "more, at most" in here.told("peer.refused")[0]
        a.kill()
        a.restart()
        assert here.goes_on()


def test_a_snapshot_with_writes_of_the_receiver_that_it_never_made_moves_no_number():
    with world() as here:
        a, _ = here.nodes
        a.put("key", 1)
        here.liar.say(
            a,
            SnapshotBegin(1, 1, {origin_of(a): DotSet(1_000)}, {}),
            SnapshotRange(1, None, "z", True, batch(2)),
            SnapshotCommit(1, 3),
        )
        here.cluster.run(1)

        assert "which made 1" in here.told("peer.refused")[0]
        assert a.put("key", 2)[4] == 2
        assert here.goes_on()


def test_writers_that_are_merely_named_fill_no_memory():
    with world() as here:
        a, _ = here.nodes
        for number in range(3):
            have = {origin: DotSet(1) for origin in ghosts(number * 10_000, 10_000)}
            here.liar.say(a, Have(1, have, {}, {}, DIGEST, frozenset(), {}))
            here.cluster.run(0.1)

        assert len(a.running().engine.replica.origins) < 15_000
        assert here.goes_on()


def test_writers_beyond_what_a_greeting_can_name_are_refused_and_part_nobody():
    """A have of more than 16,384 origins is refused by every peer: honest nodes were parted."""
    with world() as here:
        a, _ = here.nodes
        for number in range(5):
            names = ghosts(number * 4_000, 4_000)
            keys = [f"ghost/{origin.incarnation}" for origin in names]
            siblings = [(position, 1, 5, 1, ONE, 0) for position in range(len(names))]
            here.liar.say(a, batch(number + 1, origins=names, keys=keys, siblings=siblings))
            here.cluster.run(0.1)

        assert "more writers" in here.told("peer.refused")[0]
        assert here.goes_on()


def test_a_context_beyond_what_a_batch_can_name_is_refused_and_parts_nobody():
    with world() as here:
        a, _ = here.nodes
        for number in range(3):
            names = [LIAR, *ghosts(number * 8_000, 8_000)]
            state = KeyState(((0, number + 1, 10, 1, ONE, 0),), dict.fromkeys(range(1, 8_001), 1))
            here.liar.say(a, batch(number + 1, origins=names, states=[state]))
            here.cluster.run(0.1)

        assert "more writers" in here.told("peer.refused")[0]
        assert here.goes_on()


def test_a_connection_that_changes_its_name_is_refused_and_blocks_nobody():
    """The name that it left stood as connected for ever, and was dialled no more."""
    with world(3, topology="line") as here:
        a, _, c = here.nodes
        here.liar.say(a, replace(here.liar.greeting, node_id="node-c"))
        here.cluster.run(1)
        here.liar.say(a, here.liar.greeting)
        here.cluster.run(SILENCE_MAX_MS / 1000 + 1)

        assert here.told("peer.refused")
        assert "node-c" not in a.running().engine.connections.active
        a.connect(c)
        here.cluster.run(5)
        assert "node-c" in a.running().engine.connections.active
        assert here.goes_on()


def test_what_a_member_that_left_has_claimed_does_not_hold_back_collection_for_ever():
    with world(max_offline=300.0) as here:
        a, b = here.nodes
        here.liar.meet(a, have={Origin("ghost", 1): DotSet(9)})
        here.cluster.run(1)
        here.liar.say(a, Bye())
        a.put("key", 1)
        a.remove("key")
        here.cluster.run(1_800)

        assert not a.running().engine.replica.tombstones
        assert not b.running().engine.replica.tombstones
        assert here.goes_on()


def test_a_digest_that_is_wrong_each_time_is_told_once_a_minute():
    with world() as here:
        a, _ = here.nodes
        here.cluster.run(5)
        have = a.running().engine.have()
        for number in range(50):
            here.liar.say(a, Have(1, have, {}, {}, bytes([number]) * 16, frozenset(), {}))
            here.cluster.run(0.1)

        assert len(here.told("digest.differed")) == 1
        assert here.goes_on()


def test_who_is_refused_later_than_at_the_greeting_is_told_why():
    with world() as here:
        a, _ = here.nodes
        here.liar.say(a, batch(origins=[origin_of(a)], siblings=[(0, 9, 10, 1, ONE, 0)]))
        here.cluster.run(1)

        (told,) = here.liar.told(a, Reject)
        assert isinstance(told, Reject)
        assert told.reason is RejectReason.PROTOCOL
        assert told.words in here.told("peer.refused")[0]


def test_bytes_that_are_no_message_are_answered_with_what_is_wrong():
    with world() as here:
        a, _ = here.nodes
        here.liar.utter(a, b"\x93\x01\x63" + "é".encode() * 2_000)
        here.cluster.run(1)

        assert here.liar.told(a, Reject)
        assert here.goes_on()

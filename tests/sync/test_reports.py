"""What a node tells its peers of others: as much as fits, and each in turn."""

from __future__ import annotations

import pytest

from softadastra.runtime.waiting import is_synced
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.sync.membership import REPORTS_BYTES_MAX, size_of
from softadastra.sync.messages import Have, Haves, Report
from softadastra.sync.records import Forgotten
from tests.engines import Network

LARGE: Haves = {Origin(f"writer-{i:03}", i): DotSet(1) for i in range(500)}
FITTING = REPORTS_BYTES_MAX // size_of("other-000", LARGE)
HAVE_INTERVAL_MAX_MS = 39_500
"""Of 30 s, a third more, and what gathers before."""


def knowing(others: int) -> tuple[Network, int]:
    """Give a node that is to tell its peer of so many others, and their link."""
    network = Network("teller", "peer")
    link = network.join("teller", "peer")
    hear_of(network, [f"other-{i:03}" for i in range(others)])
    return network, link


def hear_of(network: Network, names: list[str]) -> None:
    teller = network["teller"]
    reports = {name: Report(0, LARGE) for name in names}
    teller.engine.membership.hear_of(reports, (), teller.now)


def told(network: Network) -> list[set[str]]:
    """Give of whom each HAVE with others told the peer."""
    return [
        set(message.known)
        for sender, _, message in network.sent
        if isinstance(message, Have) and sender == "teller" and message.known
    ]


@pytest.mark.parametrize("others", [1, FITTING, FITTING + 1, 4 * FITTING, 4 * FITTING + 3])
def test_each_is_told_of_before_any_is_told_of_twice(others):
    network, _ = knowing(others)
    haves = -(-others // FITTING)

    network.advance(haves * HAVE_INTERVAL_MAX_MS, step=250)

    first = told(network)[:haves]
    assert [len(names) for names in first] == [min(others, FITTING)] * haves
    assert len(set.union(*first)) == others


@pytest.mark.parametrize("name", ["till\n", "\x1b[2J", "a\x7f", "\x9b31m"])
def test_who_is_reported_by_a_name_that_terminals_obey_becomes_no_member(name):
    """Nobody can greet by it, and every table and metric of peers would show it."""
    network, _ = knowing(0)
    hear_of(network, [name, "till"])

    members = network["teller"].engine.members
    assert "till" in members
    assert name not in members


def test_who_is_new_gets_a_turn_and_who_is_forgotten_takes_nobodys():
    network, _ = knowing(3 * FITTING)
    network.advance(1_000, step=250)
    session = network["teller"].engine.connections.of_peer("peer")
    assert session is not None
    begin = session.reports_begin
    assert begin is not None
    network["teller"].commit(Forgotten(begin))
    hear_of(network, ["new"])
    network.sent.clear()

    network.advance(4 * HAVE_INTERVAL_MAX_MS, step=250)

    everybody = {f"other-{i:03}" for i in range(3 * FITTING)} - {begin} | {"new"}
    assert set.union(*told(network)) == everybody


def test_of_whom_a_have_told_that_a_full_connection_did_not_take_the_next_one_tells():
    network, link = knowing(3 * FITTING)
    network.advance(1_000, step=250)
    teller = network["teller"]
    (not_taken,) = (
        message
        for _, _, message in network.sent
        if isinstance(message, Have) and len(message.known) == FITTING
    )
    network.sent.clear()

    teller.engine.unsent(link, not_taken, teller.now)
    network.advance(HAVE_INTERVAL_MAX_MS, step=250)

    assert told(network) == [set(not_taken.known)]


def test_one_who_has_more_than_a_message_holds_keeps_nobody_from_being_told_of():
    network, _ = knowing(3)
    immense = {Origin("writer", 1): DotSet(1, [(2 * i, 2 * i) for i in range(2, 40_000)])}
    teller = network["teller"]
    teller.engine.membership.hear_of({"other-001": Report(0, immense)}, (), teller.now)

    network.advance(1_000, step=250)

    assert told(network) == [{"other-000", "other-002"}]


def test_nobody_is_told_of_those_whom_he_is_connected_to_until_they_have_gone():
    """They speak for themselves: in a mesh of n, each HAVE would hold n times n haves."""
    network = Network("teller", "peer", "third")
    link = network.join("peer", "third")
    network.join("teller", "third")
    network.join("teller", "peer")
    network.advance(1_000, step=250)
    network.sent.clear()

    network.advance(2 * HAVE_INTERVAL_MAX_MS, step=250)

    assert told(network) == []
    network.drop(link)
    network.advance(HAVE_INTERVAL_MAX_MS, step=250)
    assert {"third"} in told(network)


def test_a_node_that_only_others_meet_is_waited_for_by_name_alone():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("b", "c")
    network.advance(2 * HAVE_INTERVAL_MAX_MS, step=250)
    members = network["a"].engine.members
    assert {member.node_id for member in members} == {"b", "c"}

    network["a"].write(("key", "value"))
    network.run()

    assert network["c"].get("key") == "value"
    assert is_synced(members, 1, "all")
    assert not is_synced(members, 1, frozenset({"c"}))
    network.advance(2 * HAVE_INTERVAL_MAX_MS, step=250)
    assert is_synced(members, 1, frozenset({"b", "c"}))


def test_where_a_clock_is_set_back_words_do_not_become_newer_than_they_are():
    """Told at once of whom it had last heard in the future, its peers believed it over all else."""
    network = Network("a", "b", "c", "d")
    network.join("a", "b")
    network.join("b", "c")
    network.join("a", "d")
    network.advance(2 * HAVE_INTERVAL_MAX_MS, step=250)
    network["a"].skew_ms = -86_400_000
    network["c"].write(("key", "value"))
    network.advance(500, step=250)
    network.sent.clear()

    network.advance(4 * HAVE_INTERVAL_MAX_MS, step=250)

    ages = [
        message.known["c"].age_ms
        for sender, _, message in network.sent
        if sender == "a" and isinstance(message, Have) and "c" in message.known
    ]
    origins = network["a"].engine.replica.origins
    (number,) = [n for n in range(len(origins)) if origins[n].node_id == "c"]
    known = network["a"].engine.membership.collector.known["c"]
    assert ages
    assert min(ages) > 0
    assert known[number] == DotSet(1)

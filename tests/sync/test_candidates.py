"""Peers that somebody says are there: tried, bounded, and never believed before they greet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import pytest

from softadastra.sync.dialing import (
    ANNOUNCED_AGAIN_MS,
    CANDIDATES_MAX,
    Attempt,
    Dialer,
)
from softadastra.sync.engine import MEMBERS_FOUND_MAX
from softadastra.sync.members import Member
from softadastra.sync.messages import Reject
from softadastra.sync.settings import CONNECTED_MAX
from softadastra.sync.status import peer_statuses
from softadastra.types import Peer, PeerSource, PeerState, PeerStatus
from tests.engines import Network, Node

RETRY_MAX_MS = 5_000


def dialer() -> Dialer:
    return Dialer(retry_max_ms=RETRY_MAX_MS, jitter=lambda: 0.0)


def peer(node_id: str, place: int = 2) -> Peer:
    return Peer(node_id, f"10.0.0.{place}", 4041)


def fail(table: Dialer, attempts: Iterable[Attempt], now_ms: int) -> None:
    """Have what is dialled be refused at once."""
    for attempt in attempts:
        attempt.link = 1_000_000 + now_ms
        table.lost(attempt, "connection refused", now_ms)


def dials(table: Dialer, until_ms: int, connected: Iterable[str] = ()) -> list[tuple[int, Peer]]:
    """Let everything that is dialled be refused, and give what was dialled, and when."""
    dialled = []
    while (now_ms := table.deadline(set(connected))) is not None and now_ms < until_ms:
        due = table.due(now_ms, set(connected))
        assert due, "the deadline is the time of a dial"
        dialled += [(now_ms, attempt.peer) for attempt in due]
        fail(table, due, now_ms)
    return dialled


def test_a_found_peer_is_dialled_at_once() -> None:
    table = dialer()
    assert table.propose([peer("b")], 100)

    assert table.deadline(set()) == 100
    assert [attempt.peer for attempt in table.due(100, set())] == [peer("b")]


def test_its_addresses_have_their_turns() -> None:
    table = dialer()
    table.propose([peer("b", 2), peer("b", 3)], 0)

    assert dials(table, 1_000) == [
        (0, peer("b", 2)),
        (100, peer("b", 3)),
        (200, peer("b", 2)),
        (300, peer("b", 3)),
        (500, peer("b", 2)),
        (600, peer("b", 3)),
    ]


def test_one_that_never_answers_is_tried_once_a_minute_in_the_end() -> None:
    table = dialer()
    table.propose([peer("b")], 0)

    times = [time_ms for time_ms, _ in dials(table, 3_600_000)]

    assert times[-1] - times[-2] == 60_000
    assert len(times) < 75


def test_candidates_are_dialled_ten_a_second_however_many_there_are() -> None:
    table = dialer()
    for n in range(20_000):
        table.propose([peer(f"forged-{n}", n % 250)], n)
    assert len(table.candidates) == CANDIDATES_MAX

    dialled = dials(table, 60_000)

    assert len(dialled) == 600
    assert len({target.node_id for _, target in dialled}) == CANDIDATES_MAX


def test_named_peers_are_dialled_in_the_midst_of_a_flood() -> None:
    table = dialer()
    for n in range(20_000):
        table.propose([peer(f"forged-{n}")], 0)
    table.add(peer("named"), 0)

    assert [a.peer.node_id for a in table.due(0, set())] == ["named", "forged-0"]
    assert peer("named") in [attempt.peer for attempt in table.due(50, set())]


def test_candidates_are_not_dialled_beyond_64_connections_and_named_peers_are() -> None:
    table = dialer()
    table.propose([peer("found")], 0)
    table.add(peer("named"), 0)
    many = {f"peer-{n}" for n in range(CONNECTED_MAX)}
    few = set(list(many)[1:])

    assert [a.peer.node_id for a in table.due(0, many)] == ["named"]
    assert table.deadline(many | {"named"}) is None
    assert table.deadline(few | {"named"}) is None
    assert table.deadline(few) == 0
    assert "found" in [a.peer.node_id for a in table.due(0, few)]


def test_links_that_are_being_made_count_as_connections() -> None:
    table = dialer()
    for n in range(100):
        table.propose([peer(f"silent-{n}")], 0)
    for now_ms in range(0, 20_000, 100):
        for attempt in table.due(now_ms, set()):
            attempt.link = now_ms + 1  # it never comes to an end

    links = [c.attempt.link for c in table.candidates.values() if c.attempt.link is not None]
    assert len(links) == CONNECTED_MAX


def test_a_connected_peer_is_not_dialled_because_it_is_found() -> None:
    table = dialer()
    table.propose([peer("b")], 0)

    assert table.due(0, {"b"}) == []
    assert table.deadline({"b"}) is None


def test_the_address_that_people_named_is_not_dialled_twice_nor_replaced() -> None:
    table = dialer()
    table.add(peer("b", 2), 0)
    table.propose([peer("b", 2), peer("b", 66)], 0)

    dialled = dials(table, 20_000)

    assert {target for _, target in dialled} == {peer("b", 2), peer("b", 66)}
    named = [time_ms for time_ms, target in dialled if target == peer("b", 2)]
    assert max(b - a for a, b in pairwise(named)) == RETRY_MAX_MS
    assert table.attempts["b"].peer == peer("b", 2)


def test_an_address_that_is_new_is_tried_at_once_and_first() -> None:
    table = dialer()
    table.propose([peer("b", 2)], 0)
    dials(table, 100_000)

    table.propose([peer("b", 2), peer("b", 9)], 100_000)

    assert [attempt.peer for attempt in table.due(100_000, set())] == [peer("b", 9)]


def test_a_new_address_waits_for_the_end_of_the_dial_that_is_under_way() -> None:
    table = dialer()
    table.propose([peer("b", 2)], 0)
    (attempt,) = table.due(0, set())
    attempt.link = 1

    table.propose([peer("b", 9)], 1_000)
    assert table.due(1_000, set()) == []
    assert table.of_link(1) is attempt
    assert attempt.peer == peer("b", 2)
    table.lost(attempt, "timed out", 5_000)

    assert [a.peer for a in table.due(5_100, set())] == [peer("b", 9)]


@pytest.mark.parametrize("is_known", [False, True])
def test_one_that_announces_itself_again_is_dialled_at_once_but_once_a_second(
    is_known: bool,
) -> None:
    table = dialer()
    if is_known:
        table.add(peer("b"), 0, is_learned=True)
    table.propose([peer("b")], 0)
    dials(table, 1_000_000)

    table.propose([peer("b")], 1_000_000)
    assert table.deadline(set()) == 1_000_000

    times = []
    for now_ms in range(1_000_000, 1_010_000, 10):
        table.propose([peer("b")], now_ms)
        due = table.due(now_ms, set())
        times += [now_ms] * len(due)
        fail(table, due, now_ms)
    assert [b - a for a, b in pairwise(times)] == [ANNOUNCED_AGAIN_MS] * 9


def test_one_that_is_withdrawn_is_dialled_no_more() -> None:
    table = dialer()
    table.propose([peer("b")], 0)

    table.withdraw("b")
    table.withdraw("nobody")

    assert table.deadline(set()) is None
    assert table.candidates == {}


def test_one_that_is_withdrawn_while_it_is_dialled_may_end_that() -> None:
    table = dialer()
    table.propose([peer("b")], 0)
    (attempt,) = table.due(0, set())
    attempt.link = 1

    table.withdraw("b")
    assert table.of_link(1) is attempt
    table.lost(attempt, "timed out", 10)

    assert table.candidates == {}


def test_those_that_are_withdrawn_while_they_are_dialled_keep_nobody_out() -> None:
    table = dialer()
    for n in range(CANDIDATES_MAX):
        table.propose([peer(f"forged-{n}")], 0)
    (attempt,) = table.due(0, set())
    attempt.link = 1
    assert not table.propose([peer("b")], 0)

    table.withdraw("forged-0")

    assert table.propose([peer("b")], 0)


def test_one_that_is_found_again_while_it_is_dialled_stays() -> None:
    table = dialer()
    table.propose([peer("b")], 0)
    (attempt,) = table.due(0, set())
    attempt.link = 1
    table.withdraw("b")
    table.propose([peer("b")], 5)

    table.lost(attempt, "timed out", 10)

    assert table.deadline(set()) is not None


def test_whom_people_have_disconnected_is_not_dialled_because_he_is_found() -> None:
    table = dialer()
    table.propose([peer("b")], 0)
    (attempt,) = table.due(0, set())
    attempt.link = 7

    assert table.remove("b") == [7]
    assert not table.propose([peer("b")], 0)
    assert table.deadline(set()) is None

    table.add(peer("b"), 0)
    assert table.propose([peer("b", 9)], 0)


def test_an_address_that_was_learned_is_tried_more_rarely_than_one_that_was_named() -> None:
    table = dialer()
    table.add(peer("b"), 0, is_learned=True)
    learned = [time_ms for time_ms, _ in dials(table, 600_000)]
    assert learned[-1] - learned[-2] == 60_000

    table.add(peer("b"), 600_000)
    named = [time_ms for time_ms, _ in dials(table, 700_000)]
    assert named[-1] - named[-2] == RETRY_MAX_MS


class Lan:
    """Nodes at addresses, which dial each other.

    Args:
        names: of the nodes; each is at the address `peer(name, its place)`, from 1.
    """

    def __init__(self, *names: str) -> None:
        self.network = Network(*names)
        self.at: dict[tuple[str, int], str] = {}
        for place, name in enumerate(names, 1):
            self.at[(peer(name, place).host, 4041)] = name

    def __getitem__(self, name: str) -> Node:
        return self.network[name]

    def run(self, milliseconds: int) -> None:
        end_ms = self.network.now_ms + milliseconds
        while self.network.now_ms < end_ms:
            for node in self.network.nodes.values():
                self._dial(node)
            self.network.run()
            self.network.now_ms += 50

    def _dial(self, node: Node) -> None:
        engine = node.engine
        for attempt in engine.dialer.due(self.network.now_ms, engine.connections.active):
            name = self.at.get((attempt.peer.host, attempt.peer.port))
            if name is None:
                attempt.link = next(self.network._numbers)
                engine.connections.down(attempt.link, "timed out", node.now)
            else:
                attempt.link = self.network.join(node.name, name)

    def shown(self, name: str) -> Mapping[str, PeerStatus]:
        node = self.network[name]
        return {status.node_id: status for status in peer_statuses(node.engine, node.now)}


def test_two_nodes_that_find_each_other_are_in_step() -> None:
    lan = Lan("a", "b")
    lan["a"].write(("k", 1))
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan["b"].engine.propose([peer("a", 1)], lan["b"].now)

    lan.run(2_000)

    assert lan["b"].items() == {"k": 1}
    for name, other in (("a", "b"), ("b", "a")):
        shown = lan.shown(name)[other]
        assert (shown.source, shown.state) == (PeerSource.MDNS, PeerState.CONNECTED)
        assert shown.host


def test_who_was_found_and_has_not_greeted_is_shown_and_is_nobody() -> None:
    lan = Lan("a")
    node = lan["a"]
    node.write(("k", 1))
    node.engine.propose([peer("ghost", 77)], node.now)
    lan.run(2_000)

    shown = lan.shown("a")["ghost"]
    assert (shown.source, shown.state) == (PeerSource.MDNS, PeerState.AVAILABLE)
    assert (shown.host, shown.port, shown.last_error) == ("10.0.0.77", 4041, "timed out")
    assert "ghost" not in node.engine.members
    assert node.state.per_peer == {}
    assert len(node.log) == 1  # the write


def test_a_peer_that_has_dialled_is_not_shown_where_somebody_says_that_it_is() -> None:
    lan = Lan("a", "b")
    node = lan["a"]
    lan["b"].engine.propose([peer("a", 1)], lan["b"].now)
    lan.run(1_000)
    session = node.engine.connections.of_peer("b")
    assert session is not None
    session.host = peer("b", 2).host  # as a transport tells it

    node.engine.propose([peer("b", 66)], node.now)
    shown = lan.shown("a")["b"]
    assert (shown.host, shown.port, shown.source) == ("", 0, PeerSource.MDNS)

    node.engine.propose([peer("b", 66), peer("b", 2)], node.now)
    shown = lan.shown("a")["b"]
    assert (shown.host, shown.port, shown.source) == ("10.0.0.2", 4041, PeerSource.MDNS)


def test_a_peer_that_greeted_where_it_was_found_is_remembered_there() -> None:
    lan = Lan("a", "b")
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(1_000)
    lan["a"].restart()

    member = lan["a"].engine.members["b"]
    assert (member.host, member.port, member.source) == ("10.0.0.2", 4041, PeerSource.MDNS)
    assert member.accepted


def test_a_forged_address_where_another_node_answers_is_refused_and_remembered_by_nobody() -> None:
    lan = Lan("a", "b", "c")
    lan["a"].engine.propose([peer("b", 3), peer("b", 2)], lan["a"].now)
    lan.run(2_000)

    assert set(lan["a"].engine.connections.active) == {"b"}
    assert lan["a"].engine.members["b"].host == "10.0.0.2"
    assert "c" not in lan["a"].engine.members
    assert {a for a, b in lan.network.messages(Reject)} == {"a"}


def test_a_forged_address_of_a_connected_peer_changes_nothing() -> None:
    lan = Lan("a", "b", "c")
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(1_000)
    before = lan["a"].engine.connections.active["b"]

    lan["a"].engine.propose([peer("b", 3)], lan["a"].now)
    lan.run(5_000)

    assert lan["a"].engine.connections.active["b"] == before
    assert lan["a"].engine.members["b"].host == "10.0.0.2"
    assert lan["a"].engine.dialer.attempts["b"].peer == peer("b", 2)


def test_a_peer_that_moved_is_followed_and_its_old_address_forgotten() -> None:
    lan = Lan("a", "b")
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(1_000)
    lan.network.cut(lan["b"])
    del lan.at["10.0.0.2", 4041]
    lan.at["10.0.0.9", 4041] = "b"

    lan["a"].engine.propose([peer("b", 9)], lan["a"].now)
    lan.run(2_000)

    assert "b" in lan["a"].engine.connections.active
    assert lan["a"].engine.members["b"].host == "10.0.0.9"
    assert lan["a"].engine.dialer.attempts["b"].peer == peer("b", 9)


def test_a_named_peer_that_is_found_elsewhere_is_connected_and_stays_named_as_it_was() -> None:
    lan = Lan("a", "b")
    named = lan["a"].engine.register(peer("b", 55), PeerSource.MANUAL, lan["a"].now)
    assert named is not None
    lan["a"].commit(named)
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(2_000)

    shown = lan.shown("a")["b"]
    assert (shown.source, shown.host, shown.state) == (
        PeerSource.MANUAL,
        "10.0.0.55",
        PeerState.CONNECTED,
    )
    assert lan["a"].engine.dialer.attempts["b"].peer == peer("b", 55)


def test_a_proven_address_is_dialled_again_when_the_connection_is_lost() -> None:
    lan = Lan("a", "b")
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(2_000)
    lan["a"].engine.dialer.withdraw("b")  # as when its record is over
    lan.network.cut(lan["b"])

    lan.run(500)

    assert "b" in lan["a"].engine.connections.active


def test_disconnecting_a_found_peer_ends_its_connection_and_it_is_not_dialled_again() -> None:
    lan = Lan("a", "b")
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(2_000)

    lan["a"].engine.connections.disconnect("b", lan["a"].now)
    lan["a"].engine.propose([peer("b", 2)], lan["a"].now)
    lan.run(10_000)

    assert lan["a"].engine.connections.active == {}
    assert "b" in lan["a"].engine.members


def test_nobody_becomes_a_member_by_being_found_when_there_are_256() -> None:
    lan = Lan("a")
    node = lan["a"]
    for n in range(MEMBERS_FOUND_MAX):
        node.engine.members.restore(Member(node_id=f"member-{n}", accepted=True))

    assert not node.engine.propose([peer("stranger")], node.now)
    assert node.engine.propose([peer("member-0")], node.now)


def test_this_node_is_never_proposed_to_itself() -> None:
    lan = Lan("a")

    assert not lan["a"].engine.propose([peer("a")], lan["a"].now)

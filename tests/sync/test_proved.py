"""Who has proved to be one node does not speak for another."""

from __future__ import annotations

import pytest

from softadastra.sync.messages import Hello
from softadastra.sync.notices import each
from softadastra.sync.status import peer_statuses
from softadastra.types import Peer
from tests.engines import Network


def join_proved(network: Network, *, says_dialler: str, says_listener: str) -> int:
    """Connect a and b over a connection on which both have proved to be somebody."""
    a, b = network["a"], network["b"]
    a.engine.connections.up(1, dialled=True, now=a.now, proved=says_listener)
    b.engine.connections.up(1, dialled=False, now=b.now, proved=says_dialler)
    network.links[1] = (a, b)
    return 1


def reasons(network: Network, node: str, event: str) -> list[str]:
    notices = each(network[node].engine.notices.waiting)
    return [str(each.fields["reason"]) for each in notices if each.event == event]


def test_nodes_that_are_who_they_have_proved_to_be_exchange_data():
    network = Network("a", "b")
    join_proved(network, says_dialler="a", says_listener="b")
    network["a"].write(("k", 1))
    network.run()

    assert network["b"].items() == {"k": 1}


@pytest.mark.parametrize("liar", ["who dials", "who was dialled"])
def test_a_greeting_of_another_name_than_was_proved_is_refused_and_named(liar: str):
    network = Network("a", "b")
    if liar == "who dials":
        join_proved(network, says_dialler="mallory", says_listener="b")
        honest, other, name = "b", "a", "a"
    else:
        join_proved(network, says_dialler="a", says_listener="mallory")
        honest, other, name = "a", "b", "b"
    network["a"].write(("from-a", 1))
    network["b"].write(("from-b", 1))
    network.run()

    words = f"the key of 'mallory' was proved, and {name!r} is what it says it is"
    assert reasons(network, honest, "peer.refused") == [words]
    assert reasons(network, other, "peer.rejected") == [f"rejected: unauthorized: {words}"]
    assert network["a"].items() == {"from-a": 1}
    assert network["b"].items() == {"from-b": 1}
    assert network[honest].engine.members.get(name) is None


def test_a_later_greeting_is_checked_like_the_first():
    network = Network("a", "b")
    join_proved(network, says_dialler="a", says_listener="b")
    network.run()
    hello = next(m for a, _, m in network.sent if a == "a" and isinstance(m, Hello))
    b = network["b"]
    b.engine.connections.sessions[1].proved = "c"
    b.engine.receive(1, hello, b"", b.now)

    assert "the key of 'c' was proved" in reasons(network, "b", "peer.refused")[0]


def test_why_a_connection_ended_that_the_peer_dialled_shows_until_it_is_back():
    network = Network("a", "b")
    join_proved(network, says_dialler="a", says_listener="b")
    network.run()
    b = network["b"]
    b.engine.connections.down(1, "auth_failed: its key is not trusted here any more", b.now)
    (status,) = peer_statuses(b.engine, b.now)
    assert status.last_error == "auth_failed: its key is not trusted here any more"

    network.links.clear()
    network["a"].engine.connections.down(1, "closed", network["a"].now)
    network.join("a", "b")
    network.run()
    (status,) = peer_statuses(b.engine, b.now)
    assert status.last_error == ""


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "found"])
def test_who_is_waited_for_is_dialled_at_once_when_others_are_trusted(is_named):
    network = Network("a")
    dialer = network["a"].engine.dialer
    if is_named:
        dialer.add(Peer.local("b", 1), 0)
    else:
        assert dialer.propose([Peer.local("b", 1)], 0)
    (attempt,) = dialer.due(0, {})
    attempt.link = 7
    dialer.lost(attempt, "auth_failed: no", 0)
    assert dialer.due(100, {}) == []

    dialer.hurry(100)
    assert [attempt.peer.node_id for attempt in dialer.due(100, {})] == ["b"]

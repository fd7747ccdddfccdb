"""A batch of one write, as nearly always right behind a put, is what it would be among others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from softadastra.sync.batches import Limits, Load, Loader, build_batch
from softadastra.sync.delivery import Delivery
from softadastra.sync.messages import Batch
from softadastra.sync.session import Session
from tests.engines import Network, Node

ROOMY = Limits(64, 262_144)


def nothing(_key: str) -> bool:
    return False


def everything(_key: str) -> bool:
    return True


def both(
    node: Node, origin: str, n: int, withheld: Callable[[str], bool] = nothing
) -> tuple[Load | None, Load | None]:
    """Give what leaves for the peer of a node when it lacks one write, and what a loader makes."""
    replica = node.engine.replica
    (session,) = node.engine.connections.sessions.values()
    number = next(i for i, _ in replica.haves() if replica.origins[i].node_id == origin)
    wanted = [(number, (n, n))]
    built = build_batch(
        replica, wanted, batch_id=9, receiver=session, limits=ROOMY, withheld=withheld
    )
    loader = Loader(replica, ROOMY, withheld)
    loader.load(number, n, n)
    return built, loader.batch(9, session)


@pytest.fixture
def network():
    network = Network("a", "b")
    network["b"].write(("b's", 1))
    network["b"].restart()
    network["b"].write(("b's", 2))
    network["a"].restart()
    network["a"].write(("k", 1), ("l", 2))
    network["a"].write(("l", 3))
    network["a"].remove("k")
    network.join("a", "b")
    network.run()
    return network


def test_an_own_write_is_batched_as_a_loader_would(network):
    built, loaded = both(network["a"], "a", 3)

    assert built == loaded
    assert built is not None
    assert built.batch.lives, "of an origin with several lives, which are told"
    assert (built.batch.keys, built.covers, built.writes) == (["l"], [(0, (3, 3))], 1)


def test_a_remove_is_batched_as_a_loader_would(network):
    built, loaded = both(network["a"], "a", 4)

    assert built == loaded is not None


def test_a_write_of_another_node_is_batched_as_a_loader_would(network):
    built, loaded = both(network["a"], "b", 2)

    assert built == loaded
    assert built is not None
    assert [origin.node_id for origin in built.batch.origins] == ["b"]


def test_a_superseded_write_goes_with_the_one_that_superseded_it(network):
    built, loaded = both(network["a"], "a", 2)

    assert built == loaded
    assert built is not None
    assert built.batch.columns[1] == [3]
    assert built.covers == [(0, (2, 2)), (0, (3, 3))]


def test_a_write_of_a_key_with_a_context_goes_with_its_state(network):
    network["a"].write(("b's", 3))

    built, loaded = both(network["a"], "a", 5)

    assert built == loaded
    assert built is not None
    assert built.batch.states


def test_a_write_that_may_not_leave_yet_does_not(network):
    assert both(network["a"], "a", 3, withheld=everything) == (None, None)


def test_what_is_all_on_its_way_is_not_looked_for_again(network, monkeypatch):
    looks: list[Session] = []
    lacked = Delivery._lacked

    def counted(self: Delivery, session: Session):
        looks.append(session)
        return lacked(self, session)

    monkeypatch.setattr(Delivery, "_lacked", counted)
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    network["a"].write(("m", 1))

    assert network["a"].poll() == 1
    assert len(looks) == 1


def test_a_relayed_write_that_is_on_its_way_leaves_the_delay_to_the_next_one():
    """It is known to be had by the look behind it, so that look is not left out."""
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("a", "c")
    network.join("b", "c")
    network.run()
    network.passes = lambda _from, to, message: to.name != "c" or not isinstance(message, Batch)
    network["b"].write(("k", 1))
    network.run()
    network.advance(2_000, step=50)
    (session,) = (s for s in network["a"].engine.connections.sessions.values() if s.peer_id == "c")

    assert session.flights, "the delay is over, and it was relayed"
    assert session.relay_ms == {}

"""A conflict is settled by the values that the choice was made of, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from softadastra import Client, ClientOptions, InvalidStateError, Peer

from .eventually import eventually


def till_of(name: str) -> Client:
    options = ClientOptions.memory_only(name, conflict_policy="manual").with_local_transport()
    return Client(options)


def meet(here: Client, there: Client) -> None:
    assert there.transport_port is not None
    here.connect(Peer.local(there.options.node_id, there.transport_port))
    assert there.wait_synced(20)


@pytest.fixture
def node() -> Iterator[Client]:
    """A node on which k has the values of a and b, and the one of c is about to come."""
    with till_of("a") as a, till_of("b") as b:
        a.put("k", "of a")
        b.put("k", "of b")
        a.start_transport()
        b.start_transport()
        meet(a, b)
        eventually(lambda: a.conflicts())
        yield a


def seen_of(node: Client) -> list[str]:
    return [value.sync_id for value in node.conflicts()[0].values]


def test_a_choice_among_all_values_is_written(node: Client) -> None:
    result = node.resolve("k", "both", seen=seen_of(node))

    assert (node["k"], node.conflicts()) == ("both", [])
    assert result.sync_id == "a-2"


def test_a_choice_that_did_not_see_a_value_writes_nothing(node: Client) -> None:
    seen = seen_of(node)
    with till_of("c") as c:
        c.put("k", "of c")
        c.start_transport()
        meet(node, c)
        eventually(lambda: len(node.conflicts()[0].values) == 3)

        with pytest.raises(InvalidStateError, match="written meanwhile"):
            node.resolve("k", "both", seen=seen)

    assert {value.value for value in node.conflicts()[0].values} == {"of a", "of b", "of c"}
    assert node.resolve("k", "all", seen=seen_of(node)).status == "updated"


def test_a_conflict_is_settled_by_a_remove_that_saw_all_values(node: Client) -> None:
    assert node.remove("k", seen=seen_of(node))

    assert (node.get("k"), node.conflicts()) == (None, [])


def test_a_remove_that_did_not_see_a_value_removes_nothing(node: Client) -> None:
    """As when it comes between somebody's look and the choice."""
    first, *_ = seen_of(node)

    with pytest.raises(InvalidStateError, match="written meanwhile"):
        node.remove("k", seen=[first])

    assert {value.value for value in node.conflicts()[0].values} == {"of a", "of b"}


def test_a_conflict_that_a_remove_has_won_is_settled_by_a_remove() -> None:
    options = [ClientOptions.memory_only(name).with_local_transport() for name in "ab"]
    with Client(options[0]) as a, Client(options[1]) as b:
        a.put("k", "of a")
        b.put("k", "of b")
        b.remove("k")
        a.start_transport()
        b.start_transport()
        meet(b, a)
        eventually(lambda: a.conflicts() or b.conflicts())  # who decides it first lists it
        node = a if a.conflicts() else b
        assert "k" not in node

        assert node.remove("k", seen=seen_of(node))

        assert node.conflicts() == []


def test_a_remove_of_an_absent_key_writes_nothing_whatever_was_seen(node: Client) -> None:
    before = node.sync_state().last_submitted_version

    assert not node.remove("absent", seen=[])
    assert node.sync_state().last_submitted_version == before

"""What is kept of what was seen, for how long, and what is made of it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Container
from typing import Any

import pytest

from softadastra.discovery.announcement import SERVICE_TYPE, Announcement
from softadastra.discovery.changes import Change, Clashed, Found, Gone, TurnedAway
from softadastra.discovery.surroundings import (
    FOUND_MAX,
    LOOK_UP_INTERVAL_MS,
    LOOK_UPS_MAX,
    NAMES_MAX,
    Records,
    Surroundings,
)

HOUR_MS = 3_600_000


def full(label: str) -> str:
    return f"{label}.{SERVICE_TYPE}"


class Network:
    """What one node sees, its clock, and a responder that answers its look-ups.

    Args:
        met: whom it was ever connected to.
    """

    def __init__(self, met: Container[str] = ()) -> None:
        self.now_ms = 1_000_000
        own = Announcement(node_id="me", cluster="shop", protocol=1, port=4041)
        self.seen = Surroundings(own, lambda node_id: node_id in met)
        self.records: dict[str, Records] = {}
        self.look_ups: list[str] = []
        self.told: list[Change] = []

    def says(
        self,
        label: str,
        *,
        node_id: str | None = None,
        cluster: str = "shop",
        addresses: tuple[str, ...] = ("10.0.0.2",),
        port: int = 4042,
    ) -> None:
        """Have somebody announce a node."""
        own = Announcement(
            node_id=label if node_id is None else node_id, cluster=cluster, protocol=1, port=port
        )
        text = {key.encode(): value.encode() for key, value in own.text.items()}
        self.records[full(label)] = Records(
            host=f"{label}-host.local.", text=text, port=port, addresses=addresses
        )
        self.seen.seen(full(label), HOUR_MS, self.now_ms)
        self.seen.changed(full(label), self.now_ms)

    def step(self, milliseconds: int = 0) -> list[Change]:
        """Let time pass, do what is due, and give what is told."""
        self.now_ms += milliseconds
        self.seen.expire(self.now_ms)
        for name in list(self.seen.due(self.now_ms)):
            self.look_ups.append(name)
            self.seen.looked_up(name, self.records.get(name), self.now_ms)
        told = self.seen.take_changes(self.now_ms)
        self.told += told
        return told

    def run(self, milliseconds: int, step_ms: int = 100) -> list[Change]:
        told: list[Change] = []
        for _ in range(0, milliseconds, step_ms):
            told += self.step(step_ms)
        return told


def found(told: list[Change]) -> set[str]:
    return {change.node_id for change in told if isinstance(change, Found)}


def gone(told: list[Change]) -> set[str]:
    return {change.node_id for change in told if isinstance(change, Gone)}


def test_a_node_of_the_cluster_is_found_with_its_addresses() -> None:
    network = Network()
    network.says("node-b", addresses=("10.0.0.2", "fe80::2%3"), port=5000)

    assert network.step() == [Found("node-b", (("10.0.0.2", 5000), ("fe80::2%3", 5000)))]
    assert network.step(10_000) == []


@pytest.mark.parametrize(
    "record",
    [
        {"cluster": "other"},
        {"addresses": ()},
        {"port": 22},
        {"node_id": ""},
        {"node_id": "two\nlines"},
    ],
    ids=lambda record: next(iter(record)),
)
def test_what_is_no_peer_of_this_cluster_is_kept_quiet_about(record: dict[str, Any]) -> None:
    network = Network()
    network.says("node-b", **record)
    network.says("node-c")

    assert network.step() + network.step(200) == [Found("node-c", (("10.0.0.2", 4042),))]


def test_this_node_does_not_find_itself() -> None:
    network = Network()
    network.seen.call_own(full("me"), "my-host.local.")
    network.says("ME", node_id="me")

    assert network.run(1_000) == []
    assert network.look_ups == []


def test_this_node_that_was_seen_under_a_name_before_it_knew_of_it_is_forgotten() -> None:
    network = Network()
    network.seen.seen(full("me-2"), HOUR_MS, network.now_ms)

    network.seen.call_own(full("me-2"), "my-host.local.")

    assert len(network.seen) == 0


def test_a_node_of_the_same_name_is_told_of_once_and_never_tried() -> None:
    network = Network()
    network.seen.call_own(full("me"), "my-host.local.")
    network.says("me-2", node_id="me", addresses=("10.0.0.9",))
    told = network.run(2_000)
    network.says("me-2", node_id="me", addresses=("10.0.0.9",))

    assert told + network.run(2_000) == [Clashed(("10.0.0.9",))]


def test_a_node_that_took_the_same_name_at_the_same_moment_is_told_of_once_a_minute() -> None:
    network = Network()
    network.seen.call_own(full("me"), "my-host.local.")
    network.seen.claimed(full("ME"), "My-Host.local.", network.now_ms)
    assert network.run(1_000) == []

    for _ in range(1_000):
        network.seen.claimed(full("me"), "other.local.", network.now_ms)
        network.seen.claimed(full("node-b"), "other.local.", network.now_ms)
        network.step(100)

    assert network.told == [Clashed(("other.local.",))] * 2


def test_a_moved_host_is_looked_up_again_and_told_anew() -> None:
    network = Network()
    network.says("node-b")
    network.run(2_000)
    network.records[full("node-b")] = Records(
        host="node-b-host.local.",
        text=network.records[full("node-b")].text,
        port=4042,
        addresses=("10.0.0.77",),
    )

    network.seen.moved("NODE-B-host.local.", network.now_ms)

    assert network.step() == [Found("node-b", (("10.0.0.77", 4042),))]


def test_two_who_claim_one_name_are_both_tried_in_turn() -> None:
    network = Network()
    network.says("node-b", addresses=("10.0.0.2", "10.0.0.3"))
    network.says("node-b-2", node_id="node-b", addresses=("10.0.0.66",))
    told = network.run(1_000)

    assert told[-1] == Found(
        "node-b", (("10.0.0.2", 4042), ("10.0.0.66", 4042), ("10.0.0.3", 4042))
    )


def test_a_forged_record_that_becomes_another_cluster_s_takes_only_itself_away() -> None:
    network = Network()
    network.says("node-b")
    network.says("node-b-2", node_id="node-b", addresses=("10.0.0.66",))
    network.run(2_000)

    network.says("node-b-2", node_id="node-b", cluster="other")

    assert network.run(2_000) == [Found("node-b", (("10.0.0.2", 4042),))]


def test_the_end_of_a_record_is_told_and_is_never_later_than_75_minutes() -> None:
    network = Network()
    network.says("node-b")
    network.seen.seen(full("node-b"), 10 * 365 * 24 * HOUR_MS, network.now_ms)
    network.step()

    assert network.step(75 * 60_000 - 1) == []
    assert network.step(1) == [Gone("node-b")]


def test_a_goodbye_is_asked_after_and_taken_back_by_an_answer() -> None:
    network = Network()
    network.says("node-b")
    network.step()
    network.seen.took_leave(full("node-b"), network.now_ms)
    assert network.seen.is_in_doubt
    assert network.step(10_000) == []
    network.seen.seen(full("node-b"), HOUR_MS, network.now_ms)

    assert network.run(60_000, 1_000) == []


def test_a_goodbye_that_nobody_objects_to_is_believed_after_a_while() -> None:
    network = Network()
    network.says("node-b")
    network.step()
    network.seen.took_leave(full("node-b"), network.now_ms)
    network.seen.took_leave(full("stranger"), network.now_ms)

    assert network.step(14_999) == []
    assert network.step(1) == [Gone("node-b")]


def test_a_name_that_nobody_answers_for_is_looked_up_more_and_more_rarely() -> None:
    network = Network()
    network.seen.seen(full("ghost"), HOUR_MS, network.now_ms)

    network.run(HOUR_MS - 1_000, 1_000)

    assert len(network.look_ups) <= 9
    assert network.told == []


def test_a_name_whose_records_change_all_the_time_is_looked_up_once_a_second() -> None:
    network = Network()
    network.says("node-b")
    for _ in range(1_000):
        network.seen.changed(full("node-b"), network.now_ms)
        network.step(10)

    assert 9 <= len(network.look_ups) <= 11


def test_look_ups_are_few_at_a_time_and_few_a_second() -> None:
    network = Network()
    for n in range(100):
        network.seen.seen(full(f"ghost-{n}"), HOUR_MS, network.now_ms)

    begun: list[str] = []
    for _ in range(20):
        begun += network.seen.due(network.now_ms)
        network.now_ms += LOOK_UP_INTERVAL_MS // 2

    assert len(begun) == LOOK_UPS_MAX
    assert network.seen.deadline() is not None
    network.seen.looked_up(begun[0], None, network.now_ms)
    assert len(list(network.seen.due(network.now_ms))) == 1

    busy = Network()
    for n in range(100):
        busy.says(f"node-{n}")
    busy.run(3_000, 10)
    assert 30 <= len(busy.look_ups) <= 32


def test_the_deadline_is_the_time_of_the_next_work() -> None:
    network = Network()
    assert network.seen.deadline() is None

    network.says("node-b")
    assert network.seen.deadline() == network.now_ms
    network.step()
    network.seen.seen(full("node-b"), 5_000, network.now_ms)
    assert network.seen.deadline() == network.now_ms + 5_000


def forged_names(count: int) -> list[str]:
    drawn = random.Random(7)
    return [f"forged-{drawn.getrandbits(64):016x}" for _ in range(count)]


def test_twenty_thousand_forged_names_take_bounded_memory_and_look_ups() -> None:
    names = forged_names(20_000)
    network = Network()
    tracemalloc.start()
    try:
        for name in names:
            network.seen.seen(full(name), HOUR_MS, network.now_ms)
            network.step(1)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(network.seen) == NAMES_MAX
    assert len(network.look_ups) <= 20_000 // LOOK_UP_INTERVAL_MS + 1
    assert size < 1 << 20
    assert found(network.told) == set()
    (flooded,) = [change for change in network.told if isinstance(change, TurnedAway)]
    assert flooded.count > 0
    assert network.seen.is_in_doubt


def test_an_honest_peer_is_found_after_a_flood_of_names() -> None:
    network = Network()
    for name in forged_names(20_000):
        network.seen.seen(full(name), HOUR_MS, network.now_ms)
        network.step(1)

    # The network is asked again, and it answers then.
    told: list[Change] = []
    for _ in range(20):
        network.says("node-b")
        told += network.run(10_000)
        if "node-b" in found(told):
            break

    assert "node-b" in found(told)


def test_complete_forged_peers_fill_the_table_and_an_honest_one_displaces_one_of_them() -> None:
    network = Network(met={"old-friend"})
    network.says("old-friend")
    network.step()
    for name in forged_names(2_000):
        network.says(name)
        network.step(LOOK_UP_INTERVAL_MS)
        assert network.seen.found_count <= FOUND_MAX
    assert network.seen.found_count == FOUND_MAX

    told: list[Change] = []
    for _ in range(20):
        network.says("node-b")
        told += network.run(10_000)
        if "node-b" in found(told):
            break

    assert "node-b" in found(told)
    assert "old-friend" not in gone(network.told)


def test_who_has_come_has_30_s_to_be_tried_before_others_want_his_room() -> None:
    network = Network()
    names = forged_names(FOUND_MAX + 250)
    for name in names[:FOUND_MAX]:
        network.says(name)
        network.step(LOOK_UP_INTERVAL_MS)
    assert network.seen.found_count == FOUND_MAX

    for name in names[FOUND_MAX:]:
        network.says(name)
    network.run(19_000)

    # The last hundred came within the ten seconds before.
    assert gone(network.told)
    assert not gone(network.told) & set(names[FOUND_MAX - 100 : FOUND_MAX])


def test_what_is_of_no_use_goes_before_peers_that_were_found() -> None:
    network = Network()
    network.says("node-b")
    network.says("stranger", cluster="other")
    network.run(1_000)
    for n in range(NAMES_MAX - 2):
        network.says(f"other-{n}", cluster="other")
    network.run(NAMES_MAX * LOOK_UP_INTERVAL_MS)

    network.says("node-c")
    told = network.run(1_000)

    assert found(told) == {"node-c"}
    assert gone(network.told) == set()
    assert len(network.seen) == NAMES_MAX


def test_another_network_has_everything_looked_at_again() -> None:
    network = Network()
    network.says("node-b", addresses=())
    assert network.run(2_000) == []
    network.says("node-b", addresses=("10.1.0.2",))
    network.seen.look_again(network.now_ms)

    assert found(network.run(2_000)) == {"node-b"}

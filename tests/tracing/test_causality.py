"""Whatever is there of the logs, and however wrong the clocks: causes come before effects."""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import pairwise
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from softadastra.sync.wire import encode
from softadastra.tracing.causality import order
from softadastra.tracing.logs import Logs, Point
from softadastra.tracing.sync_ids import parse_sync_id
from tests.engines import Network
from tests.tracing.logged import Recorder, journey, told

BEGIN_MS = 1_700_000_000_000
SKEW_MAX_MS = 366 * 86_400_000
SEEDS = 30

History: TypeAlias = tuple[tuple[str, dict[str, object]], ...]
"""Who noted what, as it truly was: one thread runs all nodes, so no effect is before its cause."""


@cache
def history(seed: int) -> History:
    """Run a few nodes over links that lose messages and are cut; give all that they noted."""
    chance = random.Random(seed)
    names = "abcd"[: chance.randint(2, 4)]
    network = Network(*names)
    recorder = Recorder(network)
    true: list[tuple[str, dict[str, object]]] = []

    def take(name: str) -> None:
        for level, event, fields in network[name].engine.notices.take():
            common = {"event": event, "level": level.name.lower(), "node_id": name}
            true.append((name, common | fields))

    network.passes = lambda _from, _to, _message: chance.random() > 0.1
    for a, b in pairwise(names):
        network.join(a, b)
    for turn in range(60):
        if turn % 10 == 0:
            recorder.write(chance.choice(names), f"k{chance.randint(0, 2)}", str(turn))
        if network.links and chance.random() < 0.05:
            network.close(chance.choice(list(network.links)))
        if chance.random() < 0.1:
            network.join(*chance.sample(names, 2))
        network.now_ms += chance.choice((0, 10, 700, 3_000))
        for _ in range(len(network.wire)):
            link, receiver, message = network.wire.popleft()
            if link in network.links:
                receiver.receive(link, encode(message))
            take(receiver.name)
            if not network.wire:
                break
        for name in chance.sample(names, len(names)):
            network[name].collect()
            network[name].poll()
            take(name)
    return tuple(true)


def logs_of(true: History, skews: dict[str, int], lost: set[int]) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for place, (name, event) in enumerate(true):
        if place not in lost:
            ts = BEGIN_MS + place + skews.get(name, 0)
            lines.setdefault(name, []).append(json.dumps(event | {"ts": ts}) + "\n")
    return lines


histories = st.integers(0, SEEDS).map(history)
skews_of_clocks = st.dictionaries(
    st.sampled_from("abcd"), st.integers(-SKEW_MAX_MS, SKEW_MAX_MS), max_size=4
)


@given(st.data(), histories, skews_of_clocks)
def test_no_effect_stands_before_its_cause(
    data: st.DataObject, true: History, skews: dict[str, int]
) -> None:
    lost = data.draw(st.sets(st.integers(0, len(true) - 1)))
    lines = logs_of(true, skews, lost)
    logs = Logs(parse_sync_id("a-1"))
    for name in data.draw(st.permutations(sorted(lines))):
        logs.read(name, lines[name])
    points = logs.points()

    found = order(points)

    def true_place(point: Point) -> int:
        return point.ts - BEGIN_MS - skews.get(point.node_id, 0)

    assert found.contradictions == []
    for numbers in found.numbers.values():
        assert all(earlier < later for earlier, later in pairwise(numbers))
    for delivery in found.deliveries:
        (sender, sent), (receiver, taken) = delivery.sender, delivery.receiver
        assert found.numbers[sender][sent] < found.numbers[receiver][taken]
        assert true_place(points[sender][sent]) < true_place(points[receiver][taken])


@given(st.data(), histories, skews_of_clocks)
def test_a_journey_is_the_same_whatever_the_clocks_and_the_order_of_files(
    data: st.DataObject, true: History, skews: dict[str, int]
) -> None:
    sync_ids = [event["sync_id"] for _, event in true if event["event"] == "write.accepted"]
    sync_id = str(data.draw(st.sampled_from(sync_ids)))
    lines = logs_of(true, skews, set())
    shuffled = {name: lines[name] for name in data.draw(st.permutations(sorted(lines)))}

    found = journey(shuffled, sync_id)

    assert told(found) == told(journey(logs_of(true, {}, set()), sync_id))
    for place, step in enumerate(found.steps):
        assert all(cause < place for cause in step.causes)


def test_the_histories_have_what_makes_an_order_hard() -> None:
    events = [event for seed in range(SEEDS) for _, event in history(seed)]

    assert any(e["event"] == "batch.retried" for e in events)
    assert any(e["event"] == "batch.merged" and e["again"] for e in events)
    assert any(e["event"] == "batch.confirmed" for e in events)
    assert any(e["event"] == "write.collected" for e in events)
    assert any(e["event"] == "conflict.lost" for e in events)


def line(node: str, event: str, **fields: object) -> str:
    common = {"event": event, "level": "debug", "node_id": node, "ts": BEGIN_MS}
    return json.dumps(common | fields) + "\n"


def of_batch(node: str, peer: str, event: str, **fields: object) -> str:
    facts: dict[str, object] = {"peer": peer, "connection": "c", "batch": 1, "sync_id": ["a-1"]}
    return line(node, event, **facts | fields)


def test_a_batch_that_came_twice_says_nothing_of_when_it_was_acknowledged() -> None:
    """Its first line is lost: the acknowledgement may be of that, long before the second time."""
    lines = {
        "a": [
            of_batch("a", "b", "batch.sent"),
            of_batch("a", "b", "batch.acknowledged", batches=[1]),
        ],
        "b": [*["noise\n"], *(of_batch("b", "a", "batch.merged", again=True) for _ in range(3))],
    }

    found = journey(lines, "a-1")

    acknowledged = next(step for step in found.steps if step.event == "batch.acknowledged")
    assert [found.steps[cause].node_id for cause in acknowledged.causes] == ["a"]


def test_what_a_node_hears_of_others_happened_before_what_it_does_then() -> None:
    """Nothing else tells that a write came to the last node before the first one collects it."""
    others = [
        of_batch("c", "b", "batch.received", batch=batch, sync_id=["b-9"]) for batch in range(2, 30)
    ]
    lines = {
        "a": [
            line("a", "have.heard", peer="c", number="7"),
            line("a", "write.collected", sync_id=["a-1"], removed=[]),
        ],
        "c": [
            *others,
            of_batch("c", "b", "batch.merged", again=False, superseded=[]),
            line("c", "have.told", peer="a", number="7"),
        ],
    }

    assert told(journey(lines, "a-1")) == [("c", "merged"), ("a", "collected")]


def test_logs_that_contradict_each_other_are_told_and_still_give_an_order() -> None:
    lines = {
        "a": [of_batch("a", "b", "batch.received"), of_batch("a", "b", "batch.sent")],
        "b": [of_batch("b", "a", "batch.received"), of_batch("b", "a", "batch.sent")],
    }

    found = journey(lines, "a-1")

    assert len(found.steps) == 4
    assert any("before they were sent" in remark for remark in found.remarks)

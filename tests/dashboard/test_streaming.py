"""What happens at the node is told to everybody who looks, and holds up nobody."""

from __future__ import annotations

import asyncio

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.dashboard import Dashboard, feed
from softadastra.dashboard.audience import MESSAGES_MAX, Audience, Viewer
from softadastra.dashboard.history import KEPT_MS, SAMPLES_MAX, History, Sample
from softadastra.dashboard.refusals import RefusedError
from tests.eventually import eventually

from .browsing import Asker


def test_a_page_is_told_how_the_node_is_at_once_and_again(asker: Asker, node: Client) -> None:
    node.put("k", 1)
    with asker.stream() as stream:
        assert stream.until("hello")["outbox"] == []
        vitals = stream.until("vitals")
        later = stream.until("vitals")

    assert vitals["node"]["node_id"] == "node-a"
    assert (vitals["store"]["entries"], vitals["sync"]["queued_count"]) == (1, 1)
    assert vitals["rates"] is None
    assert later["rates"].keys() >= {"writes_made", "bytes_in"}


def test_a_put_is_told_with_its_value(asker: Asker, node: Client) -> None:
    with asker.stream() as stream:
        stream.until("vitals")
        node.put("<b>key</b>", {"n": 2**63})
        node.remove("<b>key</b>")
        told: list[dict[str, object]] = []
        while len(told) < 2:
            told += stream.until("happenings")["changes"]

    assert [(each["key"], each["value"]) for each in told] == [
        ("<b>key</b>", {"kind": "object", "text": '{"n": 9223372036854775808}', "characters": 26}),
        ("<b>key</b>", None),
    ]


def test_events_are_told() -> None:
    with (
        Client(ClientOptions.memory_only("node-a").with_local_transport()) as node,
        Dashboard(node, port=0) as dashboard,
        Asker(dashboard).stream() as stream,
    ):
        stream.until("vitals")
        node.start_transport()
        (event,) = stream.until("happenings")["events"]

    assert (event["name"], event["level"]) == ("transport.started", "info")
    assert event["fields"]["host"] == "127.0.0.1"


def test_more_changes_than_can_be_shown_are_told_to_be_more(asker: Asker, node: Client) -> None:
    with asker.stream() as stream:
        stream.until("vitals")
        for first in range(0, 2_000, 500):
            with node.batch() as batch:
                for number in range(first, first + 500):
                    batch.put(f"k/{number}", number)
        sizes = []
        while True:
            happenings = stream.until("happenings")
            sizes.append(len(happenings["changes"]))
            if happenings["changes_left_out"]:
                break

    assert max(sizes) <= feed.CHANGES_MAX
    assert sum(sizes) < 2_000


def test_while_nobody_looks_no_write_is_watched(
    asker: Asker, node: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "IDLE_SECONDS", 0.05)
    inside = node._opened()

    def watching() -> tuple[bool, int]:
        return inside.committer.watchers.is_any, len(inside.events.listeners._subscriptions)

    with asker.stream() as stream:
        stream.until("vitals")
        assert watching() == (True, 1)
    eventually(lambda: watching() == (False, 0))


def test_the_page_says_when_the_node_is_closed_and_goes_on_when_it_is_opened_again() -> None:
    with Client(ClientOptions.memory_only("node-a")) as node, Dashboard(node, port=0) as dashboard:
        asker = Asker(dashboard)
        with asker.stream() as stream:
            stream.until("vitals")
            node.close()
            assert stream.until("away") == {}
            assert asker.get("/api/keys").reason == "unavailable"
            node.open()
            node.put("k", 1)
            assert stream.until("vitals")["store"]["entries"] <= 1


def test_a_dashboard_may_be_open_before_its_node() -> None:
    node = Client(ClientOptions.memory_only("node-a"))
    with Dashboard(node, port=0) as dashboard:
        asker = Asker(dashboard)
        assert asker.get("/").status == 200
        assert asker.get("/api/keys").reason == "unavailable"
        with node:
            assert asker.get("/api/keys").status == 200


def test_lag_is_told_of_each_peer() -> None:
    with (
        Client(ClientOptions.memory_only("a").with_local_transport()) as a,
        Client(ClientOptions.memory_only("b").with_local_transport()) as b,
        Dashboard(a, port=0) as dashboard,
    ):
        a.start_transport()
        b.start_transport()
        assert b.transport_port is not None
        a.connect(Peer.local("b", b.transport_port))
        b.stop_transport()
        a.put("k", 1)
        with Asker(dashboard).stream() as stream:
            (peer,) = stream.until("vitals")["peers"]

        explained = Asker(dashboard).get("/api/peer?id=b").document

    assert (peer["node_id"], peer["lag"]) == ("b", 1)
    assert explained["sentences"][0].startswith("b lacks 1 write of this node")
    assert explained["advice"]


def test_of_vitals_only_the_newest_waits_and_of_the_rest_so_many() -> None:
    async def program() -> list[str] | None:
        viewer = Viewer()
        for number in range(MESSAGES_MAX + 3):
            viewer.tell(f"{number};")
            viewer.show_vitals(f"vitals {number}")
        return await viewer.next()

    found = asyncio.run(program())

    assert found == [
        *(f"{number};" for number in range(MESSAGES_MAX)),
        'event: left_out\ndata: {"messages":3}\n\n',
        f"vitals {MESSAGES_MAX + 2}",
    ]


def test_at_the_end_everybody_is_sent_away_and_nobody_comes() -> None:
    async def program() -> object:
        audience = Audience()
        viewer = audience.admit()
        assert await audience.wait(0)
        audience.end()
        with pytest.raises(RefusedError):
            audience.admit()
        return await viewer.next()

    assert asyncio.run(program()) is None


def test_the_history_has_a_quarter_of_an_hour_and_a_largest_number() -> None:
    history = History()
    for second in range(2_000):
        history.add(Sample(second * 500, 0, 0, 0, 0))
    assert len(history.rows) == SAMPLES_MAX

    history.add(Sample(999_500 + KEPT_MS, 0, 1, 0, 0))
    assert [row[0] for row in history.rows] == [999_500, 999_500 + KEPT_MS]

    history.add(Sample(10, 0, 2, 0, 0))  # the clock was set back
    assert history.rows == [[10, 0, 2, 0, 0]]

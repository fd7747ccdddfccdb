"""Callbacks for events: called in their own thread, bounded, and harmless to the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Event, InvalidArgumentError, Peer
from softadastra import configure_logging as configure
from softadastra.errors import InvalidStateError
from softadastra.runtime import events as events_module
from softadastra.runtime.catalogue import EVENTS
from softadastra.runtime.events import Events
from softadastra.runtime.listening import EVENTS_MAX
from softadastra.sync.notices import Level, Notice
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.test_events_catalogue import noted


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(ClientOptions.memory_only("node-a").with_local_transport(0)) as node:
        yield node


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log file of all events; the settings of before come back."""
    monkeypatch.setattr(events_module, "_output", events_module._output)
    path = tmp_path / "node.log"
    configure("debug", format="json", file=path)
    return path


def names(told: list[Event]) -> list[str]:
    return [event.name for event in told]


def test_the_catalogue_has_all_events_of_the_code_and_their_levels():
    found = {each.name: Level[each.level.upper()] for each in noted()}

    assert found == EVENTS


def test_a_callback_is_called_with_each_write_of_those_that_are_told_together(client):
    told: list[Event] = []
    client.on("write.accepted", told.append, level="debug")
    with client.batch() as batch:
        for number in range(3):
            batch.put(f"key/{number}", number)

    eventually(lambda: len(told) == 3)
    assert [(each.fields["sync_id"], each.fields["key"]) for each in told] == [
        (f"node-a-{number + 1}", f"key/{number}") for number in range(3)
    ]


def test_a_callback_is_called_with_the_events_it_names(client):
    told: list[Event] = []
    client.on("transport.started", told.append)
    client.start_transport()
    client.stop_transport()

    eventually(lambda: told)

    (event,) = told
    assert (event.name, event.level, event.node_id) == ("transport.started", "info", "node-a")
    assert event.fields["host"] == "127.0.0.1"
    assert abs(event.timestamp_ms - time.time() * 1000) < 60_000


def test_the_beginning_of_names_means_all_of_them(client):
    told: list[Event] = []
    client.on("transport.", told.append)

    client.start_transport()
    client.stop_transport()

    eventually(lambda: len(told) == 2)
    assert names(told) == ["transport.started", "transport.stopped"]


def test_a_connection_is_told_at_both_ends():
    told: dict[str, list[Event]] = {"a": [], "b": []}
    options = [ClientOptions.memory_only(name).with_local_transport(0) for name in "ab"]
    with Client(options[0]) as a, Client(options[1]) as b:
        for name, node in (("a", a), ("b", b)):
            node.start_transport()
            node.on("peer.connected", told[name].append)
        port = b.transport_port
        assert port is not None
        a.connect(Peer.local("b", port), timeout=DEADLINE_SECONDS)
        eventually(lambda: told["a"] and told["b"])

    assert told["a"][0].fields["peer"] == "b"
    assert told["b"][0].fields["peer"] == "a"


def test_debug_events_are_made_while_somebody_wants_them_and_not_otherwise(client):
    told: list[Event] = []
    notices = client._opened().engine.notices
    assert not notices.is_traced
    client.on("peer.connected", told.append)
    assert not notices.is_traced, "that is no debug event"

    subscription = client.on("write.accepted", told.append)
    client.put("k", 1)
    eventually(lambda: told)
    subscription.close()
    client.put("k", 2)

    assert not notices.is_traced
    assert [event.fields["sync_id"] for event in told] == ["node-a-1"]


def test_a_level_leaves_out_what_is_below(client):
    told: list[Event] = []
    client.on("", told.append, level="info")

    client.put("k", 1)
    client.start_transport()

    eventually(lambda: told)
    assert names(told) == ["transport.started"]
    assert not client._opened().engine.notices.is_traced


def test_nobody_is_told_after_the_subscription_is_closed(client):
    told: list[Event] = []
    with client.on("transport.", told.append) as subscription:
        pass

    client.start_transport()
    client.on("transport.stopped", told.append)
    client.stop_transport()

    eventually(lambda: told)
    assert names(told) == ["transport.stopped"]
    assert subscription.is_closed


def test_the_last_event_of_a_client_is_told_too(client):
    told: list[Event] = []
    subscription = client.on("node.closed", told.append)

    client.close()

    assert names(told) == ["node.closed"]
    assert subscription.is_closed
    with pytest.raises(InvalidStateError):
        client.on("node.closed", told.append)


def test_nobody_begins_to_listen_to_a_node_that_is_closed_meanwhile(client):
    listeners = client._opened().events.listeners
    client.close()

    with pytest.raises(InvalidStateError):
        listeners.add("", print, level=Level.DEBUG)


def test_what_a_callback_raises_is_logged_and_it_is_called_again(client, log):
    called = []

    def fail(event: Event) -> None:
        called.append(event)
        raise SystemExit("an exit of the application's own")

    client.on("write.accepted", fail)
    client.put("k", 1)
    client.put("k", 2)

    eventually(lambda: log.read_text().count("listener.failed") == 2)
    assert len(called) == 2
    assert "an exit of the application's own" in log.read_text()
    assert client.get("k") == 2


def test_a_callback_that_is_too_slow_is_told_how_much_it_missed(client, log):
    gate, entered = threading.Event(), threading.Event()
    told: list[Event] = []

    def wait(event: Event) -> None:
        entered.set()
        gate.wait(DEADLINE_SECONDS)
        told.append(event)

    subscription = client.on("write.accepted", wait)
    client.put("k", 0)
    entered.wait(DEADLINE_SECONDS)
    for i in range(EVENTS_MAX + 5):
        client.put("k", i + 1)

    assert subscription.dropped == 5
    assert log.read_text().count("listener.overflowed") == 1
    gate.set()
    eventually(lambda: len(told) == EVENTS_MAX + 1)
    client.put("l", 1)
    eventually(lambda: len(told) == EVENTS_MAX + 2)
    assert [event.dropped for event in told] == [0] * (EVENTS_MAX + 1) + [5]


def test_a_callback_may_close_the_client(client):
    ended: list[bool] = []

    def end(_: Event) -> None:
        client.close()
        ended.append(client.is_open)

    client.on("write.accepted", end)

    client.put("k", 1)

    eventually(lambda: ended)
    assert ended == [False]


def test_a_callback_may_write(client):
    client.on("transport.started", lambda _: client.put("started", True))

    client.start_transport()

    eventually(lambda: "started" in client)


def test_without_listeners_no_event_is_built(monkeypatch):
    events = Events("a")
    monkeypatch.setattr(events_module, "Event", None)

    events.emit(Notice(Level.ERROR, "digest.differed", {"peer": "b", "ours": "1", "theirs": "2"}))

    assert not events.is_enabled(Level.INFO)


@pytest.mark.parametrize("wrong", ["peer.conected", "peer", "peer.connected.", None, "*"])
def test_a_name_that_no_event_has_is_refused(client, wrong):
    with pytest.raises(InvalidArgumentError, match="no event is named"):
        client.on(wrong, print)


def test_other_wrong_arguments_are_refused(client):
    with pytest.raises(InvalidArgumentError, match="no level"):
        client.on("", print, level="loud")
    with pytest.raises(InvalidArgumentError, match="callback"):
        client.on("", "print")
    with pytest.raises(InvalidArgumentError, match="below level"):
        client.on("write.accepted", print, level="info")

"""The driver over a log and a transport that a test controls."""

from __future__ import annotations

from threading import Lock
from typing import cast

import pytest

from softadastra.errors import StorageError
from softadastra.runtime.commit import Committer
from softadastra.runtime.driver import Driver
from softadastra.runtime.watcher import Limits
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from softadastra.sync.messages import Ack, Batch, Have, Message, Ping
from softadastra.sync.notices import Level, each
from softadastra.sync.output import Push
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.transport.links import (
    AuthFailed,
    Link,
    LinkUp,
    Received,
    Refused,
    SendResult,
    Transport,
    TrustChanged,
)
from softadastra.types import Peer
from tests.engines import OPTIONS, WALL_MS, Network


class Disk:
    """A log that notes what was durable when, and may fail to sync."""

    is_poisoned = False
    size_bytes = 0

    def __init__(self) -> None:
        self.order: list[str] = []
        self.fails = False

    def append(self, kind, payload):
        self.append_many([(kind, payload)])

    def append_many(self, frames):
        if self.is_poisoned:
            raise StorageError("poisoned")
        self.order.append("append")

    def sync(self):
        if self.fails or self.is_poisoned:
            self.is_poisoned = True
            raise StorageError("lost", errno=5)
        self.order.append("sync")


class Wire:
    """A transport that takes everything."""

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.sent: list[Message] = []
        self.dialled: list[tuple[str, int, str]] = []

    def dial(self, host, port, node_id=""):
        self.dialled.append((host, port, node_id))
        return Link(100 + len(self.dialled))

    def send(self, link, payload):
        message = decode(payload)
        self.sent.append(message)
        self.order.append(type(message).__name__)
        return SendResult.SENT

    def drop(self, link):
        pass


class Driven:
    """A node with auto_flush=False, greeted by b, at a time that the test says."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.ways: list[int] = []
        """How many messages it had sent when it gave way."""
        self.disk = Disk()
        self.wire = Wire(self.disk.order)
        engine = Engine(Replica("a", 1), OPTIONS, nonce=1, jitter=lambda: 0.5)
        self.committer = Committer(engine, self.disk, flush=False, wall_ms=lambda: WALL_MS)
        self.driver = Driver(
            self.committer,
            cast(Transport, self.wire),
            now=lambda: Now(self.now_ms, WALL_MS + self.now_ms),
            auto_tick=True,
            flush_interval_ms=50,
            arrived=lambda: None,
            give_way=self.give_way,
        )
        self.b = Network("b")["b"]
        self.b.engine.connections.up(1, dialled=True, now=self.b.now)
        self.driver.turn([LinkUp(Link(1), False, "b")])
        self.exchange()
        self.disk.order.clear()

    def give_way(self) -> None:
        assert not self.committer.lock.locked()
        self.ways.append(len(self.wire.sent))

    def exchange(self) -> None:
        said = [m for _, m in self.b.engine.poll(self.b.now, Push.ALL).sends]
        self.driver.turn([Received(Link(1), encode(message)) for message in said])
        answers, self.wire.sent = self.wire.sent, []
        for message in answers:
            self.b.receive(1, encode(message))


@pytest.fixture
def driven():
    return Driven()


def test_without_auto_flush_a_batch_and_an_acknowledgement_leave_after_the_sync(driven):
    driven.committer.write([("k", b"\x01", 0)])
    driven.driver.turn([])

    assert driven.disk.order == ["append", "sync", "Batch"]

    driven.b.write(("l", 1))
    driven.disk.order.clear()
    driven.exchange()
    assert driven.disk.order[:2] == ["append", "sync"]
    assert "Ack" in driven.disk.order[2:]


def test_a_reader_that_a_batch_has_woken_runs_before_the_driver_goes_on(driven):
    """It needs the interpreter, which the driver would keep until it waits for something."""
    order = driven.disk.order
    watcher = driven.committer.watchers.open("", None, Limits(10, 1_000))

    class Passed:
        def acquire(self, timeout: float) -> None:
            assert not driven.committer.lock.locked(), "which the reader takes first"
            order.append("reader")

    watcher.arm(lambda: order.append("woken"), cast(Lock, Passed()))
    driven.b.write(("k", 1))
    driven.exchange()

    assert order[:5] == ["append", "woken", "reader", "sync", "Ack"]


def test_who_got_all_that_he_lacked_is_not_looked_at_again_before_the_next_turn(
    driven, monkeypatch
):
    polled: list[int] = []
    poll = driven.committer.engine.poll

    def counted(now, push):
        polled.append(len(driven.wire.sent))
        return poll(now, push)

    monkeypatch.setattr(driven.committer.engine, "poll", counted)
    driven.committer.write([("k", b"\x01", 0)])
    driven.wire.sent.clear()

    driven.driver.turn([])

    assert [type(message) for message in driven.wire.sent] == [Batch]
    assert polled == [0]


def test_between_two_messages_others_may_have_their_turn(driven):
    for n in range(3 * OPTIONS.batch.entries):
        driven.committer.write([(f"k{n}", b"\x01", 0)])
    driven.ways.clear()

    driven.driver.turn([])

    assert len([m for m in driven.wire.sent if isinstance(m, Batch)]) == 3
    assert driven.ways == [0, 1, 2]
    driven.ways.clear()
    driven.exchange()
    driven.driver.turn([Received(Link(1), encode(Ping(1)))] * 2)
    assert driven.ways[-2:] == [0, 0]


def test_without_auto_flush_nothing_stays_unsynced_for_longer_than_the_interval(driven):
    driven.committer.lock.acquire()
    driven.committer.engine.connections.sessions.clear()
    driven.committer.engine.connections.active.clear()
    driven.committer.lock.release()
    driven.committer.write([("k", b"\x01", 0)])
    driven.driver.turn([])
    assert driven.driver.timeout_ms() == 40

    driven.now_ms += 39
    driven.driver.turn([])
    assert driven.disk.order == ["append"]

    driven.now_ms += 1
    driven.driver.turn([])
    assert driven.disk.order == ["append", "sync"], "a fifth of the time is left for the disk"


def test_after_a_failed_sync_nothing_speaks_of_what_it_left_unsynced(driven):
    driven.disk.fails = True
    driven.b.write(("k", 1))

    driven.exchange()
    for _ in range(20):
        driven.now_ms += 5_000
        for session in driven.committer.engine.connections.sessions.values():
            session.heard_ms = driven.now_ms
        driven.driver.turn([])

    assert not [m for m in driven.wire.sent if isinstance(m, (Ack, Batch))]
    assert not [m for m in driven.wire.sent if isinstance(m, Have) and m.have]


def events(driven, name):
    notices = each(driven.committer.engine.notices.waiting)
    return [notice for notice in notices if notice.event == name]


@pytest.mark.parametrize(
    "bad", [Received(Link(1), b"nonsense"), Refused(Link(1), "a message of more than one frame")]
)
def test_three_messages_that_are_none_shut_their_sender_out(driven, bad):
    for _ in range(3):
        driven.driver.turn([LinkUp(Link(1), False, "192.0.2.1")])
        driven.b.engine.connections.down(1, "closed", driven.b.now)
        driven.b.engine.connections.up(1, dialled=True, now=driven.b.now)
        driven.exchange()
        driven.driver.turn([bad])

    (told,) = events(driven, "peer.excluded")
    assert (told.fields["peer"], told.fields["place"]) == ("b", "192.0.2.1")


def test_a_node_of_another_protocol_is_refused_and_not_shut_out(driven):
    """It comes back as soon as it is updated, and an hour would be too late."""
    for _ in range(4):
        driven.driver.turn([LinkUp(Link(1), False, "192.0.2.1")])
        driven.b.engine.connections.down(1, "closed", driven.b.now)
        driven.b.engine.connections.up(1, dialled=True, now=driven.b.now)
        driven.exchange()
        driven.driver.turn([Received(Link(1), b"\x93\x02\x09\x00")])

    assert "protocol 2, this node speaks 1" in {
        notice.fields["reason"] for notice in events(driven, "peer.refused")
    }
    assert events(driven, "peer.excluded") == []


def test_failures_of_keys_are_told_with_both_fingerprints(driven):
    failed = AuthFailed("c", "10.0.0.3:4041", "not_proved", "seen-fp", "expected-fp", 3)
    driven.driver.turn([failed])

    (notice,) = [n for n in driven.committer.engine.notices.take() if n.event == "auth.failed"]
    assert notice.level is Level.WARNING
    assert notice.fields == {
        "peer": "c",
        "address": "10.0.0.3:4041",
        "reason": "not_proved",
        "seen": "seen-fp",
        "expected": "expected-fp",
        "count": 3,
    }


def test_a_list_of_trusted_keys_that_cannot_be_used_is_an_error(driven):
    driven.driver.turn([TrustChanged((), ("b",), "a.trusted: line 1: nonsense")])
    driven.driver.turn([TrustChanged(("b",), (), "")])

    told = {n.event: n for n in driven.committer.engine.notices.take()}
    assert told["trust.refused"].level is Level.ERROR
    assert told["trust.refused"].fields["error"] == "a.trusted: line 1: nonsense"
    assert told["trust.changed"].fields == {"added": ("b",), "removed": ()}


def test_who_was_refused_is_dialled_at_once_when_others_are_trusted(driven):
    dialer = driven.committer.engine.dialer
    dialer.add(Peer.local("c", 1), 0)
    dialer.attempts["c"].due_ms = 5_000
    driven.driver.turn([TrustChanged(("c",), (), "")])

    assert driven.wire.dialled == [("127.0.0.1", 1, "c")]

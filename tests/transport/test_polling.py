"""Polling: it sleeps when there is nothing, wakes when asked, and is fair when there is much."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import zmq

from softadastra.transport import zeromq
from softadastra.transport.links import Received, SendResult
from softadastra.transport.zeromq import BYTES_PER_POLL_MAX, MESSAGES_PER_POLL_MAX

from .conftest import Open, OpenRaw
from .ends import LOOPBACK, PATIENCE_SECONDS, join, until


def test_a_wake_from_another_thread_ends_an_endless_poll(open_end: Open) -> None:
    end = open_end()
    polling = threading.Event()
    returned: list[object] = []

    def poll() -> None:
        polling.set()
        returned.append(end.transport.poll(None))

    thread = threading.Thread(target=poll)
    thread.start()
    assert polling.wait(PATIENCE_SECONDS)
    assert returned == []
    end.transport.wake()
    thread.join(PATIENCE_SECONDS)

    assert returned == [[]]


def test_many_wakes_before_a_poll_cost_one_return(open_end: Open) -> None:
    end = open_end()
    for _ in range(100_000):
        end.transport.wake()

    begun = time.monotonic()
    assert end.poll(60_000) == []
    assert time.monotonic() - begun < 5.0
    assert end.poll(50) == []
    assert time.monotonic() - begun > 0.04


def test_wakes_from_many_threads_are_never_lost(open_end: Open) -> None:
    end = open_end()
    rounds = 500
    handled = [threading.Semaphore(0) for _ in range(4)]
    wanted = [0] * 4

    def ask(index: int) -> None:
        for number in range(1, rounds + 1):
            wanted[index] = number
            end.transport.wake()
            assert handled[index].acquire(timeout=PATIENCE_SECONDS)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(wanted))]
    for thread in threads:
        thread.start()
    seen = [0] * len(wanted)
    while min(seen) < rounds:
        # Had a wake been lost, nobody would be left to ask again, and this poll would be long.
        begun = time.monotonic()
        end.poll(int(PATIENCE_SECONDS * 1000))
        assert time.monotonic() - begun < PATIENCE_SECONDS
        for index, number in enumerate(list(wanted)):
            if number > seen[index]:
                seen[index] = number
                handled[index].release()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)


def test_a_poll_waits_for_its_timeout_while_links_come_and_go(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    links = [join(dialler, listener, port)[0] for _ in range(3)]
    for link in links:
        dialler.transport.drop(link)

    begun = time.monotonic()

    assert listener.poll(100) == []
    assert time.monotonic() - begun > 0.09


def test_a_poll_takes_a_bounded_number_of_messages(open_end: Open, open_raw: OpenRaw) -> None:
    listener, hostile = open_end(), open_raw(zmq.DEALER)
    hostile.connect(f"tcp://{LOOPBACK}:{listener.listen()}")
    hostile.sndhwm = 0
    total = 3 * MESSAGES_PER_POLL_MAX

    for _ in range(total):
        hostile.send(b"flood")
    counts: list[int] = []
    while sum(counts) < total:
        counts.append(sum(isinstance(event, Received) for event in listener.poll(1000)))

    assert max(counts) <= MESSAGES_PER_POLL_MAX


def test_a_poll_takes_a_bounded_number_of_bytes(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    links = [join(dialler, listener, port)[0] for _ in range(4)]
    taken = sum(dialler.stuff(link, 1_000_000) for link in links)

    sizes: list[int] = []
    arrived = len(listener.payloads())
    while len(listener.payloads()) < arrived + taken:
        events = listener.poll(1000)
        sizes.append(sum(len(event.payload) for event in events if isinstance(event, Received)))

    assert max(sizes) < BYTES_PER_POLL_MAX + 1_100_000


def test_a_flood_on_a_link_that_was_dialled_does_not_hold_up_who_dialled(
    open_end: Open, open_raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both wait when the poll begins, and the flood has more than a poll takes."""
    monkeypatch.setattr(zeromq, "MESSAGES_PER_POLL_MAX", 4)
    quiet, node, flooder = open_end(), open_end(), open_raw(zmq.DEALER)
    there, here = join(quiet, node, node.listen())
    flooded = node.transport.dial(LOOPBACK, flooder.bind_to_random_port(f"tcp://{LOOPBACK}"))
    until(lambda: flooded in {up.link for up in node.came_up()}, node)
    listener, dialled = node.transport._listener, node.transport._dialled[flooded]
    assert listener is not None
    assert dialled.socket is not None
    for _ in range(1_000):
        flooder.send(b"flood")
    assert quiet.transport.send(there, b"quiet") is SendResult.SENT
    assert dialled.socket.poll(int(PATIENCE_SECONDS * 1000))
    assert listener.socket.poll(int(PATIENCE_SECONDS * 1000))

    node.poll(0)

    assert node.payloads(here)[-1] == b"quiet"
    assert node.payloads(flooded)


def test_a_flood_of_one_who_dialled_does_not_hold_up_another(
    open_end: Open, open_raw: OpenRaw
) -> None:
    """It does not end before the other one is heard, however long that takes."""
    quiet, node, flooder = open_end(), open_end(), open_raw(zmq.DEALER)
    port = node.listen()
    there, here = join(quiet, node, port)
    flooder.connect(f"tcp://{LOOPBACK}:{port}")
    with _Flood(flooder):
        until(lambda: b"flood" in node.payloads(), node)
        assert quiet.transport.send(there, b"quiet") is SendResult.SENT
        until(lambda: b"quiet" in node.payloads(here), node)

    assert node.went_down() == []


def test_links_get_equal_turns_whoever_dialled(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeromq, "MESSAGES_PER_POLL_MAX", 40)
    node, dialler, listener = open_end(), open_end(), open_end()
    port = node.listen()
    inbound = [join(dialler, node, port) for _ in range(3)]
    dialled, there = join(node, listener, listener.listen())
    for link, _ in inbound:
        dialler.stuff(link, 100_000)
    listener.stuff(there, 100_000)

    links = [event.link for event in node.poll(1000) if isinstance(event, Received)]

    assert len(links) == 40
    assert {links.count(here) for _, here in inbound} | {links.count(dialled)} <= {9, 10, 11}


def test_a_link_whose_turn_did_not_come_is_not_passed_over_for_good(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeromq, "MESSAGES_PER_POLL_MAX", 2)
    node = open_end()
    listeners = [open_end() for _ in range(4)]
    links = [join(node, listener, listener.listen()) for listener in listeners]
    for listener, (_, there) in zip(listeners, links, strict=True):
        listener.stuff(there, 100_000)

    heard = {
        event.link
        for _ in range(len(links))
        for event in node.poll(1000)
        if isinstance(event, Received)
    }

    assert heard == {link for link, _ in links}


class _Flood:
    """Sends without a pause, as long as it lasts."""

    def __init__(self, flooder: zmq.Socket[bytes]) -> None:
        self._flooder = flooder
        self._flooder.sndtimeo = 20
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self._flooder.send(b"flood")
            except zmq.Again:
                continue

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(PATIENCE_SECONDS)


class CountingPoller(zmq.Poller):
    """Counts how often a poller of this process has returned."""

    rounds = 0

    def poll(self, timeout: int | None = None) -> list[tuple[Any, int]]:
        ready = super().poll(timeout)
        CountingPoller.rounds += 1
        return ready


def test_an_idle_transport_with_links_goes_round_next_to_never(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two joined ends went round 4 times in all; with a look at each connection ten times a second
    40 times each. It is counted, as what a round costs is another thing on each machine."""
    monkeypatch.setattr(zmq, "Poller", CountingPoller)
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    for _ in range(2):
        join(dialler, listener, port)
    CountingPoller.rounds = 0
    thread = threading.Thread(target=listener.poll, args=(4_000,))
    thread.start()
    assert dialler.poll(4_000) == []
    thread.join()

    assert 2 <= CountingPoller.rounds <= 18

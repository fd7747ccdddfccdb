"""Polling: it sleeps when there is nothing, wakes when asked, and is fair when there is much."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
import zmq

from softadastra.transport import zeromq
from softadastra.transport.links import Received, SendResult
from softadastra.transport.zeromq import BYTES_PER_POLL_MAX, MESSAGES_PER_POLL_MAX

from .conftest import Open, OpenRaw
from .ends import LOOPBACK, PATIENCE_SECONDS, End, join, until


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


@pytest.mark.parametrize("flooded_link_is_dialled", [True, False])
def test_a_flood_on_one_link_does_not_hold_up_another(
    open_end: Open, open_raw: OpenRaw, flooded_link_is_dialled: bool
) -> None:
    quiet, node = open_end(), open_end()
    port = node.listen()
    there, here = join(quiet, node, port)
    flooder = open_raw(zmq.DEALER)
    flood = _Flood(flooder)
    if flooded_link_is_dialled:
        flooded = node.transport.dial(LOOPBACK, flooder.bind_to_random_port(f"tcp://{LOOPBACK}"))
        until(lambda: flooded in {up.link for up in node.came_up()}, node)
    else:
        flooder.connect(f"tcp://{LOOPBACK}:{port}")
    with flood:
        until(lambda: b"flood" in node.payloads(), node)
        assert quiet.transport.send(there, b"quiet") is SendResult.SENT
        polls = 0
        while b"quiet" not in node.payloads(here):
            flooded_before = len(node.payloads())
            node.poll(1000)
            polls += 1
            assert len(node.payloads()) > flooded_before
            assert polls < 50

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


def idle_cost(seconds: float) -> float:
    """Give the processor time of two joined ends that wait for so long; of this whole process."""
    dialler, listener = End(), End()
    port = listener.listen()
    for _ in range(2):
        join(dialler, listener, port)
    thread = threading.Thread(target=listener.poll, args=(int(seconds * 1000),))
    begun = time.process_time()
    thread.start()
    dialler.poll(int(seconds * 1000))
    thread.join()
    cost = time.process_time() - begun
    dialler.transport.close()
    listener.transport.close()
    return cost


def test_an_idle_transport_with_links_costs_next_to_no_time() -> None:
    """One heartbeat interval and a bit: under 0.4 % of a core for two ends together; looking at
    each connection ten times a second takes 0.6 % to 1 %, what came alone 0.07 %.

    In a process of its own: a collection of the garbage of all other tests costs as much.
    """
    seconds = 2.2

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        cost = pool.submit(idle_cost, seconds).result(seconds + PATIENCE_SECONDS)

    assert cost < 0.004 * seconds

"""Links between two transports: frames both ways, full queues, and every way to end."""

from __future__ import annotations

import socket
import time

import pytest

from softadastra.errors import InvalidStateError
from softadastra.transport import listener as listener_module
from softadastra.transport.links import (
    FRAME_BYTES_MAX,
    DownReason,
    LinkDown,
    LinkUp,
    Received,
    SendResult,
)

from .conftest import Open
from .ends import LOOPBACK, await_monitor, join, until


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_frames_go_both_ways_over_one_dialled_link(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())

    assert dialler.transport.send(there, b"question") is SendResult.SENT
    until(lambda: b"question" in listener.payloads(here), listener)
    assert listener.transport.send(here, b"answer") is SendResult.SENT
    until(lambda: dialler.payloads(there) == [b"answer"], dialler)

    assert listener.payloads(here) == [b"first", b"question"]


def test_an_inbound_link_comes_up_with_its_first_message(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    _, here = join(dialler, listener, listener.listen())

    assert listener.events == [LinkUp(here, False, LOOPBACK), Received(here, b"first")]


def test_the_longest_frame_arrives_unchanged_and_in_order(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())
    longest = bytes(range(256)) * (FRAME_BYTES_MAX // 256)

    for payload in (longest, b"after"):
        assert dialler.transport.send(there, payload) is SendResult.SENT
    until(lambda: len(listener.payloads(here)) == 3, listener)

    assert listener.payloads(here) == [b"first", longest, b"after"]


@pytest.mark.parametrize("host", ["::1", "[::1]"])
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_is_written_with_and_without_brackets(open_end: Open, host: str) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen(host)

    link = dialler.transport.dial(host, port)
    until(lambda: dialler.events, dialler)

    assert dialler.events == [LinkUp(link, True, f"[::1]:{port}")]


@pytest.mark.parametrize("from_dialler", [True, False])
def test_a_full_link_takes_no_more_and_loses_nothing_before(
    open_end: Open, from_dialler: bool
) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())
    sender, receiver = (dialler, listener) if from_dialler else (listener, dialler)
    link, arriving = (there, here) if from_dialler else (here, there)
    before = receiver.payloads()

    begun = time.monotonic()
    taken = sender.stuff(link, 500_000)
    assert sender.transport.send(link, b"one more") is SendResult.FULL
    assert time.monotonic() - begun < 5.0
    until(lambda: len(receiver.payloads()) == len(before) + taken, receiver)

    numbers = [int.from_bytes(payload, "big") for payload in receiver.payloads()[len(before) :]]
    assert numbers == list(range(taken))
    assert not receiver.went_down()
    assert arriving in {event.link for event in receiver.events}
    until(lambda: sender.transport.send(link, b"again") is SendResult.SENT, receiver)


def test_a_link_that_is_not_up_yet_takes_nothing(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()

    link = dialler.transport.dial(LOOPBACK, listener.listen())

    assert dialler.transport.send(link, b"too soon") is SendResult.FULL


def test_the_dialler_learns_that_the_listener_closed(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, _ = join(dialler, listener, listener.listen())

    listener.transport.close()
    until(dialler.went_down, dialler)

    assert dialler.went_down() == [LinkDown(there, DownReason.CONNECTION_CLOSED)]
    assert dialler.transport.send(there, b"late") is SendResult.GONE


def test_what_came_in_before_a_connection_ended_is_still_received(open_end: Open) -> None:
    """A last word with its reason; libzmq's own way not to reconnect would throw it away."""
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())
    sent = [b"1", b"2", b"3", b"bye"]

    for payload in sent:
        assert listener.transport.send(here, payload) is SendResult.SENT
    listener.transport.close()
    await_monitor(dialler, there)
    until(dialler.went_down, dialler)

    assert dialler.payloads(there) == sent
    assert dialler.events[-1] == LinkDown(there, DownReason.CONNECTION_CLOSED)


def test_a_restarted_listener_is_a_new_link(open_end: Open) -> None:
    dialler, first, second = open_end(), open_end(), open_end()
    port = first.listen()
    before, _ = join(dialler, first, port)

    first.transport.close()
    until(dialler.went_down, dialler)
    second.listen(port=port)
    after, here = join(dialler, second, port)

    assert after != before
    assert second.payloads(here) == [b"first"]


def test_a_send_on_an_ended_inbound_link_finds_it_gone(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    _, here = join(dialler, listener, listener.listen())

    dialler.transport.close()
    until(lambda: listener.transport.send(here, b"anybody?") is SendResult.GONE, listener)

    assert listener.poll() == [LinkDown(here, DownReason.GONE)]
    assert listener.transport.send(here, b"anybody?") is SendResult.GONE
    assert listener.poll() == []


def test_what_an_ended_inbound_link_left_behind_is_no_new_link(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())

    assert dialler.transport.send(there, b"left behind") is SendResult.SENT
    dialler.transport.close()
    until(lambda: listener.transport.send(here, b"anybody?") is SendResult.GONE)

    assert listener.poll() == [LinkDown(here, DownReason.GONE)]
    assert listener.poll(50) == []


def test_a_frame_sent_right_before_a_drop_arrives(open_end: Open) -> None:
    """A refusal is sent and the link dropped: the peer is to learn why."""
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())

    assert dialler.transport.send(there, b"why") is SendResult.SENT
    dialler.transport.drop(there)
    until(lambda: listener.payloads(here) == [b"first", b"why"], listener)
    until(lambda: listener.transport.send(here, b"still there?") is SendResult.GONE, listener)

    assert dialler.poll() == []
    assert dialler.transport.send(there, b"late") is SendResult.GONE


def test_a_dropped_inbound_link_is_heard_no_more(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    there, here = join(dialler, listener, port)
    honest, honest_here = join(dialler, listener, port)

    listener.transport.drop(here)
    assert dialler.transport.send(there, b"ignored") is SendResult.SENT
    assert dialler.transport.send(honest, b"heard") is SendResult.SENT
    until(lambda: b"heard" in listener.payloads(honest_here), listener)

    assert listener.poll(50) == []
    assert listener.payloads(here) == [b"first"]
    assert len(listener.came_up()) == 2
    assert listener.transport.send(here, b"late") is SendResult.GONE


def test_only_so_many_ended_links_are_remembered(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "ENDED_ROUTES_MAX", 1)
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    links = [join(dialler, listener, port) for _ in range(2)]

    for there, here in links:
        listener.transport.drop(here)
        assert dialler.transport.send(there, b"again") is SendResult.SENT
    until(lambda: len(listener.came_up()) == 3, listener)

    assert listener.poll(50) == []
    assert listener.payloads(listener.came_up()[-1].link) == [b"again"]


def test_an_ended_link_that_goes_on_sending_stays_remembered(
    open_end: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "ENDED_ROUTES_MAX", 2)
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    (noisy, noisy_here), (_, silent_here), (_, last_here), (honest, _) = (
        join(dialler, listener, port) for _ in range(4)
    )

    for dropped in (noisy_here, silent_here, last_here):
        listener.transport.drop(dropped)
        for link in (noisy, honest):
            assert dialler.transport.send(link, str(dropped).encode()) is SendResult.SENT
        until(lambda dropped=dropped: str(dropped).encode() in listener.payloads(), listener)  # type: ignore[misc]

    assert len(listener.came_up()) == 4


def test_a_drop_takes_back_what_was_not_told_yet(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, here = join(dialler, listener, listener.listen())

    dialler.transport.drop(there)
    until(lambda: listener.transport.send(here, b"anybody?") is SendResult.GONE, listener)
    listener.transport.drop(here)

    assert listener.poll(50) == []


def test_close_is_quick_while_links_are_up_and_full(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    port = listener.listen()
    links = [join(dialler, listener, port) for _ in range(4)]
    for there, _ in links:
        dialler.stuff(there, 500_000)
    dialler.transport.dial(LOOPBACK, port)

    begun = time.monotonic()
    dialler.transport.close()
    listener.transport.close()

    assert time.monotonic() - begun < 0.5


def test_a_closed_transport_says_so(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()
    there, _ = join(dialler, listener, listener.listen())

    dialler.transport.close()
    dialler.transport.close()

    with pytest.raises(InvalidStateError, match="closed"):
        dialler.poll()
    with pytest.raises(InvalidStateError, match="closed"):
        dialler.transport.dial(LOOPBACK, 1)
    with pytest.raises(InvalidStateError, match="closed"):
        dialler.listen()
    dialler.transport.drop(there)
    dialler.transport.wake()
    assert dialler.transport.send(there, b"late") is SendResult.GONE

"""Binding: what can be listened on, and what an error says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from softadastra.errors import InvalidStateError, TransportError
from softadastra.transport.links import LinkUp

from .conftest import Open
from .ends import LOOPBACK, join, until


def test_port_0_picks_a_port_that_can_be_dialled(open_end: Open) -> None:
    dialler, listener = open_end(), open_end()

    port = listener.listen("localhost")
    link = dialler.transport.dial("localhost", port)
    until(lambda: dialler.events, dialler)

    assert 0 < port < 65536
    assert [type(event) for event in dialler.events] == [LinkUp]
    assert dialler.events[0].link == link


def test_a_taken_port_is_an_address_in_use(open_end: Open) -> None:
    port = open_end().listen()

    with pytest.raises(TransportError, match="address in use") as caught:
        open_end().listen(port=port)

    assert f"{LOOPBACK}:{port}" in caught.value.message
    assert "choose another port" in caught.value.message
    assert caught.value.context == {"host": LOOPBACK, "port": port}


@pytest.mark.parametrize(
    ("host", "problem"),
    [("192.0.2.1", "address not available"), ("no-such-host.invalid", "name not resolved")],
)
def test_an_address_of_another_machine_cannot_be_bound(
    open_end: Open, host: str, problem: str
) -> None:
    with pytest.raises(TransportError, match=problem) as caught:
        open_end().listen(host)

    assert "127.0.0.1" in caught.value.message


def test_a_port_is_free_again_once_its_transport_is_closed(open_end: Open) -> None:
    first = open_end()
    port = first.listen()
    first.transport.close()

    assert open_end().listen(port=port) == port


def test_a_failed_bind_can_be_tried_again_and_a_bound_transport_cannot(open_end: Open) -> None:
    taken, listener = open_end(), open_end()
    port = taken.listen()

    with pytest.raises(TransportError):
        listener.listen(port=port)
    bound = listener.listen()

    with pytest.raises(InvalidStateError, match=str(bound)):
        listener.listen()


def test_who_comes_in_over_ipv4_has_an_ipv4_address_on_a_listener_of_both_kinds(
    open_end: Open,
) -> None:
    dialler, listener = open_end(), open_end()
    join(dialler, listener, listener.listen("::"))
    inside = listener.transport._listener
    assert inside is not None
    (intake,) = inside.callers.intakes()

    assert listener.came_up()[0].address == LOOPBACK
    assert intake.connection.host == LOOPBACK


FEW_DESCRIPTORS = """
import os, resource
from softadastra.errors import TransportError
from softadastra.transport.descriptors import BEGIN_DESCRIPTORS
from softadastra.transport.zeromq import ZeroMQTransport

resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
held = []
while len(held) < 200:
    try:
        held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        break
outcomes = set()
for _ in range(BEGIN_DESCRIPTORS - 1):
    os.close(held.pop())
    try:
        ZeroMQTransport()
    except TransportError as error:
        outcomes.add(error.message.partition(":")[0])
os.close(held.pop())
transport = ZeroMQTransport()
print(outcomes, transport.bind("127.0.0.1", 0) > 0)
transport.close()
"""


def test_a_process_with_too_few_descriptors_left_is_told_so_and_not_ended() -> None:
    """In a process of its own: libzmq aborts without them."""
    ended = subprocess.run(
        [sys.executable, "-c", FEW_DESCRIPTORS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert (ended.returncode, ended.stdout) == (0, "{'too many open files'} True\n"), ended.stderr

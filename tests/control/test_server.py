"""Whatever comes over a control socket, the node goes on and answers the others."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
import pytest

from softadastra import Client, ClientOptions
from softadastra.control import server
from softadastra.control.channel import Channel
from softadastra.control.credentials import Process, process_of
from softadastra.control.frames import FRAME_BYTES_MAX, LENGTH, Reply, decode_reply, encode_request
from softadastra.control.remote import RemoteNode, find_node
from softadastra.errors import InvalidStateError, ProtocolError, SoftadastraError
from tests.eventually import DEADLINE_SECONDS, eventually

"""Far beyond what any step takes, so that only a hang ends a test."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.wal"


@pytest.fixture
def client(log: Path) -> Iterator[Client]:
    with Client(ClientOptions.persistent("node-a", log)) as client:
        yield client


def connected(log: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(DEADLINE_SECONDS)
    found.connect(f"{log}.sock")
    return found


@contextmanager
def asking(log: Path) -> Iterator[RemoteNode]:
    remote = find_node(log, node_id="node-a")
    assert remote is not None
    with closing(remote):
        yield remote


def put_and_count(log: Path) -> int:
    with asking(log) as remote:
        remote.put("k", 1)
        return remote.size()


def command_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "softadastra-control-command"]


def packed(*elements: object) -> bytes:
    payload = msgpack.packb(list(elements))
    return LENGTH.pack(len(payload)) + payload


def replies(connection: socket.socket) -> list[tuple[Reply, object]]:
    """Read until the node closes."""
    channel, told = Channel(connection), []
    while payload := channel.receive(silence=DEADLINE_SECONDS):
        told.append(decode_reply(payload))
    return told


NO_REQUESTS = {
    "nothing at all": b"",
    "half a length": b"\0\0",
    "half a request": encode_request("size", {})[:-1],
    "no length": struct.pack(">I", 0),
    "a huge length": struct.pack(">I", FRAME_BYTES_MAX + 1),
    "the largest length": b"\xff" * 4,
}
"""What gets no answer: the connection is closed."""

WRONG_REQUESTS = {
    "no MessagePack": LENGTH.pack(1) + b"\xc1",
    "more than one object": LENGTH.pack(2) + b"\x01\x01",
    "deep nesting": LENGTH.pack(5000) + b"\x91" * 5000,
    "no array": packed()[:4] + b"\x80",
    "another version": packed(2, "size", {}),
    "no version": packed("size", {}),
    "a call of no name": packed(1, 5, {}),
    "an unknown call": packed(1, "frobnicate", {}),
    "a name of the class": packed(1, "__init__", {}),
    "no arguments": packed(1, "put", {}),
    "arguments too many": packed(1, "size", {"x": 1}),
    "arguments in a row": packed(1, "put", ["k", b"\x01"]),
    "a value that is none": packed(1, "put", {"key": "k", "value": b"\xc1"}),
    "a key that is none": packed(1, "put", {"key": 5, "value": b"\x01"}),
}
"""What is answered by an error."""


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_closed_and_the_node_goes_on(
    client: Client, log: Path, sent: bytes
) -> None:
    with connected(log) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        told = replies(connection)

    assert [kind for kind, _ in told] == [Reply.HELLO]
    assert put_and_count(log) == 1
    eventually(lambda: command_threads() == [])


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_not_waited_for(client: Client, log: Path, length: int) -> None:
    with connected(log) as connection:
        connection.sendall(LENGTH.pack(length))

        assert [kind for kind, _ in replies(connection)] == [Reply.HELLO]


@pytest.mark.parametrize("sent", WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
def test_a_wrong_request_gets_an_error_and_the_node_goes_on(
    client: Client, log: Path, sent: bytes
) -> None:
    with connected(log) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        told = replies(connection)

    assert [kind for kind, _ in told] == [Reply.HELLO, Reply.ERROR]
    assert client.size() == 0
    assert put_and_count(log) == 1


@pytest.mark.parametrize("sent", [b"", encode_request("size", {})[:-1]], ids=["nothing", "half"])
def test_who_asks_nothing_makes_way_when_others_wait(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "COMMANDS_MAX", 1)
    monkeypatch.setattr(server, "STALLED_SECONDS", 0.2)
    with connected(log) as connection:
        connection.sendall(sent)
        eventually(lambda: is_answered(log))

        assert [kind for kind, _ in replies(connection)] == [Reply.HELLO]


def is_answered(log: Path) -> bool:
    try:
        with asking(log) as remote:
            return remote.size() >= 0
    except SoftadastraError:
        return False


def test_memory_grows_with_what_comes_not_with_a_claimed_length(client: Client, log: Path) -> None:
    def resident_kib() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    before = resident_kib()
    connections = [connected(log) for _ in range(10)]
    for each in connections:
        each.sendall(LENGTH.pack(FRAME_BYTES_MAX) + b"x")
    grown = resident_kib() - before
    for each in connections:
        each.close()

    assert grown < FRAME_BYTES_MAX // 1024


def test_a_request_that_blocks_keeps_no_other_waiting(client: Client, log: Path) -> None:
    began, end = threading.Event(), threading.Event()

    def blocking() -> None:
        began.set()
        assert end.wait(DEADLINE_SECONDS)

    client.compact = blocking  # type: ignore[method-assign]
    with asking(log) as remote:
        compacting = threading.Thread(target=remote.compact)
        compacting.start()
        try:
            assert began.wait(DEADLINE_SECONDS)
            assert put_and_count(log) == 1
        finally:
            end.set()
            compacting.join(DEADLINE_SECONDS)


def test_a_long_answer_is_waited_for_as_long_as_the_node_says_that_it_lives(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a compaction of half a minute would look as a node that hangs."""
    monkeypatch.setattr(server, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.5)
    never = threading.Event()

    def slow() -> None:
        never.wait(2.0)

    client.compact = slow  # type: ignore[method-assign]
    begin = time.monotonic()
    with asking(log) as remote:
        remote.compact()

    assert time.monotonic() - begin >= 2.0


def test_a_command_that_asks_nothing_holds_up_no_end(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "END_SECONDS", DEADLINE_SECONDS)
    with asking(log) as remote:
        remote.size()
        begin = time.monotonic()
        client.close()

    assert time.monotonic() - begin < DEADLINE_SECONDS / 2


def test_a_request_that_came_before_the_end_is_answered(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, end = threading.Event(), threading.Event()

    def blocking() -> None:
        began.set()
        assert end.wait(DEADLINE_SECONDS)

    monkeypatch.setattr(server, "END_SECONDS", DEADLINE_SECONDS)
    client.compact = blocking  # type: ignore[method-assign]
    with connected(log) as connection:
        connection.sendall(encode_request("compact", {}) + encode_request("size", {}))
        assert began.wait(DEADLINE_SECONDS)
        closing_client = threading.Thread(target=client.close)
        closing_client.start()
        end.set()
        told = replies(connection)
        closing_client.join(DEADLINE_SECONDS)

    assert [kind for kind, _ in told if kind is not Reply.ALIVE] == [
        Reply.HELLO,
        Reply.RESULT,
        Reply.RESULT,
    ]


def test_what_only_a_slow_node_has_not_answered_yet_is_waited_for_at_its_end(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who puts beside a stop would not know whether it has happened."""
    began, end = threading.Event(), threading.Event()

    def slow(_key: str) -> None:
        began.set()
        assert end.wait(DEADLINE_SECONDS)

    monkeypatch.setattr(server, "END_SECONDS", 0.0)
    monkeypatch.setattr(server, "ANSWER_SECONDS", DEADLINE_SECONDS)
    client.entry = slow  # type: ignore[method-assign, assignment]
    with connected(log) as connection:
        connection.sendall(encode_request("entry", {"key": "k"}))
        assert began.wait(DEADLINE_SECONDS)
        closing_client = threading.Thread(target=client.close)
        closing_client.start()
        with pytest.raises(AssertionError):
            eventually(lambda: not closing_client.is_alive(), seconds=0.3)
        end.set()
        told = replies(connection)
        closing_client.join(DEADLINE_SECONDS)

    assert [kind for kind, _ in told if kind is not Reply.ALIVE] == [Reply.HELLO, Reply.RESULT]


def test_who_was_greeted_just_before_the_end_may_ask(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know of the end yet, and would not know whether it was heard."""
    monkeypatch.setattr(server, "ASK_SECONDS", DEADLINE_SECONDS)
    with connected(log) as connection:
        channel = Channel(connection)
        assert channel.receive(silence=DEADLINE_SECONDS)  # hello
        closing_client = threading.Thread(target=client.close)
        closing_client.start()
        eventually(lambda: not Path(f"{log}.sock").exists())
        with pytest.raises(AssertionError):
            eventually(lambda: not closing_client.is_alive(), seconds=0.3)
        channel.send(encode_request("size", {}))
        told = replies(connection)
        closing_client.join(DEADLINE_SECONDS)

    assert [kind for kind, _ in told] == [Reply.RESULT]


@pytest.mark.parametrize("waits_for", ["much work", "who reads"])
def test_what_others_hold_up_is_not_waited_for_at_the_end(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch, waits_for: str
) -> None:
    began, end = threading.Event(), threading.Event()

    def blocking() -> None:
        began.set()
        end.wait(2 * DEADLINE_SECONDS)

    monkeypatch.setattr(server, "ANSWER_SECONDS", DEADLINE_SECONDS)
    client.compact = blocking  # type: ignore[method-assign]
    client.put("k", "x" * 1_000_000)
    with connected(log) as connection:
        if waits_for == "much work":
            connection.sendall(encode_request("compact", {}))
            assert began.wait(DEADLINE_SECONDS)
        else:
            connection.sendall(encode_request("entry", {"key": "k"}) * 10)
            eventually(lambda: is_sending(client))
        begin = time.monotonic()
        client.close()
        took = time.monotonic() - begin
        end.set()

    assert took < DEADLINE_SECONDS / 2


def is_sending(client: Client) -> bool:
    assert client._control is not None
    return any(each.is_running and each.waiting_since for each in client._control._connections)


def test_commands_are_bounded_and_one_too_many_is_told(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "COMMANDS_MAX", 4)
    waiting = [connected(log) for _ in range(server.COMMANDS_MAX)]
    try:
        for each in waiting:
            Channel(each).receive(silence=DEADLINE_SECONDS)  # hello: it has its place
        with asking(log) as remote:
            with pytest.raises(InvalidStateError, match="answers 4 commands already"):
                remote.size()
    finally:
        for each in waiting:
            each.close()
    eventually(lambda: command_threads() == [])
    assert is_answered(log)


def test_who_reads_nothing_makes_way_when_others_wait(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pager that nobody scrolls keeps its export, until its place is needed."""
    monkeypatch.setattr(server, "COMMANDS_MAX", 1)
    monkeypatch.setattr(server, "STALLED_SECONDS", 0.2)
    for number in range(40):
        client.put(f"k/{number}", "x" * 100_000)
    with connected(log) as connection:
        connection.sendall(encode_request("items", {"prefix": ""}))
        eventually(lambda: is_answered(log))
        with pytest.raises((ProtocolError, ConnectionError)):  # cut off in the middle of an element
            replies(connection)


def test_an_answer_that_nobody_reads_takes_bounded_memory(client: Client, log: Path) -> None:
    for number in range(300):
        client.put(f"k/{number:03}", "x" * 100_000)
    with asking(log) as remote:
        items = remote.items("k/")

        assert next(items)[0] == "k/000"
        assert len(command_threads()) == 1
        items.close()  # type: ignore[attr-defined]
        eventually(lambda: command_threads() == [])


def test_a_bug_in_a_call_ends_the_call_and_is_told(client: Client, log: Path) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    client.compact = broken  # type: ignore[method-assign]
    with asking(log) as remote:
        with pytest.raises(SoftadastraError, match="ZeroDivisionError") as caught:
            remote.compact()

        assert caught.value.code == "internal_error"
        assert remote.size() == 0


def test_a_command_for_which_there_is_no_thread_is_left_and_the_next_is_answered(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", start)
        assert find_node(log, node_id="node-a") is None
    assert is_answered(log)


def test_only_this_user_can_connect(client: Client, log: Path) -> None:
    path = Path(f"{log}.sock")

    assert path.stat().st_mode & 0o777 == 0o600
    with connected(log) as connection:
        assert process_of(connection) == (os.getpid(), os.geteuid())


def test_another_user_gets_no_answer_even_when_the_socket_is_open_to_all(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permission bits of a socket are not heeded by every system."""
    monkeypatch.setattr(server, "process_of", lambda _: Process(4711, 4711))
    with connected(log) as connection:
        assert replies(connection) == []


def test_requests_from_many_threads_all_happen(client: Client, log: Path) -> None:
    with asking(log) as remote:

        def work(name: str) -> None:
            for number in range(20):
                remote.put(f"{name}/{number}", number)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
        for each in threads:
            each.start()
        for each in threads:
            each.join(DEADLINE_SECONDS)

    assert client.size() == 120


def test_an_open_client_that_nobody_asks_runs_one_thread_for_it_and_closes_it(log: Path) -> None:
    before = set(threading.enumerate())
    with Client(ClientOptions.persistent("node-a", log)):
        names = sorted(each.name for each in set(threading.enumerate()) - before)

        assert names == ["softadastra-compactor", "softadastra-control"]
    eventually(lambda: set(threading.enumerate()) <= before)


def test_nothing_is_served_when_the_settings_say_so(log: Path) -> None:
    with Client(ClientOptions.persistent("node-a", log, enable_control=False)):
        assert not Path(f"{log}.sock").exists()
        assert find_node(log, node_id="node-a") is None

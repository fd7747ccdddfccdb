"""A node of another process is asked as the one in this process is."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.control.credentials import Process
from softadastra.control.frames import Reply, encode_reply
from softadastra.control.operations import Operations
from softadastra.control.remote import RemoteNode, find_node
from softadastra.control.unreachable import NodeGoneError, NodeSilentError
from softadastra.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    InvalidStateError,
    NotFoundError,
    ProtocolError,
    StorageError,
    TransportError,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.wal"


@pytest.fixture
def client(log: Path) -> Iterator[Client]:
    options = ClientOptions.persistent("node-a", log).with_local_transport()
    with Client(options) as client:
        yield client


@pytest.fixture
def remote(client: Client, log: Path) -> Iterator[RemoteNode]:
    found = find_node(log, node_id="node-a")
    assert found is not None
    with closing(found):
        yield found


def both(client: Client, remote: RemoteNode) -> list[Operations]:
    """As mypy sees it, both are the same."""
    return [client, remote]


def test_reads_and_writes_are_the_same_both_ways(client: Client, remote: RemoteNode) -> None:
    client.put("here", {"n": 1})

    assert remote.entry("here") == client.entry("here")
    assert remote.entry("nowhere") is None
    assert remote.put("there", b"\xff").sync_id == "node-a-2"
    assert remote.put("there", b"\xff").status == "unchanged"
    assert client["there"] == b"\xff"
    assert list(remote.items("h")) == [("here", {"n": 1})]
    assert dict(remote.items()) == dict(client.items())
    assert remote.remove("there") is True
    assert remote.remove("there") is False
    assert (remote.size(), remote.digest()) == (client.size(), client.digest())


def test_what_was_written_unseen_is_left_both_ways(client: Client, remote: RemoteNode) -> None:
    for node in both(client, remote):
        written = node.put("k", 1)
        with pytest.raises(InvalidStateError, match="written meanwhile"):
            node.remove("k", seen=["node-a-0"])
        assert node.remove("k", seen=[written.sync_id])
        with pytest.raises(NotFoundError):
            node.resolve("k", 1, seen=[])


def test_what_the_node_is_and_how_it_stands_is_the_same_both_ways(
    client: Client, remote: RemoteNode
) -> None:
    client.start_transport()
    with pytest.raises(TransportError):
        client.connect(Peer("node-b", "127.0.0.1", 1), timeout=1)
    client.put("k", 1)
    here, there = client.node_info(), remote.node_info()

    assert (here.node_id, here.capabilities) == (there.node_id, there.capabilities)
    assert remote.sync_state() == client.sync_state()
    assert [peer.node_id for peer in remote.peers()] == ["node-b"]
    assert remote.transport_port == client.transport_port
    assert remote.discovery_running is False
    assert remote.tombstone_holds() == []
    assert list(remote.conflicts()) == []
    assert remote.tick().connected_peers == 0
    assert (remote.retry_expired(), remote.requeue_failed(), remote.queue_pending()) == (0, 0, 0)
    remote.disconnect("node-b")
    remote.forget("node-b")
    assert client.peers() == []


def test_errors_are_the_same_both_ways(client: Client, remote: RemoteNode, log: Path) -> None:
    for node in both(client, remote):
        with pytest.raises(InvalidArgumentError, match="key cannot be empty"):
            node.put("", 1)
        with pytest.raises(NotFoundError, match="has no conflict"):
            node.resolve("k", 1)
        with pytest.raises(NotFoundError, match="no peer 'node-z' is known"):
            node.forget("node-z")
        with pytest.raises(InvalidStateError, match="the transport does not run"):
            node.connect(Peer("node-b", "127.0.0.1", 1))
        with pytest.raises(AlreadyExistsError):
            node.backup(log)


def test_a_batch_is_one_record_and_is_checked_where_it_is_made(
    client: Client, remote: RemoteNode
) -> None:
    client.put("old", 1)
    with remote.batch() as batch:
        batch.put("new", 2)
        batch.put("newer", 3)
        batch.remove("old")
    with pytest.raises(InvalidArgumentError), remote.batch() as refused:
        refused.put("never", 1)
        refused.put("", 1)

    assert dict(client.items()) == {"new": 2, "newer": 3}
    assert [each.status if each else None for each in batch.results] == [
        "created",
        "created",
        "updated",
    ]


def test_a_listing_is_read_as_it_comes_and_may_be_left(client: Client, remote: RemoteNode) -> None:
    with client.batch() as batch:
        for number in range(5_000):
            batch.put(f"k/{number:04}", number)

    items = remote.items("k/")
    assert [next(items) for _ in range(3)] == [("k/0000", 0), ("k/0001", 1), ("k/0002", 2)]
    items.close()  # type: ignore[attr-defined]
    assert len(list(remote.items("k/"))) == 5_000


def test_a_backup_goes_where_the_command_says_not_where_the_node_is(
    client: Client, remote: RemoteNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    asked: list[Path] = []
    client.backup = asked.append  # type: ignore[method-assign,assignment]
    remote.backup(Path("copy.wal"))

    assert asked == [elsewhere / "copy.wal"]


def test_a_wait_ends_when_the_writes_are_there_and_does_not_wait_for_later_ones(
    client: Client, remote: RemoteNode, tmp_path: Path
) -> None:
    options = ClientOptions.persistent("node-b", tmp_path / "b.wal").with_local_transport()
    with Client(options) as other:
        other.start_transport()
        client.start_transport()
        assert remote.wait_synced(0.1) is True  # nothing is written yet
        number = client.put("k", 1).n
        assert remote.wait_synced(0.1) is False
        port = other.transport_port
        assert port is not None
        remote.connect(Peer("node-b", "127.0.0.1", port), 10.0)
        assert remote.wait_synced(10.0) is True
        other.stop_transport()
        client.put("later", 1)
        assert remote.wait_synced(0.1) is False
        assert remote.wait_synced(0.1, up_to=number) is True
        assert client.wait_synced(0.1, up_to=number) is True


def test_a_wait_without_an_end_ends_when_the_transport_does_not_run(
    client: Client, remote: RemoteNode
) -> None:
    client.put("k", 1)

    assert remote.wait_synced(None) is False
    assert client.wait_synced(None) is False


def test_a_wait_is_asked_for_in_slices(
    client: Client, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a command that was ended leaves nothing waiting in the node for its hour."""
    monkeypatch.setattr("softadastra.control.remote.SLICE_SECONDS", 0.1)
    waits: list[float | None] = []
    real = client.wait_synced

    def counted(timeout: float | None = None, *rest: object, **named: int | None) -> bool:
        waits.append(timeout)
        return real(timeout, "all", **named)

    client.wait_synced = counted  # type: ignore[method-assign,assignment]
    client.start_transport()
    client.put("k", 1)

    assert remote.wait_synced(0.5) is False
    assert len(waits) >= 5
    assert all(each is not None and each <= 0.1 for each in waits)


def test_a_node_that_was_closed_is_found_no_more_and_says_so_to_who_asks(
    client: Client, remote: RemoteNode, log: Path
) -> None:
    client.close()

    assert find_node(log, node_id="node-a") is None
    with pytest.raises(NodeGoneError, match=r"node node-a \(pid \d+\) ended"):
        remote.size()


def test_closing_does_not_wait_for_who_waits(client: Client, remote: RemoteNode) -> None:
    client.start_transport()
    client.put("k", 1)
    outcome: list[object] = []

    def wait() -> None:
        try:
            outcome.append(remote.wait_synced(30))
        except (NodeGoneError, InvalidStateError) as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    client.close()
    waiting.join(10)

    assert not waiting.is_alive()
    assert outcome[0] is not True


def test_a_node_that_is_only_an_applications_is_not_stopped(
    client: Client, remote: RemoteNode
) -> None:
    with pytest.raises(InvalidStateError, match="part of an application"):
        remote.stop(1.0)
    assert client.is_open


def test_stop_calls_the_application_and_waits_until_the_log_is_free(log: Path) -> None:
    asked = threading.Event()
    client = Client(ClientOptions.persistent("node-a", log), stop=asked.set).open()

    def run() -> None:
        assert asked.wait(20)
        client.close()

    application = threading.Thread(target=run)
    application.start()
    found = find_node(log, node_id="node-a")
    assert found is not None

    with closing(found):
        assert found.about.is_stoppable
        assert found.stop(20.0) is True
    with Client(ClientOptions.persistent("node-a", log)):  # at once: it is not locked any more
        application.join(20)


def test_an_application_may_be_stopped_by_closing_its_client(log: Path) -> None:
    """In the very thread that answers."""

    def close() -> None:
        node.close()

    node = Client(ClientOptions.persistent("node-a", log), stop=close).open()
    found = find_node(log, node_id="node-a")
    assert found is not None
    with closing(found):
        assert found.stop(20.0) is True
    assert not node.is_open


def test_stop_gives_up_in_time(log: Path) -> None:
    with Client(ClientOptions.persistent("node-a", log), stop=lambda: None):
        found = find_node(log, node_id="node-a")
        assert found is not None
        with closing(found):
            assert found.stop(0.1) is False


# Whoever else may listen there.


def listening(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(os.fspath(path))
    found.listen(4)
    return found


def test_a_node_that_hangs_is_named_with_its_process(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.2)
    with closing(listening(Path(f"{log}.sock"))):
        with pytest.raises(NodeSilentError) as caught:
            find_node(log, node_id="node-a")

    expected = f"node node-a (pid {os.getpid()}) does not answer within 0.2 s"
    assert caught.value.message.startswith(expected)
    assert caught.value.context["pid"] == os.getpid()


def test_a_full_backlog_is_waited_at(log: Path) -> None:
    """More commands at a moment than the system keeps are no sign of a node that hangs."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(f"{log}.sock")
        listener.listen(0)
        first.connect(f"{log}.sock")
        found: list[object] = []

        def look() -> None:
            try:
                found.append(find_node(log, node_id="node-a"))
            except ProtocolError as error:
                found.append(error)

        looking = threading.Thread(target=look)
        looking.start()
        for _ in range(2):
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(encode_reply(Reply.RESULT))
        looking.join(20)

    assert isinstance(found[0], ProtocolError)  # it was heard


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\1\xc1", encode_reply(Reply.RESULT, None)],
    ids=["another protocol", "no MessagePack", "an answer before hello"],
)
def test_who_is_no_node_is_told_apart(log: Path, said: bytes) -> None:
    with closing(listening(Path(f"{log}.sock"))) as listener:

        def answer() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(said)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(ProtocolError):
            find_node(log, node_id="node-a")
        answering.join(10)


def test_a_process_of_another_user_is_not_believed(
    client: Client, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can put a socket beside a log that is not theirs could else answer for it."""
    monkeypatch.setattr("softadastra.control.connecting.process_of", lambda _: Process(1, 4711))

    with pytest.raises(StorageError, match="a process of user 4711"):
        find_node(log, node_id="node-a")


def test_another_process_under_the_same_name_gets_none_of_the_requests(
    client: Client, remote: RemoteNode
) -> None:
    """A command that began with one run of a node does not go on with the next one unasked."""
    remote.close()
    remote.about = dataclasses.replace(remote.about, pid=1)

    with pytest.raises(NodeGoneError):
        remote.put("k", 1)
    assert client.size() == 0


def test_a_socket_that_nobody_listens_at_is_no_node(log: Path) -> None:
    listening(Path(f"{log}.sock")).close()

    assert find_node(log, node_id="node-a") is None

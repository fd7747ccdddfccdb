"""The document suffices: a client that was written from it alone keeps in step with real nodes."""

from __future__ import annotations

import ast
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import zmq

from softadastra import Client, ClientOptions, Peer
from softadastra.store.policies import LAST_WRITE_WINS, Policies, Policy
from softadastra.sync.messages import Message, SnapshotCommit
from softadastra.sync.wire import encode
from tests import engines
from tests.vectors import follower, follower_connection, follower_rules
from tests.vectors.follower import Follower
from tests.vectors.follower_connection import Connection, wall_ms
from tests.vectors.follower_rules import Parted, Rejected

DEADLINE_SECONDS = 20.0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def context(stack: ExitStack) -> zmq.Context[zmq.Socket[bytes]]:
    return stack.enter_context(zmq.Context())


def started(stack: ExitStack, node_id: str, **settings) -> Client:
    options = ClientOptions.memory_only(node_id, enable_transport=True, **settings)
    node = stack.enter_context(Client(options))
    node.start_transport()
    return node


def dial(
    context: zmq.Context[zmq.Socket[bytes]], client: Follower, node: Client, **settings: int
) -> Connection:
    return Connection(client, context, f"tcp://127.0.0.1:{node.transport_port}", **settings)


def until(connection: Connection, condition: Callable[[], bool]) -> None:
    """Let the client turn until a condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the deadline passed"
        connection.turn(5)


def in_step(connection: Connection, node: Client) -> None:
    """Let the client turn until both hold the same, and the node knows it."""
    client = connection.follower
    until(connection, lambda: client.digest().hex() == node.digest() and client.peer is not None)
    until(connection, lambda: not client.own or client.confirmed() == len(client.own))
    assert client.items() == dict(node)
    assert not client.has_diverged


@pytest.mark.parametrize(
    "module", [follower, follower_connection, follower_rules], ids=lambda module: module.__name__
)
def test_the_client_knows_nothing_of_the_package(module) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    named = {
        name.split(".")[0] if "follower" not in name else name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert named - set(sys.stdlib_module_names) <= {
        "msgpack",
        "xxhash",
        "zmq",
        "tests.vectors.follower",
        "tests.vectors.follower_rules",
    }


def test_a_client_follows_a_node_and_acknowledges(stack, context):
    node, client = started(stack, "node-a"), Follower("follower")
    for i in range(300):
        node.put(f"k/{i % 200}", {"i": i, "text": "ä" * (i % 7)})
    node.remove("k/0")
    connection = stack.enter_context(closing(dial(context, client, node)))

    in_step(connection, node)
    node.put("later", [1, None])
    in_step(connection, node)

    assert client.items()["later"] == [1, None]
    until(connection, lambda: node.sync_state().acknowledged_count == 302)


def test_a_write_of_the_client_reaches_the_node_and_its_peers(stack, context):
    a, b, client = started(stack, "node-a"), started(stack, "node-b"), Follower("follower")
    assert b.transport_port is not None
    a.connect(Peer.local("node-b", b.transport_port))
    connection = stack.enter_context(closing(dial(context, client, a)))
    client.put("from-the-client", {"x": 1}, wall_ms())

    in_step(connection, a)
    until(connection, lambda: b.get("from-the-client") == {"x": 1})

    entry = b.entry("from-the-client")
    assert entry is not None
    assert (entry.origin, entry.sync_id, entry.version) == ("follower", "follower-1", 1)


def test_both_overwrite_and_remove_what_the_other_wrote(stack, context):
    node, client = started(stack, "node-a"), Follower("follower")
    connection = stack.enter_context(closing(dial(context, client, node)))
    node.put("a", 1)
    node.put("gone", 1)
    in_step(connection, node)
    client.put("a", 2, wall_ms())
    client.write("gone", b"", wall_ms())
    client.put("b", 1, wall_ms())
    in_step(connection, node)
    node.put("b", 2)
    node.remove("a")
    in_step(connection, node)

    assert dict(node) == {"b": 2}
    assert node.conflicts() == []


@pytest.mark.parametrize("policy", ["last_write_wins", "manual"])
def test_concurrent_writes_end_alike_on_both(stack, context, policy):
    node = started(stack, "node-a", conflict_policy=policy)
    client = Follower("follower", policies=policy)
    for i in range(10):
        client.put(f"k/{i}", f"client {i}", wall_ms() + (i % 3 - 1) * 60_000)
        node.put(f"k/{i}", f"node {i}")
    connection = stack.enter_context(closing(dial(context, client, node)))

    in_step(connection, node)

    assert len(node.conflicts()) >= (10 if policy == "manual" else 1)
    assert {value.split()[0] for value in client.items().values()} == {"client", "node"}


def test_a_client_that_was_away_gets_the_rest_on_the_next_connection(stack, context):
    node, client = started(stack, "node-a"), Follower("follower")
    node.put("a", 1)
    connection = dial(context, client, node)
    in_step(connection, node)
    connection.close()
    node.put("a", 2)
    client.put("b", 3, wall_ms())
    connection = stack.enter_context(closing(dial(context, client, node)))

    in_step(connection, node)

    assert dict(node) == {"a": 2, "b": 3}


@pytest.mark.parametrize("policy", ["last_write_wins", "manual"])
def test_a_client_that_keeps_the_lives_continues_with_a_node_that_was_restarted(
    stack, context, tmp_path, policy
):
    client = Follower("follower", policies=policy)
    options = ClientOptions.persistent(
        "node-a", tmp_path / "a.wal", enable_transport=True, conflict_policy=policy
    )
    for opening in range(3):
        with Client(options) as node:
            node.start_transport()
            node.put("k", opening)
            client.put("k", f"client {opening}", wall_ms())
            with closing(dial(context, client, node)) as connection:
                in_step(connection, node)
                client.put("k", f"during {opening}", wall_ms())
                node.put("during", opening)
                node.put("k", f"node {opening}")
                in_step(connection, node)

    (origin,) = {origin for origin in client.have if origin[0] == "node-a"}
    assert client.have[origin] == [(1, 9)]
    assert [first for first, _ in client.lives[origin]] == [4, 7]


def test_a_client_finds_out_that_the_node_was_set_back(stack, context, tmp_path):
    client, path, kept = Follower("follower"), tmp_path / "a.wal", tmp_path / "kept.wal"
    options = ClientOptions.persistent("node-a", path, enable_transport=True)
    with Client(options) as node:
        node.put("k", 0)
    kept.write_bytes(path.read_bytes())
    with Client(options) as node:
        node.start_transport()
        node.put("k", 1)
        connection = dial(context, client, node)
        in_step(connection, node)
        connection.close()
    path.write_bytes(kept.read_bytes())
    with Client(options) as node:
        node.put("k", 2)
        node.start_transport()
        anew = followed(context, client, node)

    assert anew is not client
    assert anew.items() == {"k": 2}


def followed(context, client: Follower, node: Client) -> Follower:
    """Connect until in step, as the document says: anew when silent, as another when parted.

    Which of both branches is renamed is decided by chance, the lives: a node that renames its own
    ends the connection with a BYE, and greets as somebody else on the next.
    """
    for _ in range(5):
        with closing(dial(context, client, node, silence_ms=1_500)) as connection:
            try:
                in_step(connection, node)
            except (TimeoutError, EOFError):
                continue
            except Parted:
                client = Follower("follower")
                continue
            return client
    raise AssertionError("never in step")


def test_a_client_of_another_cluster_is_told_so(stack, context):
    node, client = started(stack, "node-a"), Follower("follower", cluster="elsewhere")
    connection = stack.enter_context(closing(dial(context, client, node)))

    with pytest.raises(Rejected) as rejected:
        until(connection, lambda: False)

    reason, words = rejected.value.args
    assert reason == 1
    assert "elsewhere" in words


class Bridge(engines.Network):
    """Simulated engines with a follower beside them: their time, no sockets."""

    def __init__(self, *names: str, client: Follower, policies: Policies) -> None:
        super().__init__(*names, policies=policies)
        self.client = client
        self.link = 0
        self.to_client: list[bytes] = []
        self.heard: list[Message] = []
        """What the client was told."""

    @property
    def wall_ms(self) -> int:
        return engines.WALL_MS + self.now_ms

    def dial(self, name: str) -> None:
        """Connect the client to a node."""
        self.hang_up()
        self.node, self.link = self[name], next(self._numbers)
        self.node.engine.connections.up(self.link, dialled=False, now=self.node.now)
        self.client.connected(self.now_ms)
        self.node.receive(self.link, self.client.hello(self.wall_ms))

    def hang_up(self) -> None:
        if self.link:
            self.node.engine.connections.down(self.link, "closed", self.node.now)
        self.to_client.clear()
        self.link = 0

    def send(self, sender: engines.Node, link: int, message: Message) -> None:
        if link == self.link:
            self.to_client.append(encode(message))
            self.heard.append(message)
        else:
            super().send(sender, link, message)

    def deliver(self) -> int:
        payloads, self.to_client = self.to_client, []
        answers = [
            answer
            for payload in payloads
            for answer in self.client.receive(payload, self.now_ms, self.wall_ms)
        ]
        answers += self.client.due(self.now_ms) if self.link else []
        for answer in answers:
            self.node.receive(self.link, answer)
        return super().deliver() + len(payloads) + len(answers)

    def is_told(self, kind: type[Message]) -> bool:
        return any(isinstance(message, kind) for message in self.heard)


MANUAL = Policies(Policy.MANUAL, {}, "manual")


def test_a_client_takes_a_snapshot_and_drops_what_it_does_not_contain():
    client = Follower("follower", cluster="test")
    network = Bridge("a", "b", client=client, policies=LAST_WRITE_WINS)
    network.join("a", "b")
    network["a"].write(*((f"k/{i:03}", i) for i in range(300)))
    network.dial("a")
    network.run()
    network.hang_up()
    client.put("mine", 1, network.wall_ms)
    for i in range(0, 300, 3):
        network["a"].remove(f"k/{i:03}")
    network.advance(31 * 86_400_000, step=86_400_000)
    network.join("a", "b")
    network.advance(120_000, step=1_000)
    assert "k/000" not in network["a"].engine.replica.entries
    assert "k/000" in client.entries
    network.dial("a")
    network.advance(100)

    assert network.is_told(SnapshotCommit)
    assert client.digest() == network["a"].digest
    assert client.items() == network["a"].items()
    assert len(client.items()) == 201


@pytest.mark.parametrize("policies", [LAST_WRITE_WINS, MANUAL], ids=lambda p: p.names)
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_a_client_and_nodes_end_alike(seed, policies):
    """Writes and removes of few keys everywhere, lost connections, collection, clock skew."""
    chance = random.Random(seed)
    client = Follower(
        "follower", cluster="test", policies=policies.names, randbits=chance.getrandbits
    )
    network = Bridge("a", "b", client=client, policies=policies)
    for node in network.nodes.values():
        node.skew_ms = chance.choice([0, 0, 120_000, -120_000])
    for step in range(100):
        disturb(network, client, chance, step)
    network.join("a", "b")
    for name in "aba":
        network.dial(name)
        network.advance(5_000)

    assert network["a"].digest == network["b"].digest == client.digest()
    assert client.items() == network["a"].items() == network["b"].items()
    assert client.confirmed() == len(client.own)
    assert not client.has_diverged


def disturb(network: Bridge, client: Follower, chance: random.Random, step: int) -> None:
    """Let something happen."""
    key = f"k/{chance.randrange(4)}"
    match chance.randrange(14):
        case 0 | 1:
            network[chance.choice("ab")].write((key, step))
        case 2 | 3:
            network[chance.choice("ab")].remove(key)
        case 4 | 5:
            client.put(key, step, network.wall_ms)
        case 6:
            if client.value(key):
                client.write(key, b"", network.wall_ms)
        case 7:
            network.hang_up()
        case 8:
            network.dial(chance.choice("ab"))
        case 9:
            for link in list(network.links):
                network.close(link)
        case 10:
            network.join("b", "a")
        case 11:
            network.advance(chance.choice([100, 120_000]), step=20_000)
        case _:
            network.run()

"""Engines joined by fake links: messages go through their bytes, records through theirs.

Time is a number that a test advances. Nothing moves until `run` or `step` is called.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from itertools import count

from softadastra.packing import pack_value
from softadastra.store.changes import OWN
from softadastra.store.policies import LAST_WRITE_WINS, Policies
from softadastra.store.replica import Replica
from softadastra.store.siblings import RESOLUTION, TOMBSTONE
from softadastra.store.values import unpack_value
from softadastra.store.writes import Assignment, decide_writes
from softadastra.sync.batches import Limits
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.engine import Engine
from softadastra.sync.messages import Message
from softadastra.sync.output import Push
from softadastra.sync.records import Lived, Record, RecordEncoder, decode_record
from softadastra.sync.resolution import kept_value, unsettled
from softadastra.sync.settings import EngineOptions, Now
from softadastra.sync.status import sync_state
from softadastra.sync.wire import decode, encode
from softadastra.types import SyncState, Value

OPTIONS = EngineOptions(
    cluster="test",
    batch=Limits(64, 262_144),
    window=4,
    max_retries=5,
    retry_interval_ms=5_000,
    ack_timeout_ms=10_000,
    tick_interval_ms=50,
    max_offline_ms=30 * 86_400_000,
    require_ack=True,
    auto_queue=True,
)

WALL_MS = 1_700_000_000_000

Filter = Callable[["Node", "Node", Message], bool]


class Node:
    """An engine with a log that is a list."""

    def __init__(
        self, network: Network, name: str, options: EngineOptions, policies: Policies
    ) -> None:
        self.policies = policies
        self.network = network
        self.name = name
        self.options = options
        self.incarnation = sum(name.encode()) + 1
        self.log: list[tuple[int, bytes]] = []
        self.life = 0
        self.skew_ms = 0
        self.start()

    def start(self) -> None:
        """Begin a life: recover from the log."""
        self.life += 1
        replica = Replica(self.name, self.incarnation, self.policies)
        nonce = random.Random(f"{self.name}{self.incarnation}{self.life}").getrandbits(64)
        self.engine = Engine(replica, self.options, nonce=nonce, jitter=lambda: 0.5)
        self.engine.notices.is_traced = True
        for kind, payload in self.log:
            self.engine.evolve(decode_record(kind, payload, replica.origins))
        self.engine.life = nonce if self.life > 1 else None

    @property
    def now(self) -> Now:
        return Now(self.network.now_ms, WALL_MS + self.network.now_ms + self.skew_ms)

    @property
    def state(self) -> SyncState:
        return sync_state(self.engine)

    @property
    def digest(self) -> bytes:
        return self.engine.replica.digest

    def commit(self, record: Record) -> None:
        self.log.append(RecordEncoder(self.engine.replica.origins).encode(record))
        self.engine.evolve(record)

    def write(self, *asked: tuple[str, Value]) -> None:
        self._write([(k, pack_value(v, max_bytes=1 << 20), 0) for k, v in asked])

    def remove(self, key: str) -> None:
        self._write([(key, TOMBSTONE, 0)])

    def _write(self, asked: list[Assignment]) -> None:
        record, _ = decide_writes(self.engine.replica, asked, wall_ms=self.now.wall_ms)
        if record is not None:
            if self.engine.life is not None:
                self.commit(Lived(record.first, self.engine.life))
            self.commit(record)

    def settle(self) -> int:
        """Do what keep_local and keep_remote ask for; give how many keys that was."""
        replica = self.engine.replica
        conflicts = list(unsettled(replica))
        for conflict in conflicts:
            self._write([(conflict.key, kept_value(conflict, replica.me), RESOLUTION)])
        return len(conflicts)

    def get(self, key: str) -> Value:
        packed = self.engine.replica.value(key)
        return None if packed is None else unpack_value(packed)

    def items(self) -> dict[str, Value]:
        return {k: self.get(k) for k in self.engine.replica.entries if self.get(k) is not None}

    def restart(self) -> None:
        """Lose all that is not in the log, and every connection."""
        self.network.cut(self)
        self.start()

    def compact(self) -> None:
        """Rewrite the log as what is left of it, and restart from that."""
        origins = self.engine.replica.origins
        encode = RecordEncoder(origins.copy()).encode
        self.log = [encode(record) for record in checkpoint(self.engine)]
        self.incarnation = origins[OWN].incarnation
        self.restart()

    def remember(self) -> None:
        for member in self.engine.members.changed:
            self.log.append(RecordEncoder(self.engine.replica.origins).encode(member))
        self.engine.members.told()

    def poll(self, push: Push = Push.ALL) -> int:
        """Send what is due; give how many messages that were."""
        total = 0
        while True:
            output = self.engine.poll(self.now, push)
            self.remember()
            for link, message in output.sends:
                self.network.send(self, link, message)
                self.engine.trace_sent(link, message)
            for link in output.drops:
                self.network.drop(link)
            total += len(output.sends)
            if not (output.sends or output.drops):
                return total

    def collect(self) -> bool:
        """Let go what may go, if it is time; give whether anything went."""
        record = self.engine.decide_collection(self.now)
        if record is not None:
            self.commit(record)
        return record is not None

    def receive(self, link: int, payload: bytes) -> None:
        record = self.engine.receive(link, decode(payload), payload, self.now)
        if record is not None:
            self.commit(record)
        split = self.engine.decide_split()
        if split is not None:
            self.commit(split)


class Network:
    """Nodes, links between pairs of them, and what is on its way."""

    def __init__(
        self,
        *names: str,
        options: EngineOptions = OPTIONS,
        policies: Policies = LAST_WRITE_WINS,
    ) -> None:
        self.now_ms = 0
        self.nodes = {name: Node(self, name, options, policies) for name in names}
        self.links: dict[int, tuple[Node, Node]] = {}
        self.wire: deque[tuple[int, Node, Message]] = deque()
        self.sent: list[tuple[str, str, Message]] = []
        self.passes: Filter = lambda _from, _to, _message: True
        self._numbers = count(1)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def join(self, dialler: str, listener: str) -> int:
        """Connect two nodes."""
        link = next(self._numbers)
        a, b = self[dialler], self[listener]
        self.links[link] = (a, b)
        a.engine.connections.up(link, dialled=True, now=a.now)
        b.engine.connections.up(link, dialled=False, now=b.now)
        return link

    def close(self, link: int) -> None:
        """End a connection; what was on its way over it is lost."""
        ends = self.links.pop(link, ())
        self.wire = deque(item for item in self.wire if item[0] != link)
        for node in ends:
            node.engine.connections.down(link, "closed", node.now)

    def drop(self, link: int) -> None:
        """End a connection after what was on its way over it has come."""
        for item in [item for item in self.wire if item[0] == link]:
            self.wire.remove(item)
            item[1].receive(link, encode(item[2]))
        self.close(link)

    def cut(self, node: Node) -> None:
        for link in [link for link, ends in self.links.items() if node in ends]:
            self.close(link)

    def send(self, sender: Node, link: int, message: Message) -> None:
        if link in self.links:
            a, b = self.links[link]
            receiver = b if sender is a else a
            self.sent.append((sender.name, receiver.name, message))
            if self.passes(sender, receiver, message):
                self.wire.append((link, receiver, message))

    def deliver(self) -> int:
        """Deliver what is on its way at this moment."""
        items, self.wire = list(self.wire), deque()
        for link, receiver, message in items:
            if link in self.links:
                receiver.receive(link, encode(message))
        return len(items)

    def run(self, rounds: int = 200) -> None:
        """Poll and deliver until nothing moves."""
        for _ in range(rounds):
            for node in self.nodes.values():
                node.collect()
            moved = sum(node.poll() for node in self.nodes.values())
            moved += self.deliver()
            if not moved:
                return
        raise AssertionError(f"still moving after {rounds} rounds")

    def advance(self, milliseconds: int, step: int = 500) -> None:
        """Let time pass."""
        end = self.now_ms + milliseconds
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + step)
            self.run()

    def messages(self, kind: type[Message]) -> list[tuple[str, str]]:
        """Give the sender and receiver of each message of a kind that was sent."""
        return [(a, b) for a, b, message in self.sent if isinstance(message, kind)]

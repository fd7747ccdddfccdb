"""Many engines over a network that only delays: no disk, no socket, no thread, simulated time.

Messages go through their bytes, which are counted by kind. What differs from a real node: a
record is durable at once and without a file, a turn takes no time of its own but a node with
many connections takes turns that much more rarely, and links neither fail nor fill up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from random import Random
from typing import Final

from softadastra.node_settings import engine_options
from softadastra.options import ClientOptions
from softadastra.packing import pack_value
from softadastra.store.dots import DotSet
from softadastra.store.replica import Replica
from softadastra.store.writes import decide_writes
from softadastra.sync.batches import batch_of
from softadastra.sync.engine import Engine
from softadastra.sync.messages import Message
from softadastra.sync.output import Push
from softadastra.sync.records import Record
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.testing.sim_schedule import Schedule, chance
from softadastra.transport.links import FRAME_BYTES_MAX

__all__ = ["ROUND_TRIP_MS", "Cluster", "Node", "key_name", "new_engine"]

ROUND_TRIP_MS: Final = 20
"""On average: the delay of a link one way is 5 to 15 ms."""
DELAYS_MS: Final = (5, 15)
SESSIONS_A_TURN_MS: Final = 50
"""A poll looks at every session, so that a hub of 1,000 takes 20 ms for a turn."""
WALL_MS: Final = 1_700_000_000_000
OPTIONS: Final = replace(
    engine_options(ClientOptions.memory_only("any")), connected_max=10_000, known_max=10_000
)
"""What a client has that sets nothing, but without its limits of peers."""
BATCH_TYPE: Final = 3
"""The third byte of a batch: after the head of the array and the protocol version."""
VALUE: Final = pack_value("v" * 54, max_bytes=64)
"""56 bytes, as in DESIGN.md section 11."""


class Newcomer:
    """To whom a batch is addressed that all nodes merge: it knows nothing."""

    def __init__(self) -> None:
        self.number_told = 0
        self.known: defaultdict[int, DotSet] = defaultdict(DotSet)


def key_name(number: int) -> str:
    """Give one of many keys, of 23 bytes."""
    return f"measurement/{number:011}"


def new_engine(number: int, rng: Random) -> Engine:
    """Give the engine of a node that has just been opened for the first time."""
    replica = Replica(f"node-{number:04}", rng.getrandbits(64))
    return Engine(replica, OPTIONS, nonce=rng.getrandbits(64), jitter=rng.random)


@lru_cache(maxsize=64)
def decode_batch(payload: bytes) -> Message:
    """Read a batch that many nodes get. Merging one changes nothing in it."""
    return decode(payload)


class Node:
    """One engine, and what it has not looked at yet."""

    __slots__ = ("alarm_ms", "engine", "inbox", "is_turn_due", "number", "turned_ms")

    def __init__(self, number: int, engine: Engine) -> None:
        self.number = number
        self.engine = engine
        self.inbox: list[tuple[int, bytes]] = []
        self.is_turn_due = False
        self.alarm_ms: int | None = None
        self.turned_ms = 0


class Cluster:
    """Nodes that are connected, in one simulated time.

    Args:
        count: how many nodes.
        seed: decides names, delays and jitter.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.schedule = Schedule()
        self.rng = chance(seed, "cluster")
        self.nodes = [Node(i, new_engine(i, self.rng)) for i in range(count)]
        self.messages: Counter[str] = Counter()
        """How many were sent, by kind."""
        self.sizes: Counter[str] = Counter()
        """And their bytes."""
        self.largest: Counter[str] = Counter()
        self.oversized: Counter[str] = Counter()
        """How many were not sent, because no link takes them."""
        self.crossings = 0
        """How often a write was sent over a link."""
        self.keys = 0
        """How many keys there are in all."""
        self.lacking: set[int] = set()
        """The nodes that do not hold them all."""
        self.complete_ms = 0
        """When the last node came to hold them all."""
        self._links: dict[int, tuple[Node, Node, int]] = {}

    @property
    def now(self) -> Now:
        return Now(self.schedule.now_ms, WALL_MS + self.schedule.now_ms)

    # What is done to it.

    def load(self, writer: int, count: int) -> None:
        """Let all nodes hold keys that one of them wrote, without sending them."""
        replica = self.nodes[writer].engine.replica
        keys = [key_name(self.keys + i) for i in range(count)]
        self.keys += count
        for part in (keys[i : i + 2000] for i in range(0, count, 2000)):
            first = replica.top + 1
            self._write(self.nodes[writer], part)
            batch = batch_of(replica, part, [(replica.me, first, part)], 1, Newcomer())
            for node in self.nodes:
                if node.number != writer:
                    theirs = node.engine.replica
                    theirs.evolve_arrivals(batch.arrivals(theirs.origins))

    def join(self, dialler: Node, listener: Node) -> None:
        """Connect two nodes."""
        link = len(self._links) + 1
        self._links[link] = (dialler, listener, self.rng.randint(*DELAYS_MS))
        dialler.engine.connections.up(link, dialled=True, now=self.now)
        listener.engine.connections.up(link, dialled=False, now=self.now)
        self._wake(dialler)

    def add(self) -> Node:
        """Open one more node, which holds nothing."""
        node = Node(len(self.nodes), new_engine(len(self.nodes), self.rng))
        self.nodes.append(node)
        self.lacking.add(node.number)
        return node

    def put(self, writers: Sequence[int]) -> None:
        """Let each of these nodes write one new key now."""
        first = self.keys
        self.keys += len(writers)
        self.lacking = set(range(len(self.nodes)))
        for number, writer in enumerate(writers, first):
            self._write(self.nodes[writer], [key_name(number)])
            self._wake(self.nodes[writer])

    def tell_now(self) -> None:
        """Let every connection be told now what it would be told within 30 seconds."""
        for node in self.nodes:
            for session in node.engine.connections.sessions.values():
                session.have_ms = session.known_ms = self.schedule.now_ms
            self._wake(node)

    def run_until_complete(self, limit_ms: int) -> int:
        """Let time pass until every node holds everything; give how long that took."""
        began_ms = self.schedule.now_ms
        while self.lacking:
            assert self.schedule.now_ms < began_ms + limit_ms, (
                f"{len(self.lacking)} nodes lack keys"
            )
            self.schedule.run(10)
        return self.complete_ms - began_ms

    # The nodes.

    def _write(self, node: Node, keys: list[str]) -> None:
        asked = [(key, VALUE, 0) for key in keys]
        record, _ = decide_writes(node.engine.replica, asked, wall_ms=self.now.wall_ms)
        assert record is not None, "the keys are new"
        self._evolve(node, record)

    def _evolve(self, node: Node, record: Record) -> None:
        node.engine.evolve(record)
        if node.number in self.lacking and len(node.engine.replica) == self.keys:
            self.lacking.discard(node.number)
            self.complete_ms = self.schedule.now_ms

    def _wake(self, node: Node) -> None:
        if not node.is_turn_due:
            node.is_turn_due = True
            free_ms = node.turned_ms + len(node.engine.connections.sessions) // SESSIONS_A_TURN_MS
            wait_ms = max(0, free_ms - self.schedule.now_ms)
            self.schedule.after(wait_ms, partial(self._turn, node))

    def _turn(self, node: Node) -> None:
        """Do what the runtime's driver does in a turn."""
        node.is_turn_due = False
        node.turned_ms = self.schedule.now_ms
        engine, now = node.engine, self.now
        inbox, node.inbox = node.inbox, []
        records: list[Record] = []
        for link, payload in inbox:
            message = decode_batch(payload) if payload[2] == BATCH_TYPE else decode(payload)
            record = engine.receive(link, message, payload, now)
            if record is not None:
                records.append(record)
        for arrived in records:
            self._evolve(node, arrived)
        collected = engine.decide_collection(now)
        if collected is not None:
            engine.evolve(collected)
        while True:
            output = engine.poll(now, Push.ALL)
            assert not output.drops, engine.notices.take()
            if not output.sends:
                break
            self.crossings += sum(last - first + 1 for _, (first, last) in output.launched)
            for link, message in output.sends:
                self._send(node, link, message)
        engine.members.told()
        engine.notices.take()
        self._set_alarm(node)

    def _send(self, sender: Node, link: int, message: Message) -> None:
        self._carry(sender, link, message, 0)

    def _carry(self, sender: Node, link: int, message: Message, wait_ms: int) -> None:
        """Let a message leave after some time."""
        payload = encode(message)
        kind = type(message).__name__
        self.largest[kind] = max(self.largest[kind], len(payload))
        if len(payload) > FRAME_BYTES_MAX:
            # The driver of a real node tells it, as `message.oversized`, and goes on.
            self.oversized[kind] += 1
            return
        self.messages[kind] += 1
        self.sizes[kind] += len(payload)
        dialler, listener, delay_ms = self._links[link]
        receiver = listener if sender is dialler else dialler
        self.schedule.after(wait_ms + delay_ms, partial(self._arrive, receiver, link, payload))

    def _arrive(self, node: Node, link: int, payload: bytes) -> None:
        node.inbox.append((link, payload))
        self._wake(node)

    def _set_alarm(self, node: Node) -> None:
        due_ms = node.engine.deadline(Push.ALL)
        if due_ms is None:
            return
        due_ms = max(due_ms, self.schedule.now_ms + 1)
        if node.alarm_ms is None or due_ms < node.alarm_ms:
            node.alarm_ms = due_ms
            wait_ms = due_ms - self.schedule.now_ms
            self.schedule.after(wait_ms, partial(self._alarm, node, due_ms))

    def _alarm(self, node: Node, alarm_ms: int) -> None:
        if node.alarm_ms == alarm_ms:
            # What it was set for may be later by now.
            node.alarm_ms = None
            due_ms = node.engine.deadline(Push.ALL)
            if due_ms is not None and due_ms <= alarm_ms:
                self._wake(node)
            else:
                self._set_alarm(node)
